"""ULM workflow: all panels in the order in which they are needed."""

from __future__ import annotations

from napari_ulm3d.plugin.widgets.clutter import ClutterPanel
from napari_ulm3d.plugin.widgets.export import ExportPanel
from napari_ulm3d.plugin.widgets.load import LoadPanel
from napari_ulm3d.plugin.widgets.localize import LocalizePanel
from napari_ulm3d.plugin.widgets.maps import MapsPanel
from napari_ulm3d.plugin.widgets.panel import Panel
from napari_ulm3d.plugin.widgets.section import Section
from napari_ulm3d.plugin.widgets.sparsify import SparsifyPanel

__all__ = ["WorkflowPanel"]

_STEPS: tuple[type[Panel], ...] = (
    LoadPanel,
    ClutterPanel,
    SparsifyPanel,
    LocalizePanel,
    MapsPanel,
    ExportPanel,
)


class WorkflowPanel(Panel):
    """From files to vessel maps, a section a step; one is open at first."""

    title = "ULM workflow"

    def build(self) -> None:
        self.sections: dict[str, Section] = {}
        self.panels: dict[str, Panel] = {}
        for number, kind in enumerate(_STEPS, start=1):
            panel = kind(self.session)
            section = Section(f"{number}. {kind.title}".replace("&", "&&"), panel)
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
