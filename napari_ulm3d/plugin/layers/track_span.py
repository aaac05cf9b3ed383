"""How much of the tracks is seen at a time: all of them, or the last frames before the slider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["SPAN", "TrackSpan", "apply_span", "span_of", "suit_display"]

#: Key of a layer's metadata under which its `TrackSpan` stands.
SPAN = "ulm3d_span"

# napari fades a track along its tail: over so many times its length nothing fades visibly.
_NO_FADING = 100


@dataclass(frozen=True)
class TrackSpan:
    """Which frames of the tracks are drawn.

    Attributes
    ----------
    last_frames
        So many up to the time slider; None: all, whatever the time.
    chosen
        Whether a person said so; else it follows the display, all of them in 3-D.
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
    """All tracks in 3-D, the last frames in a slice, unless a person chose otherwise."""
    if not span_of(layer).chosen:
        apply_span(layer, TrackSpan(None if n_displayed == 3 else last_frames))
