"""Connected components of a mask or of its background, as runs of voxels along x.

`scipy.ndimage.label` writes a number for each voxel, which for the background of a whole brain
takes 600 MB and seconds. A map of vessels has few runs per row, and only these are joined here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["Components"]


@dataclass(frozen=True)
class Components:
    """Connected components in the order of their first voxels.

    Attributes
    ----------
    start, stop
        (n,) flat indices of the first voxel of each run and of the one after its last.
    label
        (n,) component of each run, from 0.
    count
        Number of components.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    label: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, mask: NDArray[np.bool_], *, background: bool = False) -> Components:
        """Label a mask (z, y, x), whose voxels touch at corners, or its background, at faces."""
        if not mask.size:
            none = np.empty(0, np.int64)
            return cls(none, none, none, 0)
        mask = np.ascontiguousarray(mask)
        start, stop, of_row = _runs(mask.reshape(-1, mask.shape[2]), not background)
        label, count = _joined(start, stop, of_row, mask.shape, 0 if background else 1)
        return cls(start, stop, label, int(count))

    def sizes(self) -> NDArray[np.int64]:
        """(count,) number of voxels."""
        out = np.zeros(self.count, np.int64)
        np.add.at(out, self.label, self.stop - self.start)
        return out

    def containing(self, voxels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(count,) whether a component contains any of these voxels, flat indices within the runs."""
        out = np.zeros(self.count, bool)
        out[self.label[np.searchsorted(self.start, voxels, side="right") - 1]] = True
        return out

    def cut_out(
        self, shape: tuple[int, ...], chosen: NDArray[np.bool_]
    ) -> Iterator[tuple[tuple[slice, ...], NDArray[np.bool_]]]:
        """Yield the bounding box in `shape` of each chosen component, and its voxels therein."""
        runs = np.flatnonzero(chosen[self.label])
        runs = runs[np.argsort(self.label[runs], kind="stable")]
        cuts = np.flatnonzero(np.diff(self.label[runs])) + 1
        for mine in np.split(runs, cuts) if len(runs) else []:
            first = np.stack(np.unravel_index(self.start[mine], shape), axis=1)
            last = np.stack(np.unravel_index(self.stop[mine] - 1, shape), axis=1)
            low, high = first.min(axis=0), last.max(axis=0) + 1
            part = np.zeros(high - low, bool)
            for (z, y, x), (_, _, end) in zip(first - low, last - low, strict=True):
                part[z, y, x : end + 1] = True
            yield tuple(map(slice, low.tolist(), high.tolist())), part

    def paint(self, mask: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> None:
        """Set the voxels of the chosen components (count,) in a contiguous mask."""
        assert mask.flags.c_contiguous  # otherwise a copy would be painted
        runs = chosen[self.label]
        _paint(mask.reshape(-1), self.start[runs], self.stop[runs])


@njit(cache=True, nogil=True)
def _runs(
    rows: NDArray[np.bool_], value: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Start and stop of the runs of a value in (n, k) rows, and the first run of each row (n + 1,)."""
    n, k = rows.shape
    of_row = np.zeros(n + 1, np.int64)
    for i in range(n):
        found = 0
        before = not value
        for j in range(k):
            found += rows[i, j] == value and before != value
            before = rows[i, j]
        of_row[i + 1] = of_row[i] + found
    start, stop = np.empty(of_row[n], np.int64), np.empty(of_row[n], np.int64)
    at = 0
    for i in range(n):
        if of_row[i + 1] == of_row[i]:
            continue
        before = not value
        for j in range(k):
            if rows[i, j] != before:
                if before == value:
                    stop[at] = i * k + j
                    at += 1
                else:
                    start[at] = i * k + j
                before = rows[i, j]
        if before == value:
            stop[at] = (i + 1) * k
            at += 1
    return start, stop, of_row


@njit(cache=True, nogil=True)
def _joined(
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
    of_row: NDArray[np.int64],
    shape: tuple[int, int, int],
    corner: int,
) -> tuple[NDArray[np.int64], int]:
    """Join runs of adjacent rows that touch at faces (`corner` = 0) or also at corners (1)."""
    parent = np.arange(len(start))
    planes, lines, k = shape
    for z in range(planes):
        for y in range(lines):
            row = z * lines + y
            for dz in range(2):
                for dy in range(-1, 2):
                    earlier = dz == 1 or dy == -1
                    if not earlier or (not corner and dz * dy != 0):
                        continue
                    if z < dz or y + dy < 0 or y + dy >= lines:
                        continue
                    other = row - dz * lines + dy
                    shift = (row - other) * k
                    i, j = of_row[row], of_row[other]
                    while i < of_row[row + 1] and j < of_row[other + 1]:
                        first, last = start[j] + shift, stop[j] + shift
                        if first < stop[i] + corner and start[i] < last + corner:
                            _join(parent, i, j)
                        if stop[i] < last:
                            i += 1
                        else:
                            j += 1
    label = np.empty(len(start), np.int64)
    count = 0
    for i in range(len(start)):
        root = _root(parent, i)
        if root == i:  # the first run of its component
            label[i] = count
            count += 1
        else:
            label[i] = label[root]
    return label, count


@njit(cache=True, nogil=True)
def _root(parent: NDArray[np.int64], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def _join(parent: NDArray[np.int64], i: int, j: int) -> None:
    a, b = _root(parent, i), _root(parent, j)
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@njit(cache=True, nogil=True)
def _paint(voxels: NDArray[np.bool_], start: NDArray[np.int64], stop: NDArray[np.int64]) -> None:
    for i in range(len(start)):
        voxels[start[i] : stop[i]] = True
