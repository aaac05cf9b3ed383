"""Refine map: complete, sharpen or segment a vessel map with a network, as a prediction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QFileDialog, QProgressBar, QSlider

from napari_ulm3d.networks.weights import shipped_weights
from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.rows import form
from napari_ulm3d.plugin.jobs.job import Job, LatestJob
from napari_ulm3d.plugin.jobs.refine_map import (
    Order,
    cost_work,
    layer_map,
    refinable,
    refine_work,
)
from napari_ulm3d.plugin.layers.place import Placer, find_layer, place, remove
from napari_ulm3d.plugin.layers.predicted import KINDS, MEASURED, PREDICTED, show_from
from napari_ulm3d.plugin.panels.panel import Panel, button, note

__all__ = ["RefinePanel"]

_TASKS = {
    "complete": "Complete: what a longer acquisition would fill",
    "superres": "Sharpen: the same vessels on finer voxels",
    "segment": "Segment: vessels against noise",
}
_RESULT = "Density map of the result"
_PREDICTED = (
    "Orange voxels are predicted by a network, not measured. They are never used "
    "for tracks, resolution, saturation or scores."
)


class RefinePanel(Panel):
    """Refines any map or volume in the viewer and overlays the prediction."""

    title = "Refine map"

    def build(self) -> None:
        self._job = Job(self)
        self._job.progressed.connect(self._on_progress)
        self._job.finished.connect(self._on_refined)
        self._job.failed.connect(self.problem.say)
        self._job.ended.connect(self._on_ended)
        self._cost = LatestJob(self)
        self._cost.finished.connect(self._on_cost)
        self._cost.failed.connect(lambda problem: self._on_cost(problem.sentence))
        self._placer = Placer(self)
        self.source = calm(QComboBox())
        self.source.setToolTip("The result's density map, or any volume or plane in the viewer.")
        self.task = calm(QComboBox())
        for name, text in _TASKS.items():
            self.task.addItem(text, name)
        self.factor = calm(QComboBox())
        for factor in (2, 4):
            self.factor.addItem(f"{factor} times finer", factor)
        self.weights = calm(QComboBox())
        self.weights.setToolTip("Weights of the network, included or trained by you.")
        rows = form()
        rows.addRow("Map", self.source)
        rows.addRow("Task", self.task)
        rows.addRow("Voxels", self.factor)
        rows.addRow("Weights", self.weights)
        self.column.addLayout(rows)
        self.cost = note()
        self.column.addWidget(self.cost)
        self.preview_button = button(
            "Preview a box",
            "Refine 64 voxels a side around the current position, or the densest place if empty.",
            self._preview,
        )
        self.refine_button = button("Refine the whole map", "", self._refine)
        self.cancel_button = button(
            "Cancel", "Stop after the current network layer.", self._job.stop
        )
        self.cancel_button.setEnabled(False)
        self.row(self.preview_button, self.refine_button, self.cancel_button)
        self.bar = QProgressBar()
        self.bar.setRange(0, 100)
        self.bar.hide()
        self.column.addWidget(self.bar)
        self.least = QSlider(Qt.Orientation.Horizontal)
        self.least.setRange(1, 99)
        self.least.setToolTip("Show only voxels with at least this probability of being vessel.")
        self.least.valueChanged.connect(self._on_least)
        self.least.setEnabled(False)
        self.least_text = note("Min probability")
        self.column.addWidget(self.least_text)
        self.column.addWidget(self.least)
        self.status = note(_PREDICTED)
        self.column.addWidget(self.status)
        self.refined: Any = None
        # Layers arrive one by one: rebuild the list once they are all there.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._offer_sources)
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            event.connect(self._on_layers)
        self.session.result_changed.connect(self._offer_sources)
        self.task.currentIndexChanged.connect(self._on_task)
        for box in (self.source, self.factor):
            box.currentIndexChanged.connect(self._ask_cost)
        self.weights.activated.connect(self._on_weights)
        self._offer_sources()
        self._on_task()

    # --- what can be chosen ---------------------------------------------------------------

    def _on_layers(self, *_: Any) -> None:
        self._later.start()

    def _offer_sources(self) -> None:
        before = self.source.currentData()
        self.source.blockSignals(True)
        self.source.clear()
        result = self.session.result
        if result is not None and "density" in result.maps:
            self.source.addItem(_RESULT, _RESULT)
        for layer in self.viewer.layers:
            if refinable(layer) and layer is not find_layer(self.viewer, MEASURED):
                self.source.addItem(layer.name, layer)
        at = [self.source.itemData(k) for k in range(self.source.count())]
        self.source.setCurrentIndex(at.index(before) if before in at else 0)
        self.source.blockSignals(False)
        ready = bool(self.source.count()) and not self._job.running
        for push in (self.preview_button, self.refine_button):
            push.setEnabled(ready)
        if self.source.currentData() is not before or not self.cost.text():
            self._ask_cost()

    def _on_task(self) -> None:
        task = self.task.currentData()
        self.factor.setEnabled(task == "superres")
        self.weights.clear()
        if task in shipped_weights():
            self.weights.addItem("included", None)
        self.weights.addItem("Choose a file…", "")
        self._ask_cost()

    def _on_weights(self) -> None:
        if self.weights.currentData() == "":
            path, _ = QFileDialog.getOpenFileName(
                self, "Network weights", "", "Weights (*.safetensors)"
            )
            if path:
                self.use_weights(path)
            else:
                self.weights.setCurrentIndex(0)
        self._ask_cost()

    def use_weights(self, path: str) -> None:
        """Use the weights in a file."""
        self.weights.insertItem(0, Path(path).name, path)
        self.weights.setCurrentIndex(0)
        self._ask_cost()

    def _order(self) -> Order | None:
        chosen, weights = self.source.currentData(), self.weights.currentData()
        if chosen is None or weights == "":
            return None
        result = self.session.result
        if not isinstance(chosen, str):
            read: Callable[[], Any] = partial(_one, chosen)
        elif result is not None:
            read = partial(dict, result.maps)
        else:
            return None
        return Order(read, self.task.currentData(), self.factor.currentData(), weights)

    def showEvent(self, event: Any) -> None:
        """Catch up with what happened behind another tab."""
        super().showEvent(event)
        self._ask_cost()

    def _ask_cost(self) -> None:
        if not self.isVisible():
            return
        order = self._order()
        if order is not None:
            self._cost.request(cost_work(order))
        elif self.source.count():
            self._on_cost("No weights are included for this task: choose a file.")
        else:
            self._on_cost("Nothing to refine yet: run an acquisition, or open a volume.")

    def _on_cost(self, text: str) -> None:
        self.cost.setText(text)

    # --- doing it -------------------------------------------------------------------------

    def _preview(self) -> None:
        point = tuple(float(p) for p in self.viewer.dims.point)[-3:]
        z, y, x = (0.0,) * (3 - len(point)) + point
        self._begin((z, y, x))

    def _refine(self) -> None:
        self._begin(None)

    def _begin(self, centre_um: tuple[float, float, float] | None) -> None:
        order = self._order()
        if self._job.running:
            return
        if order is None:
            self.problem.say(self.cost.text())
            return
        self.problem.say(None)
        self.bar.setValue(0)
        self.bar.show()
        for push in (self.preview_button, self.refine_button):
            push.setEnabled(False)
        self.cancel_button.setEnabled(True)
        self._job.start(refine_work(order, centre_um, self._job.tell))

    def _on_refined(self, outcome: Any) -> None:
        self.refined, layers = outcome
        p, added = self.refined.probability, self.refined.added()
        vessels = self.refined.mask().index.size
        self.status.setText(
            " ".join(
                [
                    f"{vessels:,} voxels predicted as vessel, {added.index.size:,} of them without "
                    f"a measurement (weights {self.refined.weights['name']}).",
                    *self.refined.notes,
                    _PREDICTED,
                ]
            )
        )
        self.least.setEnabled(bool(p.index.size))
        self.least.setValue(round(100 * self.refined.least))
        roles = {layer.metadata["ulm3d_role"] for layer in layers}
        gone = [role for role in (MEASURED, PREDICTED, KINDS) if role not in roles]
        self._placer.take_turns(
            *(partial(remove, self.viewer, role) for role in gone),
            *(partial(self._put, layer) for layer in layers),
        )

    def _put(self, layer: Any) -> None:
        shown = place(self.viewer, layer)
        if shown.metadata["ulm3d_role"] == PREDICTED:
            show_from(shown, self.least.value() / 100)

    def _on_progress(self, share: float) -> None:
        self.bar.setValue(round(100 * share))

    def _on_ended(self) -> None:
        self.bar.hide()
        self.cancel_button.setEnabled(False)
        self._offer_sources()

    def _on_least(self, percent: int) -> None:
        self.least_text.setText(f"Min probability: {percent / 100:.2f}")
        layer = find_layer(self.viewer, PREDICTED)
        if layer is not None:
            show_from(layer, percent / 100)


def _one(layer: Any) -> dict[str, Any]:
    return {"density": layer_map(layer)}
