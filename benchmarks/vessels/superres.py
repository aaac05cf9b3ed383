"""Super-resolution: coarse maps refined by two and four, compared with interpolation."""

from __future__ import annotations

from collections.abc import Sequence

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


def boundary_and_dice(pairs) -> tuple[float, float]:
    """Ratios of the sums over all scenes."""
    sums = np.zeros((2, 2))
    for true, found in pairs:
        sums[0] += 2 * (true & found).sum(), true.sum() + found.sum()
        a, b = (m & ~ndimage.binary_erosion(m) for m in (true, found))
        near_a, near_b = (ndimage.binary_dilation(m, np.ones((3, 3, 3))) for m in (a, b))
        sums[1] += (a & near_b).sum() + (b & near_a).sum(), a.sum() + b.sum()
    return tuple(sums[:, 0] / np.maximum(1, sums[:, 1]))
