"""Load: which files, what is in them, what they do not say, and their blocks."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
)

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.io import describe, open_acquisition
from napari_ulm3d.io.open.acquisition import FileDescription
from napari_ulm3d.plugin.controls.form import SettingsForm, label_of
from napari_ulm3d.plugin.controls.section import Section
from napari_ulm3d.plugin.jobs.job import Job, LatestJob, Stop, waits
from napari_ulm3d.plugin.layers.convert import LayerData, acquisition_layer
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.panels.panel import Panel, button, heading, note

__all__ = ["LoadPanel"]

_FIRST = ("voxel_um", "rate_hz", "wavelength_um")
_MORE = (
    "variable", "axes", "frequency_hz", "sound_speed_m_s", "origin_um", "log_compressed_db",
    "frames_per_block",
)  # fmt: skip
_MOST_BLOCKS = 2000


class LoadPanel(Panel):
    """Files or a folder to an acquisition that the other widgets work on."""

    title = "Load"

    def build(self) -> None:
        self._paths: list[str] = []
        self._describing = LatestJob(self)
        self._describing.finished.connect(self._on_described)
        self._describing.failed.connect(self._on_failed)
        self._opening = Job(self)
        self._opening.finished.connect(self._on_opened)
        self._opening.failed.connect(self._on_failed)
        self._opening.ended.connect(self._enable)
        self._found: FileDescription | None = None
        self._typed = ""

        self.row(
            button("Files…", "One file, or several that follow each other.", self._choose_files),
            button("Folder…", "A folder of files, or a Zarr store.", self._choose_folder),
        )
        self.path = QLineEdit()
        self.path.setPlaceholderText("file, folder or pattern such as data/IQ*.mat")
        self.path.setToolTip("What to load; a folder's files are consecutive blocks.")
        self.path.editingFinished.connect(self._on_typed)
        self.column.addWidget(self.path)
        self.setAcceptDrops(True)

        self.recognized = note("Nothing chosen yet.")
        self.column.addWidget(self.recognized)
        self.column.addWidget(heading("What the file does not say"))
        self.form = SettingsForm(self.session, "load", _FIRST)
        self.column.addWidget(self.form)
        self.more_form = SettingsForm(self.session, "load", _MORE)
        self.more = Section("How to read it", self.more_form)
        self.column.addWidget(self.more)
        self.open_button = button("Open", "Open it and show it in dB.", self._open)
        self.column.addWidget(self.open_button)
        self.blocks_title = heading("Blocks")
        self.column.addWidget(self.blocks_title)
        self.blocks = QTableWidget(0, 3)
        self.blocks.setHorizontalHeaderLabels(["Block", "Frames", "File"])
        self.blocks.setToolTip("Frames filtered together. Click one to go there.")
        self.blocks.verticalHeader().hide()
        self.blocks.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.blocks.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.blocks.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.blocks.setMinimumHeight(110)
        self.blocks.setMaximumHeight(160)
        self.blocks.cellClicked.connect(self._go_to_block)
        self.column.addWidget(self.blocks)
        self.session.config_changed.connect(self._on_config)
        self.session.acquisition_changed.connect(self._on_acquisition)
        self._on_acquisition()
        self._enable()

    # --- choosing ------------------------------------------------------------------------

    def set_paths(self, paths: list[str]) -> None:
        """Look at these files, or this folder."""
        self._paths = paths
        first = Path(paths[0]) if paths else Path()
        text = str(first) if len(paths) < 2 else f"{first} and {len(paths) - 1} more"
        self._typed = text
        self.path.setText(text)
        self.path.setToolTip("\n".join(paths[:30]))
        self._describe()

    def _choose_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Files of one acquisition, in order")
        if paths:
            self.set_paths(list(paths))

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of one acquisition")
        if path:
            self.set_paths([path])

    def _on_typed(self) -> None:
        text = self.path.text().strip()
        if text and text != self._typed:
            self.set_paths([text])

    def dragEnterEvent(self, event: Any) -> None:
        """Accept files dropped on the panel."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Take all files dropped as one acquisition."""
        paths = [url.toLocalFile() for url in event.mimeData().urls()]
        if paths:
            self.set_paths(sorted(paths))
            event.acceptProposedAction()

    # --- what is in it ---------------------------------------------------------------------

    def _describe(self) -> None:
        if not self._paths:
            return
        self._found = None
        self.recognized.setText("Looking…")
        paths, load = list(self._paths), self._load()
        self._describing.request(waits(lambda stop: describe(paths, load)))
        self._enable()

    def _load(self) -> LoadConfig:
        config = self.session.config.load
        given = {name: getattr(config, name) for name in config.model_fields_set}
        return LoadConfig(**given)

    def _on_described(self, found: FileDescription) -> None:
        self._found = found
        self.recognized.setText(_table(found))
        self.form.mark(found.missing)
        self.more_form.mark(found.missing)
        if found.shape is None:  # it cannot be read without being told how
            self.more.expand()
        for form in (self.form, self.more_form):
            _hint(form, found)
        if found.missing:
            wanted = " and ".join(label_of(name, "?").lower() for name in found.missing)
            self.problem.say(f"The file does not say the {wanted}. Fill in the marked fields.")
        else:
            self.problem.say(found.problem)
        self._enable()

    def _on_failed(self, problem: Any) -> None:
        self._found = None
        self.recognized.setText("")
        self.problem.say(problem)
        self._enable()

    def _on_config(self, section: str) -> None:
        if section == "load":
            if self._paths:
                self._describe()
            self._show_blocks()

    # --- opening -----------------------------------------------------------------------------

    def _open(self) -> None:
        paths, load = list(self._paths), self._load()

        def work(stop: Stop) -> tuple[Acquisition, LayerData]:
            acquisition = open_acquisition(paths, load)
            return acquisition, acquisition_layer(acquisition)

        self.problem.say(None)
        self._opening.start(waits(work))
        self._enable()

    def _on_opened(self, opened: tuple[Acquisition, LayerData]) -> None:
        acquisition, layer = opened
        self.session.expect(acquisition, self._paths, self._load())
        self.viewer.add_layer(make_layer(layer, "acquisition"))

    def _enable(self) -> None:
        ready = self._found is not None and self._found.problem is None
        self.open_button.setEnabled(ready and not self._opening.running)
        self.open_button.setText("Opening…" if self._opening.running else "Open")

    # --- blocks -------------------------------------------------------------------------------

    def _on_acquisition(self) -> None:
        if self.session.paths and self.session.paths != self._paths:
            self.set_paths(list(self.session.paths))
        self._show_blocks()

    def _show_blocks(self) -> None:
        acquisition = self.session.acquisition
        shown = acquisition is not None
        self.blocks.setVisible(shown)
        self.blocks_title.setVisible(shown)
        if acquisition is None:
            return
        blocks = acquisition.blocks(self.session.config.load.frames_per_block)
        self.blocks_title.setText(
            f"Blocks of {acquisition.name}: {len(blocks)}, {acquisition.n_frames} frames, "
            f"{acquisition.duration_s:.2f} s"
        )
        self.blocks.setRowCount(min(len(blocks), _MOST_BLOCKS))
        for row, block in enumerate(blocks[:_MOST_BLOCKS]):
            last = block.first_frame + block.n_frames - 1
            cells = (str(block.index), f"{block.first_frame}-{last}", Path(block.source.name).name)
            for column, text in enumerate(cells):
                self.blocks.setItem(row, column, QTableWidgetItem(text))
        self.blocks.resizeColumnToContents(0)
        self.blocks.resizeColumnToContents(1)

    def _go_to_block(self, row: int, column: int) -> None:
        acquisition = self.session.acquisition
        if acquisition is None or self.viewer.dims.ndim < 4:
            return
        block = acquisition.blocks(self.session.config.load.frames_per_block)[row]
        self.viewer.dims.set_point(0, block.first_frame / acquisition.rate_hz)


