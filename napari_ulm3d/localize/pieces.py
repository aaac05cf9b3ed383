"""Cutting a block into pieces that a network computes one by one, with the context that it needs.

A network's prediction for a voxel depends on the frames and voxels about it, as far as its layers
reach. A piece is therefore given that much more than what is kept of it, and the pieces together
say what the whole block at once would say, whatever the memory. Where a piece is too large it is
halved along the axis, of space or time, that leaves the smaller pieces.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError

__all__ = ["Context", "Cutter", "Cutting", "Piece", "cut_block", "time_windows"]

Span = tuple[int, int]
"""First and past-the-last index along an axis."""
Box = tuple[Span, Span, Span, Span]
"""Spans along t, z, y, x."""


@dataclass(frozen=True)
class Context:
    """What a network looks at about a voxel.

    Attributes
    ----------
    frames, voxels
        How far, in time on either side and in space in each direction.
    stride
        Voxels that its coarsest level takes together. Pieces in space begin and end on that
        raster, seen from either end of the volume, so that the same voxels are taken together in
        a piece, and in its mirror image, as in the whole.
    """

    frames: int
    voxels: int
    stride: int = 1


@dataclass(frozen=True)
class Piece:
    """Frames and voxels that are given to a network, and those whose predictions are kept."""

    given: Box
    kept: Box

    @property
    def n_frames(self) -> int:
        """Frames that are given."""
        return self.given[0][1] - self.given[0][0]

    @property
    def size(self) -> int:
        """Voxels of the volume, over all frames, that are kept."""
        return prod(high - low for low, high in self.kept)

    def __str__(self) -> str:
        shape = " x ".join(str(high - low) for low, high in self.given[1:])
        return f"{self.n_frames} frames of {shape} voxels"


class Cutter:
    """Cuts a block.

    Parameters
    ----------
    coordinates
        (n, 4) t, z, y, x of the voxels kept of the block, frames ascending.
    shape
        Of the block.
    context
        Of the network.
    in_time
        Whether time may be cut as well as space.
    """

    def __init__(
        self,
        coordinates: NDArray[np.int32],
        shape: tuple[int, int, int, int],
        context: Context,
        *,
        in_time: bool = True,
    ) -> None:
        self._coordinates, self._shape, self._context = coordinates, shape, context
        self._axes = range(0 if in_time else 1, 4)

    @property
    def context(self) -> Context:
        """What the network looks at."""
        return self._context

    @property
    def n_frames(self) -> int:
        """Of the block."""
        return self._shape[0]

    @property
    def volume(self) -> int:
        """Voxels of a frame."""
        return prod(self._shape[1:])

    @property
    def n_kept(self) -> int:
        """Voxels kept of the block."""
        return len(self._coordinates)

    def window(self, kept: Span) -> Piece:
        """Frames `kept` of the whole volume, with their context."""
        z, y, x = ((0, n) for n in self._shape[1:])
        return self._piece((kept, z, y, x))

    def rows(self, box: Box) -> NDArray[np.intp]:
        """Rows of the coordinates that lie in a box, ascending."""
        low, high = np.searchsorted(self._coordinates[:, 0], box[0])
        rows = np.arange(low, high)
        for axis in (1, 2, 3):
            if box[axis] != (0, self._shape[axis]):
                at = self._coordinates[rows, axis]
                rows = rows[(at >= box[axis][0]) & (at < box[axis][1])]
        return rows

    def n_voxels(self, piece: Piece) -> int:
        """Kept voxels that are given."""
        return len(self.rows(piece.given))

    def halves(self, piece: Piece) -> tuple[Piece, Piece] | None:
        """Both halves along the axis that leaves the smaller pieces; None if none leaves any."""
        pairs = []
        for axis in self._axes:
            low, high = piece.kept[axis]
            if high - low > 1:
                middle = (low + high) // 2
                first, second = (
                    self._piece(_with(piece.kept, axis, span))
                    for span in ((low, middle), (middle, high))
                )
                sizes = (self.n_voxels(first), self.n_voxels(second))
                pairs.append((max(sizes), sum(sizes), axis, (first, second)))
        if not pairs:
            return None
        largest, _, _, halves = min(pairs, key=lambda pair: pair[:3])
        return halves if largest < self.n_voxels(piece) else None

    def fitting(self, piece: Piece, fits: Callable[[Piece], bool]) -> Iterator[Piece]:
        """The piece, or the parts of it that fit, if it can be cut so far."""
        halves = None if fits(piece) else self.halves(piece)
        if halves is None:
            yield piece
            return
        for half in halves:
            yield from self.fitting(half, fits)

    def _piece(self, kept: Box) -> Piece:
        context, step = self._context, self._context.stride
        frames = _grown(kept[0], context.frames, self._shape[0], 1)
        z, y, x = (
            _grown(span, context.voxels, n, step)
            for span, n in zip(kept[1:], self._shape[1:], strict=True)
        )
        return Piece((frames, z, y, x), kept)


def _grown(span: Span, by: int, n: int, step: int) -> Span:
    low = max(0, span[0] - by) // step * step
    # The mirror image begins at the other end.
    return low, n - max(0, n - span[1] - by) // step * step


def _with(box: Box, axis: int, span: Span) -> Box:
    t, z, y, x = (span if k == axis else own for k, own in enumerate(box))
    return (t, z, y, x)


def time_windows(
    n_frames: int, margin: int, longest: int | None = None, *, alone: bool = False
) -> list[Span]:
    """Frames whose predictions are kept of each window of a block, in order.

    Parameters
    ----------
    n_frames
        Of the block.
    margin
        Frames on either side of them that a window is given as well.
    longest
        Most frames that a window is given; None: two windows that can be computed side by side,
        four of a very long block, since every window computes its margins. Their number does not
        depend on that of the threads, so that the result has the same bits.
    alone
        One window is computed at a time, so one is enough.

    Raises
    ------
    ConfigError
        The longest window has no room for anything but its margins.
    """
    if longest is None:
        margins = n_frames / max(margin, 1)
        count = 1 if alone or margins < 2 else 2 if margins < 16 else 4
        cuts = np.linspace(0, n_frames, count + 1).round().astype(int).tolist()
        return [span for span in itertools.pairwise(cuts) if span[0] < span[1]]
    if longest < n_frames and longest <= 2 * margin:
        raise ConfigError(
            f"network.window_frames={longest} leaves no frame between margins of {margin} frames, "
            f"which is how far the network looks. Set network.window_frames=auto, or at least "
            f"{2 * margin + 1}."
        )
    spans, first = [], 0
    while first < n_frames:
        start = max(0, first - margin)
        # At the block's ends there is no margin to leave room for.
        last = n_frames if start + longest >= n_frames else start + longest - margin
        spans.append((first, last))
        first = last
    return spans


@dataclass(frozen=True)
class Cutting:
    """How a block is cut.

    Attributes
    ----------
    windows
        Frames that are kept of each window, in order.
    pieces
        Of all windows, in order.
    at_once
        How many are computed at once.
    largest
        Most voxels of a piece.
    times_computed
        How often each voxel is computed, on average.
    """

    windows: tuple[Span, ...]
    pieces: tuple[Piece, ...]
    at_once: int
    largest: int
    times_computed: float


def cut_block(
    cutter: Cutter,
    most_voxels: Callable[[int], float],
    longest: int | None = None,
    at_once: int = 1,
    *,
    alone: bool = False,
) -> Cutting:
    """Cut a block so that it is computed soonest in the memory there is.

    Fewer pieces at once may each be larger, and larger ones share fewer voxels with others.

    Parameters
    ----------
    cutter
        Of the block.
    most_voxels
        How many voxels a piece may have, of the number of pieces that are computed at once.
    longest, alone
        As of `time_windows`.
    at_once
        How many pieces can be computed at once.

    Returns
    -------
    The cutting; `largest` exceeds what the memory allows where no piece can be made smaller.

    Raises
    ------
    ConfigError
        As of `time_windows`.
    """
    tried = []
    windows = time_windows(cutter.n_frames, cutter.context.frames, longest, alone=alone)
    while True:
        most = most_voxels(at_once)

        def fits(piece: Piece, most: float = most) -> bool:
            return cutter.n_voxels(piece) <= most

        pieces = [piece for span in windows for piece in cutter.fitting(cutter.window(span), fits)]
        counts = [cutter.n_voxels(piece) for piece in pieces]
        largest, total = max(counts, default=0), sum(counts)
        cutting = Cutting(
            tuple(windows), tuple(pieces), at_once, largest, total / max(1, cutter.n_kept)
        )
        tried.append((largest > most, max(largest, total / at_once), cutting))
        if at_once == 1:
            return min(tried, key=lambda one: one[:2])[2]
        at_once = (at_once + 1) // 2
