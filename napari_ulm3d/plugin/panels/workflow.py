"""ULM workflow: all panels in the order in which they are needed."""

from __future__ import annotations

from napari_ulm3d.plugin.controls.section import Section
from napari_ulm3d.plugin.panels.clutter import ClutterPanel
from napari_ulm3d.plugin.panels.compare import ComparePanel
from napari_ulm3d.plugin.panels.export import ExportPanel
from napari_ulm3d.plugin.panels.history import HistoryPanel
from napari_ulm3d.plugin.panels.load import LoadPanel
from napari_ulm3d.plugin.panels.localize import LocalizePanel
from napari_ulm3d.plugin.panels.log import LogPanel
from napari_ulm3d.plugin.panels.maps import MapsPanel
from napari_ulm3d.plugin.panels.panel import Panel
from napari_ulm3d.plugin.panels.sparsify import SparsifyPanel

__all__ = ["WorkflowPanel"]

_STEPS: tuple[type[Panel], ...] = (
    LoadPanel,
    ClutterPanel,
    SparsifyPanel,
    LocalizePanel,
    MapsPanel,
    ComparePanel,
    ExportPanel,
)
# Of use at any step.
_BESIDE: tuple[type[Panel], ...] = (HistoryPanel, LogPanel)


class WorkflowPanel(Panel):
    """From files to vessel maps, a section a step; one is open at first."""

    title = "ULM workflow"

    def build(self) -> None:
        self.sections: dict[str, Section] = {}
        self.panels: dict[str, Panel] = {}
        for number, kind in enumerate(_STEPS + _BESIDE, start=1):
            panel = kind(self.session)
            step = f"{number}. {kind.title}" if kind in _STEPS else kind.title
            section = Section(step.replace("&", "&&"), panel)
            self.column.addWidget(section)
            self.sections[kind.title] = section
            self.panels[kind.title] = panel
        self.sections[LoadPanel.title].expand()
        # Following the work: the next step opens when there is something for it.
        self.session.acquisition_changed.connect(self._on_acquisition)
        if self.session.acquisition is not None:
            self._on_acquisition()

    def _on_acquisition(self) -> None:
        if self.session.acquisition is not None:
            for title in (ClutterPanel.title, LocalizePanel.title):
                self.sections[title].expand()