def _table(found: FileDescription) -> str:
    """What was recognized, a line a fact."""
    rows = [("Format", found.format + (f", {found.n_files} files" if found.n_files > 1 else ""))]
    if found.variable is not None and found.shape is not None:
        t, z, y, x = found.shape
        rows += [
            ("Array", f"{found.variable}, stored {found.axes}, {found.kind}"),
            ("Frames", f"{t} of {z} x {y} x {x} voxels (z, y, x)"),
        ]
    for label, value, unit in (
        ("Spacing", found.voxel_um, "um (z, y, x)"),
        ("Rate", found.rate_hz, "Hz"),
        ("Wavelength", found.wavelength_um, "um"),
    ):
        numbers = value if isinstance(value, tuple) else (value,)
        known = value is not None
        text = f"{', '.join(f'{v:.5g}' for v in numbers)} {unit}" if known else "not known"
        rows.append((label, text))
    body = "".join(
        f"<tr><td style='padding-right:8px'>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>"
        for k, v in rows
    )
    notes = "".join(f"<li>{html.escape(text)}</li>" for text in found.notes)
    return f"<table>{body}</table>" + (f"<small><ul>{notes}</ul></small>" if notes else "")


def _hint(form: SettingsForm, found: FileDescription) -> None:
    """Show in empty fields what stands in the file."""
    for name, control in form.controls.items():
        box: Any = getattr(control, "box", None)
        if not isinstance(box, QLineEdit) or not hasattr(found, name):
            continue
        value = getattr(found, name)
        numbers = value if isinstance(value, tuple) else (value,)
        text = " ".join(f"{v:.5g}" if isinstance(v, float) else str(v) for v in numbers)
        box.setPlaceholderText(f"{text} (from the file)" if value is not None else "not known")
