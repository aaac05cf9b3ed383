"""Split a block into pieces that a network processes one by one, with the context it needs.

The prediction for a voxel depends on the frames and voxels within the network's receptive field. A
piece therefore includes this margin around the voxels whose predictions are kept, so that the
pieces together give the result for the whole block, whatever the memory. A piece that is too
large is halved along the axis, of space or time, that gives the smaller pieces.
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
"""First and one-past-last index along an axis."""
Box = tuple[Span, Span, Span, Span]
"""Spans along t, z, y, x."""


@dataclass(frozen=True)
class Context:
    """Receptive field of a network around a voxel.

    Attributes
    ----------
    frames, voxels
        Its extent in time on either side, and in space in each direction.
    stride
        Stride of its coarsest level. Pieces start and end at multiples of it, counted from the
        respective end of the volume, so that voxels are pooled as in the whole volume, also in the
        mirror image.
    """

    frames: int
    voxels: int
    stride: int = 1


@dataclass(frozen=True)
class Piece:
    """Input box of a network, and the box whose predictions are kept."""

    given: Box
    kept: Box

    @property
    def n_frames(self) -> int:
        """Number of input frames."""
        return self.given[0][1] - self.given[0][0]

    @property
    def size(self) -> int:
        """Number of voxels of the kept box, over all frames."""
        return prod(high - low for low, high in self.kept)

    def __str__(self) -> str:
        shape = " x ".join(str(high - low) for low, high in self.given[1:])
        return f"{self.n_frames} frames of {shape} voxels"


class Cutter:
    """Splits a block.

    Parameters
    ----------
    coordinates
        (n, 4) t, z, y, x of the kept voxels, frames ascending.
    shape
        Shape of the block.
    context
        Receptive field of the network.
    in_time
        Whether time may be split as well as space.
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
        """Receptive field of the network."""
        return self._context

    @property
    def n_frames(self) -> int:
        """Number of frames of the block."""
        return self._shape[0]

    @property
    def volume(self) -> int:
        """Number of voxels of a frame."""
        return prod(self._shape[1:])

    @property
    def n_kept(self) -> int:
        """Number of kept voxels of the block."""
        return len(self._coordinates)

    def window(self, kept: Span) -> Piece:
        """Piece of the whole volume for the frames `kept`, with their context."""
        z, y, x = ((0, n) for n in self._shape[1:])
        return self._piece((kept, z, y, x))

    def rows(self, box: Box) -> NDArray[np.intp]:
        """Rows of the coordinates within a box, ascending."""
        low, high = np.searchsorted(self._coordinates[:, 0], box[0])
        rows = np.arange(low, high)
        for axis in (1, 2, 3):
            if box[axis] != (0, self._shape[axis]):
                at = self._coordinates[rows, axis]
                rows = rows[(at >= box[axis][0]) & (at < box[axis][1])]
        return rows

    def n_voxels(self, piece: Piece) -> int:
        """Number of kept voxels in the input box."""
        return len(self.rows(piece.given))

    def halves(self, piece: Piece) -> tuple[Piece, Piece] | None:
        """Halves along the axis that gives the smallest pieces; None if no split helps."""
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
        """The piece, or its parts that fit; too large a part is returned if it cannot be split."""
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
    # Multiples counted from the other end, where the mirror image begins.
    return low, n - max(0, n - span[1] - by) // step * step


def _with(box: Box, axis: int, span: Span) -> Box:
    t, z, y, x = (span if k == axis else own for k, own in enumerate(box))
    return (t, z, y, x)


def time_windows(
    n_frames: int, margin: int, longest: int | None = None, *, alone: bool = False
) -> list[Span]:
    """Frames whose predictions are kept in each window of a block, in order.

    Parameters
    ----------
    n_frames
        Number of frames of the block.
    margin
        Additional input frames on either side of a window.
    longest
        Maximum number of input frames of a window. None: two windows that can be computed in
        parallel, four for a very long block, since every window also computes its margins. Their
        number does not depend on the number of threads, so that the result is reproducible.
    alone
        Windows are computed one at a time, so one is enough.

    Raises
    ------
    ConfigError
        The longest window is not longer than its margins.
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
        # At the ends of the block no margin is needed.
        last = n_frames if start + longest >= n_frames else start + longest - margin
        spans.append((first, last))
        first = last
    return spans


@dataclass(frozen=True)
class Cutting:
    """Partition of a block.

    Attributes
    ----------
    windows
        Kept frames of each window, in order.
    pieces
        Pieces of all windows, in order.
    at_once
        Number of pieces computed at once.
    largest
        Largest number of voxels of a piece.
    times_computed
        Mean number of times that a voxel is computed.
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
    """Split a block for the shortest computation in the available memory.

    With fewer pieces at once, each may be larger, and larger pieces overlap less.

    Parameters
    ----------
    cutter
        Splits the block.
    most_voxels
        Maximum number of voxels per piece, as a function of the number of concurrent pieces.
    longest, alone
        As in `time_windows`.
    at_once
        Maximum number of concurrent pieces.

    Returns
    -------
    The partition; `largest` exceeds the memory if a piece cannot be split enough.

    Raises
    ------
    ConfigError
        As for `time_windows`.
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
