"""Chains of points through the frames, built frame by frame.

There are two stages, with the semantics of simpletracker (J.-Y. Tinevez), the linker of PALA
(Heiles et al., Nat. Biomed. Eng. 2022) and Open-3DULM: points of consecutive frames are
linked first; then a chain that ended in frame i may be continued by a chain that began in frame
i + 2, else i + 3, ... up to the longest gap, earlier ends first. Both stages use the
optimal assignment of `assignment` (in simpletracker, the second stage links the nearest pair
first), or that of `prediction` if there is a model of the motion. The gate for every frame distance is
given, so this file uses neither speed nor time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.link.assignment import assign
from napari_ulm3d.link.gapless import gapless_labels
from napari_ulm3d.link.prediction import MotionModel, advance, assign_moving, begin

__all__ = ["Chain", "ChainBuilder", "chain_labels"]

Points = NDArray[np.float64]
_UNKNOWN = np.zeros((4, 3))


class Chain:
    """Points of one bubble, in frame order."""

    __slots__ = ("done", "head", "id", "rows", "start")

    def __init__(self, start: int, row: Any) -> None:
        self.start = start
        self.rows = [row]
        self.head = self  # the chain continued by this one, else itself
        self.id = -1
        self.done = False


@dataclass
class _Slice:
    """Points of one frame, with their chains."""

    position: Points
    shift: Points
    chains: list[Chain]
    state: NDArray[np.float64] | None = None

    def keep(self, index: NDArray[np.intp]) -> _Slice:
        chosen = [self.chains[k] for k in index]
        state = None if self.state is None else self.state[index]
        return _Slice(self.position[index], self.shift[index], chosen, state)


class ChainBuilder:
    """Accepts frames in order and returns finished, numbered chains.

    Parameters
    ----------
    gates
        ``gates[k - 1]`` is the maximum length of a link between points k frames apart; as many
        gates as the longest gap requires (one: no gaps).
    min_points
        Chains with fewer points are dropped.

    Notes
    -----
    Kept chains are numbered by their first frame, then by their row in it. A number is
    assigned as soon as all earlier chains are known to be kept or dropped, which takes at most
    `min_points` points of an undecided chain. Memory therefore contains only the live chains and
    a few frames, and the numbers do not depend on how the frames are divided into
    chunks.
    """

    def __init__(
        self, gates: Sequence[float], min_points: int = 1, model: MotionModel | None = None
    ) -> None:
        self.gates = [float(gate) for gate in gates]
        self.model = model
        self.min_points = min_points
        self.finished: list[Chain] = []
        self._frame: int | None = None
        self._last: _Slice | None = None
        self._ends: dict[int, _Slice] = {}
        self._starts: dict[int, _Slice] = {}
        self._undecided: deque[Chain] = deque()
        self._next_id = 0

    def push(self, frame: int, position: Points, shift: Points, rows: list[Any]) -> None:
        """Add the points of the next frame.

        Parameters
        ----------
        frame
            Frame number; greater than that of the previous frame.
        position, shift
            (n, 3) position, and half the expected displacement within one frame.
        rows
            n objects, one per point, collected in the chains.
        """
        if self._last is not None and self._frame is not None and frame != self._frame + 1:
            self._ends[self._frame] = self._last
            self._last = None
        chains: list[Chain | None] = [None] * len(rows)
        state = None if self.model is None else begin(position, shift, self.model.variances)
        if self._last is not None and self._frame is not None:
            targets = self._assign(self._last, position, shift, 1)
            if self.model is not None:
                state = _continued(state, self._last.state, targets, position, shift, self.model)
            for chain, j in zip(self._last.chains, targets.tolist(), strict=True):
                if j >= 0:
                    chain.rows.append(rows[j])
                    chains[j] = chain
            unlinked = np.flatnonzero(targets < 0)
            if unlinked.size:
                self._ends[self._frame] = self._last.keep(unlinked)
        begun = [j for j, chain in enumerate(chains) if chain is None]
        whole = _Slice(
            position,
            shift,
            [Chain(frame, rows[j]) if c is None else c for j, c in enumerate(chains)],
            state,
        )
        if begun:
            self._starts[frame] = whole.keep(np.array(begun))
            self._undecided.extend(self._starts[frame].chains)
        self._frame, self._last = frame, whole
        self._close_gaps(frame - len(self.gates))

    def finish(self) -> None:
        """End all chains; the builder can then start again."""
        if self._last is not None and self._frame is not None:
            self._ends[self._frame] = self._last
            self._last = None
            self._close_gaps(self._frame)
            self._starts.clear()

    def take_finished(self) -> list[Chain]:
        """Return the chains finished since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def _assign(self, source: _Slice, position: Points, shift: Points, apart: int) -> NDArray[Any]:
        gate = self.gates[apart - 1]
        if self.model is not None:
            model = self.model
            return assign_moving(
                source.position,
                source.state,
                position,
                shift,
                gate,
                apart,
                model.variances,
                model.unlinked,
            )
        return assign(source.position, source.shift * apart, position, shift * apart, gate)

    def _close_gaps(self, until: int) -> None:
        """Continue or end the chains whose last point is in a frame up to `until`."""
        reach = len(self.gates)
        for frame in sorted(frame for frame in self._ends if frame <= until):
            ends = self._ends.pop(frame)
            for apart in range(2, reach + 1):
                starts = self._starts.get(frame + apart)
                if starts is None or not ends.chains:
                    continue
                targets = self._assign(ends, starts.position, starts.shift, apart)
                for chain, j in zip(ends.chains, targets.tolist(), strict=True):
                    if j >= 0:
                        _continue(chain, starts.chains[j])
                free = np.setdiff1d(np.arange(len(starts.chains)), targets)
                self._starts[frame + apart] = starts.keep(free)
                ends = ends.keep(np.flatnonzero(targets < 0))
            for chain in ends.chains:
                chain.head.done = True
                if chain.head.id >= 0:
                    self.finished.append(chain.head)
        for frame in [frame for frame in self._starts if frame < until + 2]:
            del self._starts[frame]
        self._decide(until)

    def _decide(self, closed: int) -> None:
        """Number or drop chains in the order in which they began, as far as known."""
        while self._undecided:
            chain = self._undecided[0]
            own = chain.head is chain
            if own and not chain.done:
                settled = len(self.gates) == 1 or chain.start <= closed + 2
                if not settled or len(chain.rows) < self.min_points:
                    return
            self._undecided.popleft()
            if own and len(chain.rows) >= self.min_points:
                chain.id = self._next_id
                self._next_id += 1
                if chain.done:
                    self.finished.append(chain)


