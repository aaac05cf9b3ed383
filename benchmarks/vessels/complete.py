"""Completion: Dice and clDice at 20 um, and distant false voxels, by share of the acquisition."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.vessels.rivals import RIVALS
from benchmarks.vessels.scenes import TEST, VALIDATION, Scene, scenes
from napari_ulm3d.evaluate import cl_dice
from napari_ulm3d.refinement import refine

__all__ = ["coarse", "counts", "dice", "table"]

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
EDGE_UM, FAR_UM = 10.0, 30.0
Mask = NDArray[np.bool_]


def coarse(volume: Mask) -> Mask:
    """Non-empty blocks of 2 x 2 x 2 voxels."""
    z, y, x = (n // 2 for n in volume.shape)
    return volume.reshape(z, 2, y, 2, x, 2).any((1, 3, 5))


def counts(found: Mask, true: Mask) -> NDArray[np.float64]:
    """Common, found and true voxels of 20 um; found ones, and those far from the truth; clDice, 1."""
    a, b = coarse(found), coarse(true)
    far = ndimage.distance_transform_edt(~true) * EDGE_UM > FAR_UM
    line = cl_dice(a, b)
    return np.array(
        [(a & b).sum(), a.sum(), b.sum(), found.sum(), (found & far).sum(), line, 1], float
    )


def table(count: int, trees: Sequence[str], weights: str | None) -> None:
    """Print the table."""
    held = scenes(VALIDATION, max(4, count // 2), (), SHARES)
    test = scenes(TEST, count, trees, SHARES)
    rows: dict[str, dict[float, NDArray[np.float64]]] = {}
    for name, response, thresholds in RIVALS:
        seen = [(s, response(s.maps["density"].dense())) for s in held]
        best = max(thresholds, key=lambda t: _score([(s, r >= t) for s, r in seen]))
        rows[f"{name}, from {best:g}"] = _sums(
            test, lambda s, f=response, t=best: f(s.maps["density"].dense()) >= t
        )
    for label, names in (("network, density alone", ("density",)), ("network, with speeds", None)):
        rows[label] = _sums(
            test,
            lambda s, names=names: (
                refine({n: s.maps[n] for n in names or s.maps}, weights=weights).mask().dense() > 0
            ),
        )
    for title, value in (("Dice at 20 um", dice), ("clDice at 20 um", lambda c: c[5] / c[6])):
        print(f"\n| {title} | " + " | ".join(f"{s:.0%}" for s in SHARES) + " | far off |")
        print("| --- |" + " ---: |" * (len(SHARES) + 1))
        for name, by_share in rows.items():
            total = sum(by_share.values())
            numbers = " | ".join(f"{value(c):.3f}" for c in by_share.values())
            print(f"| {name} | {numbers} | {total[4] / max(1, total[3]):.1%} |")
    _saved(rows)


def _saved(rows: dict[str, dict[float, NDArray[np.float64]]]) -> None:
    """Share at which a completed map equals the best rival's map of the whole acquisition."""
    rivals = {name: dice(c[1.0]) for name, c in rows.items() if not name.startswith("network")}
    name = max(rivals, key=lambda n: rivals[n])
    print(f"\nBest rival on the whole acquisition: {name}, Dice {rivals[name]:.3f}.")
    for network, by_share in rows.items():
        if network in rivals:
            continue
        reached = np.array([dice(c) for c in by_share.values()])
        above = np.flatnonzero(reached >= rivals[name])
        if not above.size:
            print(f"{network}: never reached.")
            continue
        k = max(int(above[0]), 1)
        log = np.interp(rivals[name], reached[k - 1 : k + 1], np.log(SHARES[k - 1 : k + 1]))
        print(f"{network}: reached with {np.exp(log):.0%} of it.")


def dice(c: NDArray[np.float64]) -> float:
    return float(2 * c[0] / max(1.0, c[1] + c[2]))


def _sums(
    test: Sequence[Scene], method: Callable[[Scene], Mask]
) -> dict[float, NDArray[np.float64]]:
    out = {share: np.zeros(7) for share in SHARES}
    for scene in test:
        out[scene.share] += counts(method(scene), scene.true)
    return out


def _score(found: Sequence[tuple[Scene, Mask]]) -> float:
    """Mean Dice coefficient over the shares."""
    sums = {share: np.zeros(3) for share in SHARES}
    for scene, mask in found:
        a, b = coarse(mask), coarse(scene.true)
        sums[scene.share] += ((a & b).sum(), a.sum(), b.sum())
    return float(np.mean([2 * c[0] / max(1.0, c[1] + c[2]) for c in sums.values()]))
