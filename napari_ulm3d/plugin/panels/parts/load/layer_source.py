"""From layer: use frames, points and tracks that are already in the viewer."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import UlmError
from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.jobs.job import Job, Problem, Stop, waits
from napari_ulm3d.plugin.layers.adopt import (
    acquisition_of_layer,
    can_be_adopted,
    localizations_of_layer,
    rate_of_layer,
    tracks_of_layer,
)
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.panels.panel import button
from napari_ulm3d.plugin.session import Session

__all__ = ["LayerSource"]


class LayerSource(QWidget):
    """A list of layers not made by the plugin, and a button to use one.

    Parameters
    ----------
    load
        Returns the values of the panel's fields, called at each click.

    Signals
    -------
    told(object)
        A `Problem`, or None if all is well.
    """

    told = Signal(object)

    def __init__(self, session: Session, load: Any) -> None:
        super().__init__()
        self._session, self._load = session, load
        self._names: list[str] = []
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.layers = calm(QComboBox())
        self.layers.setToolTip(
            "Layers that were not made by ULM 3D: an image (t, z, y, x), or (t, z, x) in 2-D, is an "
            "acquisition; tracks are a result to map, filter and measure; points are linked first. "
            "Their scale and units give voxel size and frame rate, unless you fill them in below."
        )
        self.use_button = button("Use layer", "Use this layer.", self._use)
        row.addWidget(QLabel("From layer"))
        row.addWidget(self.layers, 1)
        row.addWidget(self.use_button)
        self._job = Job(self)
        self._job.finished.connect(lambda take: take())
        self._job.failed.connect(self.told)
        self._job.ended.connect(self._refresh)
        events = session.viewer.layers.events
        for event in (events.inserted, events.removed, events.renamed):
            event.connect(self._refresh)
        self.destroyed.connect(_Forget(events, self._refresh))
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        names = [layer.name for layer in self._session.viewer.layers if can_be_adopted(layer)]
        if names != self._names:
            chosen = self.layers.currentText()
            self.layers.clear()
            self.layers.addItems(names)
            self.layers.setCurrentIndex(max(self.layers.findText(chosen), 0) if names else -1)
            self._names = names
        self.setVisible(bool(names))
        self.use_button.setEnabled(bool(names) and not self._job.running)

    def _use(self) -> None:
        from napari.layers import Image

        layer = self._session.viewer.layers[self.layers.currentText()]
        load: LoadConfig = self._load()
        self.told.emit(None)
        try:
            if isinstance(layer, Image):
                self._take_frames(layer, load)
            else:
                self._take_tracks(layer, load)
        except UlmError as error:
            self.told.emit(Problem(str(error)))
        self._refresh()

    def _take_frames(self, layer: Any, load: LoadConfig) -> None:
        from napari_ulm3d.plugin.layers.convert import acquisition_layer

        acquisition = acquisition_of_layer(layer, load)

        def work(stop: Stop) -> Any:
            made = acquisition_layer(acquisition)
            return lambda: take(made)

        def take(made: Any) -> None:
            layer.visible = False
            self._session.expect(acquisition, [], load)
            self._session.viewer.add_layer(make_layer(made, "acquisition"))

        self._job.start(waits(work))

    def _take_tracks(self, layer: Any, load: LoadConfig) -> None:
        from napari.layers import Tracks as TracksLayer

        from napari_ulm3d.link import link
        from napari_ulm3d.plugin.jobs.run_series import outcome_of
        from napari_ulm3d.plugin.state.saved_results import result_of_rows
        from napari_ulm3d.tables import Localizations

        rate_hz, session = rate_of_layer(layer, load), self._session
        linked = isinstance(layer, TracksLayer)
        rows: Any = tracks_of_layer(layer, load) if linked else localizations_of_layer(layer, load)
        config, name, like = session.config, layer.name, session.acquisition

        def work(stop: Stop) -> Any:
            found = Localizations.empty() if linked else rows
            tracks = rows if linked else link(rows, rate_hz, config.link)
            outcome = outcome_of(result_of_rows(tracks, found, like, name, rate_hz, config))
            return lambda: take(outcome)

        def take(outcome: Any) -> None:
            layer.visible = False
            layers = [made for made in outcome.layers if made is not None]
            session.expect_result(outcome.result, tuple(layers))

        self._job.start(waits(work))


class _Forget:
    """Disconnect, because napari must not call into the deleted Qt object of a closed panel."""

    def __init__(self, events: Any, callback: Any) -> None:
        self._events, self._callback = events, callback

    def __call__(self, *_: Any) -> None:
        self._events.inserted.disconnect(self._callback)
        self._events.removed.disconnect(self._callback)
        self._events.renamed.disconnect(self._callback)
