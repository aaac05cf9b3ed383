"""How much of the tracks is shown: all of them, or the last frames up to the time slider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["SPAN", "TrackSpan", "apply_span", "span_of", "suit_display"]

#: Metadata key of a layer's `TrackSpan`.
SPAN = "ulm3d_span"

# napari fades a track along its tail; with one this many times as long, no fading is visible.
_NO_FADING = 100


@dataclass(frozen=True)
class TrackSpan:
    """Which frames of the tracks are drawn.

    Attributes
    ----------
    last_frames
        Number of frames up to the time slider; None: all, at any time.
    chosen
        Whether the user chose this; otherwise it follows the display mode, with all tracks in 3-D.
    """

    last_frames: int | None = None
    chosen: bool = False


def span_of(layer: Any) -> TrackSpan:
    """What a layer of tracks shows now."""
    known = layer.metadata.get(SPAN)
    return known if known is not None else TrackSpan(int(layer.tail_length))


def apply_span(layer: Any, span: TrackSpan) -> None:
    """Draw these frames of a Tracks layer."""
    if span.last_frames is None:
        n_frames = int(layer.data[:, 1].max()) + 1
        tail, head = _NO_FADING * n_frames, n_frames
    else:
        tail, head = span.last_frames, 0
    if (layer.tail_length, layer.head_length) != (tail, head):
        layer.tail_length, layer.head_length = tail, head
    layer.metadata = {**layer.metadata, SPAN: span}


def suit_display(layer: Any, n_displayed: int, last_frames: int = 30) -> None:
    """Show all tracks in 3-D and the last frames in a slice, unless the user chose otherwise."""
    if not span_of(layer).chosen:
        apply_span(layer, TrackSpan(None if n_displayed == 3 else last_frames))