def _continued(
    begun: Any,
    last: Any,
    targets: NDArray[np.int64],
    position: Points,
    shift: Points,
    model: MotionModel,
) -> NDArray[np.float64]:
    """States of the points of a frame; those that continue a chain update its state."""
    linked = np.flatnonzero(targets >= 0)
    found = targets[linked]
    begun[found] = advance(last[linked], position[found], shift[found], 1, model.variances)
    return np.asarray(begun)


def _continue(chain: Chain, later: Chain) -> None:
    """Make `later` the continuation of `chain`; both then share one list of points."""
    chain.rows.extend(later.rows)
    later.rows = chain.rows
    later.head = chain.head


def chain_labels(
    frame: NDArray[np.integer],
    position: NDArray[np.floating],
    gates: Sequence[float],
    shift: NDArray[np.floating] | None = None,
    breaks: Sequence[int] = (),
    model: MotionModel | None = None,
) -> NDArray[np.int64]:
    """Number of the chain of each point, in any unit of length.

    Parameters
    ----------
    frame
        (n,) frame numbers, ascending.
    position
        (n, d) positions, d of 1 to 3.
    gates
        ``gates[k - 1]``: maximum length of a link between points k frames apart.
    shift
        (n, d) half the displacement expected within one frame; None: unknown.
    breaks
        Frames at which a new sequence begins, ascending; no chain crosses them.
    model
        Model of the motion; None: as many links as possible, as short as possible.

    Returns
    -------
    (n,) labels from 0, in the order of the chains' first points.
    """
    padded, ahead = np.zeros((len(frame), 3)), np.zeros((len(frame), 3))
    padded[:, : position.shape[1]] = position
    if shift is not None:
        ahead[:, : shift.shape[1]] = shift
    numbers, first = np.unique(frame, return_index=True)
    sequence = [bisect_right(breaks, number) for number in numbers.tolist()]
    start = np.append(first, len(frame))
    if len(gates) == 1:
        follows = (np.diff(numbers) == 1) & (np.diff(sequence) == 0)
        variances, unlinked = (model.variances, model.unlinked) if model else (_UNKNOWN, 0.0)
        return gapless_labels(
            start, follows, padded, ahead, float(gates[0]), model is not None, variances, unlinked
        )
    builder = ChainBuilder(gates, model=model)
    last = 0
    for k, part in enumerate(slice(*cut) for cut in pairwise(start.tolist())):
        if sequence[k] != last:
            builder.finish()
            last = sequence[k]
        rows = list(range(part.start, part.stop))
        builder.push(int(numbers[k]), padded[part], ahead[part], rows)
    builder.finish()
    labels = np.full(len(frame), -1, np.int64)
    for chain in builder.take_finished():
        labels[chain.rows] = chain.id
    return labels
