"""Super-resolution: coarse maps refined by two and four, compared with interpolation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.vessels.scenes import TEST, VALIDATION, scenes
from napari_ulm3d.refinement import refine

__all__ = ["ORDERS", "THRESHOLDS", "boundary_and_dice", "interpolated", "table"]

SHARES = (0.3, 1.0)
SIDE, EDGE_UM = 20, 40.0
THRESHOLDS = (0.3, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)
ORDERS = {"nearest": 0, "trilinear": 1, "cubic spline": 3, "Lanczos": None}
_LOBES = 3
Mask = NDArray[np.bool_]


def table(count: int, trees: Sequence[str], weights: str | None) -> None:
    """Print the Dice coefficient, and that of the voxels at the vessel borders, by factor."""
    print("\n| | factor | Dice | boundary Dice, 1 voxel |\n| --- | ---: | ---: | ---: |")
    for doublings in (1, 2):
        held, test = (
            scenes(first, n, of, SHARES, SIDE, EDGE_UM, doublings)
            for first, n, of in ((VALIDATION, max(4, count // 2), ()), (TEST, count, trees))
        )
        factor = 2**doublings
        for name, order in ORDERS.items():
            tried = [(s.true, interpolated(s.maps["density"].dense(), factor, order)) for s in held]
            best = max(
                THRESHOLDS, key=lambda t: boundary_and_dice([(a, b >= t) for a, b in tried])[0]
            )
            scores = boundary_and_dice(
                [
                    (s.true, interpolated(s.maps["density"].dense(), factor, order) >= best)
                    for s in test
                ]
            )
            print(f"| {name}, from {best:g} | {factor} | {scores[0]:.3f} | {scores[1]:.3f} |")
        found = [
            (
                s.true,
                refine(s.maps, "superres", factor=factor, weights=weights).mask().dense() > 0,
            )
            for s in test
        ]
        scores = boundary_and_dice(found)
        print(f"| network | {factor} | {scores[0]:.3f} | {scores[1]:.3f} |")


def interpolated(dense: NDArray[np.float32], factor: int, order: int | None) -> NDArray[np.float32]:
    """A finer map, by splines of an order of `ORDERS` or by Lanczos (None)."""
    if order is None:
        return _lanczos(dense, factor)
    return ndimage.zoom(dense, factor, order=order, mode="grid-constant", grid_mode=True)


def _lanczos(dense: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Interpolation with a Lanczos kernel of three lobes along each axis, zero outside."""
    for axis, n in enumerate(dense.shape):
        at = (np.arange(n * factor) + 0.5) / factor - 0.5
        apart = at[:, None] - np.arange(n)
        weights = np.where(
            np.abs(apart) < _LOBES, np.sinc(apart) * np.sinc(apart / _LOBES), 0.0
        ).astype(np.float32)
        dense = np.moveaxis(np.tensordot(weights, dense, (1, axis)), 0, axis)
    return dense


def boundary_and_dice(pairs: Iterable[tuple[Mask, Mask]]) -> tuple[float, float]:
    """Dice, and Dice of the border voxels with a tolerance of one voxel: ratios of the sums over all pairs."""
    sums = np.zeros((2, 2))
    for true, found in pairs:
        sums[0] += 2 * (true & found).sum(), true.sum() + found.sum()
        (a, at_a), (b, at_b) = _border(true), _border(found)
        around = [int(np.dot(step, _strides(true))) for step in np.ndindex(3, 3, 3)]
        middle = around[13]
        near_a, near_b = (
            np.any([mask[at + (step - middle)] for step in around], axis=0).sum()
            for mask, at in ((b, at_a), (a, at_b))
        )
        sums[1] += near_a + near_b, at_a.size + at_b.size
    dice, border = sums[:, 0] / np.maximum(1, sums[:, 1])
    return float(dice), float(border)


def _strides(mask: Mask) -> tuple[int, int, int]:
    """Steps of flat indices along each axis, with a margin of one voxel on each side."""
    _, y, x = (n + 2 for n in mask.shape)
    return y * x, x, 1


def _border(mask: Mask) -> tuple[Mask, NDArray[np.int64]]:
    """Voxels with a neighbour outside, as a flat mask with a margin of one voxel, and their flat indices.

    Only the voxels of the mask are visited: vessels fill little of a volume.
    """
    flat = np.pad(mask, 1).ravel()
    at = np.flatnonzero(flat)
    inner = np.ones(at.size, bool)
    for step in _strides(mask):
        inner &= flat[at - step] & flat[at + step]
    at = at[~inner]
    border = np.zeros_like(flat)
    border[at] = True
    return border, at
