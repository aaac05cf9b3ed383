"""Choice between all tracks and those of the last frames."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QWidget

from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.rows import whole_number
from napari_ulm3d.plugin.layers.track_span import TrackSpan

__all__ = ["TrackSpanBox"]

_MOST_FRAMES = 10_000_000


class TrackSpanBox(QWidget):
    """Which frames of the tracks are drawn.

    Signals
    -------
    changed()
        The user changed the choice.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.which = calm(QComboBox())
        self.which.addItems(["all tracks", "last frames"])
        self.which.setToolTip(
            "Show all tracks, or only the last frames up to the current one. The default "
            "is all tracks in 3-D and 30 frames in a slice."
        )
        self.frames = whole_number(
            1, _MOST_FRAMES, 30, "Number of frames up to the current one.", "frames"
        )
        row.addWidget(self.which)
        row.addWidget(self.frames)
        self.which.activated.connect(self._on_chosen)
        self.frames.valueChanged.connect(self._on_chosen)
        self._enable()

    @property
    def span(self) -> TrackSpan:
        """The current choice."""
        all_of_them = self.which.currentIndex() == 0
        return TrackSpan(None if all_of_them else self.frames.value(), chosen=True)

    def show_span(self, span: TrackSpan) -> None:
        """Show the span of a layer without emitting a signal."""
        self.which.setCurrentIndex(0 if span.last_frames is None else 1)
        if span.last_frames is not None:
            self.frames.blockSignals(True)
            self.frames.setValue(span.last_frames)
            self.frames.blockSignals(False)
        self._enable()

    def _on_chosen(self, *_: object) -> None:
        self._enable()
        self.changed.emit()

    def _enable(self) -> None:
        self.frames.setEnabled(self.which.currentIndex() == 1)
