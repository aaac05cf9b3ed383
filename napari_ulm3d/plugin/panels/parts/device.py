"""Where networks run: the choice of device, what this computer offers, and what is missing."""

from __future__ import annotations

import html
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.device import DeviceReport, inspect_device
from napari_ulm3d.plugin.controls.control import control_for
from napari_ulm3d.plugin.controls.rows import form
from napari_ulm3d.plugin.jobs.job import LatestJob, waits
from napari_ulm3d.plugin.panels.panel import note
from napari_ulm3d.plugin.session import Session

__all__ = ["DeviceBox", "report_text"]

# The hardware does not change while the program runs.
_found: list[DeviceReport] = []


class DeviceBox(QWidget):
    """The device setting with a report; the computer is inspected when the box is first shown."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_report)
        self._job.failed.connect(self._on_failed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        field = PipelineConfig.model_fields["device"]
        self.device = control_for(field)
        self.device.setToolTip(f"<qt>{html.escape(field.description or '')}<br><i>device</i></qt>")
        self.device.edited.connect(session.change_device)
        rows = form()
        rows.addRow("Device", self.device)
        column.addLayout(rows)
        self.report = note("Checking this computer…")
        self.report.setTextFormat(Qt.TextFormat.RichText)
        column.addWidget(self.report)
        session.config_changed.connect(self._on_config)
        self._on_config("device")

    def showEvent(self, event: Any) -> None:
        """Inspect the computer when the box becomes visible."""
        super().showEvent(event)
        if _found:
            self._on_report(_found[0])
        else:
            self._job.request(waits(lambda stop: inspect_device()))

    def _on_config(self, section: str) -> None:
        if section == "device":
            self.device.show_value(self._session.config.device)
            if _found:
                self.report.setText(report_text(_found[0], self._session.config.device))

    def _on_report(self, found: DeviceReport) -> None:
        _found[:] = [found]
        self.report.setText(report_text(found, self._session.config.device))

    def _on_failed(self, problem: Any) -> None:
        self.report.setText(html.escape(problem.sentence))


def report_text(found: DeviceReport, wanted: str) -> str:
    """The devices available, where networks will run, and how to install what is missing."""
    lines = []
    if found.torch is None:
        lines.append("Networks cannot run: PyTorch is not installed.")
    elif wanted == "cuda" and not found.gpu:
        lines.append("PyTorch found no usable GPU on this computer; choose cpu or auto.")
    elif found.gpu and wanted != "cpu":
        memory = f", {found.gpu_memory_bytes / 1e9:.0f} GB" if found.gpu_memory_bytes else ""
        lines.append(f"Networks run on the GPU: {found.gpu}{memory}.")
        lines.append(f"PyTorch {found.torch}, spconv {found.spconv or 'not installed'}.")
    else:
        memory = f", {found.memory_bytes / 1e9:.0f} GB"
        cores = f"{found.cpu_cores} core{'s' if found.cpu_cores != 1 else ''}"
        there = f" ({found.gpu} is also available)" if found.gpu else ""
        lines.append(f"Networks run on the CPU: {cores}{memory}, PyTorch {found.torch}{there}.")
    text = [html.escape(line) for line in lines]
    for what, line in found.missing:
        text.append(
            f"Missing: {html.escape(what)}. Install it with<br><code>{html.escape(line)}</code>"
        )
    return "<br>".join(text)
