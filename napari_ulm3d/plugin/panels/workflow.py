"""ULM workflow: all panels in order of use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSizePolicy

from napari_ulm3d.errors import UlmError
from napari_ulm3d.plugin.controls.accordion import Accordion, Step
from napari_ulm3d.plugin.panels.panel import Panel, button
from napari_ulm3d.plugin.panels.parts.sample_anew import SampleAnew
from napari_ulm3d.plugin.panels.saving import save_button
from napari_ulm3d.plugin.tour.tour import Tour, begin_tour_once

__all__ = ["WorkflowPanel"]

_PANELS = "napari_ulm3d.plugin.panels"
# Title, module and class of each panel, imported and created when its step is first opened.
_STEPS = {
    "Load": ("load", "LoadPanel"),
    "Clutter & PSF": ("clutter", "ClutterPanel"),
    "Sparsify": ("sparsify", "SparsifyPanel"),
    "Localize & track": ("localize", "LocalizePanel"),
    "Vessel maps": ("maps", "MapsPanel"),
    "Compare & measure": ("results.compare", "ComparePanel"),
    "Export": ("export", "ExportPanel"),
}
# Useful at any step.
_BESIDE = {
    "Refine map": ("results.refine", "RefinePanel"),
    "Run history": ("history", "HistoryPanel"),
    "Log": ("log", "LogPanel"),
}
_LOAD, _LOCALIZE = "Load", "Localize & track"


class WorkflowPanel(Panel):
    """The steps from files to vessel maps, with one open at a time."""

    title = "ULM workflow"

    def build(self) -> None:
        self.column.setContentsMargins(4, 4, 4, 4)
        self._opening: Any = None
        self._load: Any = None
        self.tour: Tour | None = None
        self.sample_button = button(
            "Open the sample",
            "Open a finished run of a simulated mouse cortex, included in the package: "
            "vessel map, tracks and settings.",
            self._open_sample,
        )
        self.next_button = button("", "", self._do_next)
        self.next_button.setStyleSheet("font-weight: bold;")
        self.next_button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.save_button = save_button(self.session)
        self.tour_button = button("?", "Take the tour again (six steps).", self.take_tour)
        self.tour_button.setMaximumWidth(32)
        self.row(self.sample_button, self.save_button, self.tour_button)
        self.anew_button = button(
            "Recompute it",
            "Simulate the frames of the sample and run the whole series with its settings.",
            self._compute_anew,
        )
        self._anew = SampleAnew(self.session, self._run_series, self._on_anew_failed)
        self.row(self.next_button, self.anew_button)
        self.sections: dict[str, Step] = {}
        for number, title in enumerate([*_STEPS, *_BESIDE], start=1):
            label = f"{number}. {title}" if title in _STEPS else title
            self.sections[title] = Step(label, partial(self._make, title))
        self.accordion = Accordion(self.sections)
        self.column.addWidget(self.accordion, 1)
        self.panels: Mapping[str, Any] = _Panels(self.sections)
        self.sections[_LOAD].expand()
        for step in self.sections.values():
            step.toggled.connect(self._say_next)
        self.session.acquisition_changed.connect(self._say_next)
        self.session.result_changed.connect(self._say_next)
        self._say_next()

    def _open_sample(self) -> None:
        from napari_ulm3d.plugin.panels.parts.reopening import Reopening
        from napari_ulm3d.simulate.sample_map import sample_map_path

        if self._opening is None:
            self._opening = Reopening(self.session, self.problem.say)
            self._opening.ended.connect(partial(self._say_opening, False))
        self.problem.say(None)
        self._say_opening(True)
        try:
            self._opening.open(sample_map_path())
        except UlmError as error:
            self.problem.say(str(error))
            self._say_opening(False)

    def _say_opening(self, busy: bool) -> None:
        """Show progress on the button: a slow computer takes seconds to read the sample."""
        self.sample_button.setEnabled(not busy)
        self.sample_button.setText("Opening…" if busy else "Open the sample")

    def _compute_anew(self) -> None:
        self.problem.say(None)
        self._anew.start()
        self._say_next()

    def _run_series(self) -> None:
        self._say_next()
        self.open(_LOCALIZE).series_button.click()

    def _on_anew_failed(self, problem: Any) -> None:
        self.problem.say(problem)
        self._say_next()

    def take_tour(self) -> None:
        """Start the tour in six balloons."""
        if self.tour is None:
            self.tour = Tour(self)
        self.tour.begin()

    def showEvent(self, event: Any) -> None:
        """Offer the tour on first use, once the window is laid out."""
        super().showEvent(event)
        QTimer.singleShot(0, self, lambda: begin_tour_once(self))

    def open(self, title: str) -> Any:
        """Open a step and return its panel."""
        self.sections[title].expand()
        return self.panels[title]

    def step(self, by: int) -> None:
        """Open the step after or before the open one."""
        titles = list(self.sections)
        at = titles.index(self.accordion.opened or titles[0])
        self.open(titles[(at + by) % len(titles)])

    def _make(self, title: str) -> Panel:
        module, name = {**_STEPS, **_BESIDE}[title]
        kind: type[Panel] = getattr(import_module(f"{_PANELS}.{module}"), name)
        panel: Any = kind(self.session)
        if title == _LOAD:
            self._load = panel
            panel.source_changed.connect(self._say_next)
            # In view whichever step is open: files may be dropped at any time.
            self.column.insertWidget(self.column.indexOf(self.accordion), panel.reset_offer)
        return panel

    # --- what comes next ---------------------------------------------------------------------

    @property
    def _next(self) -> str:
        """Offer the most likely next action."""
        session = self.session
        if self._load is not None and self._load.waiting:
            return "open"
        if session.acquisition is None and session.result is None:
            return "load"
        return "run" if session.result is None else "show"

    def _say_next(self, *_: Any) -> None:
        texts = {
            "load": ("Choose a folder…", "Choose an acquisition folder."),
            "open": ("Open these files", "Open what was chosen in Load, and show it in dB."),
            "run": (
                "Make the map",
                "Localize, track and map the whole series with these settings.",
            ),
            "show": (
                "Show vessel map",
                "Show only the map, in 3-D, fitted to the view, with its colour bar.",
            ),
        }
        text, tooltip = texts[self._next]
        self.next_button.setText(text)
        self.next_button.setToolTip(tooltip)
        making = self._anew.job.running
        self.anew_button.setVisible(making or self._anew.is_shown)
        self.anew_button.setEnabled(not making)
        self.anew_button.setText("Simulating…" if making else "Recompute it")

    def _do_next(self) -> None:
        wanted = self._next
        if wanted == "load":
            self.open(_LOAD).choose_folder()
        elif wanted == "open":
            self._load.open_button.click()
        elif wanted == "run":
            self._run_series()
        else:
            from napari_ulm3d.plugin.layers.vessel_view import show_vessel_map

            show_vessel_map(self.viewer)


class _Panels(Mapping[str, Any]):
    """The panels by title, each created on first use."""

    def __init__(self, steps: dict[str, Step]) -> None:
        self._steps = steps

    def __getitem__(self, title: str) -> Any:
        return self._steps[title].content

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)
