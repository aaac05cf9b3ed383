"""Completion of vessel maps beside its rivals: `python -m benchmarks.vessels [WEIGHTS]`.

Scenes of seeds that training never draws, every other one a two-photon tree that it never saw
(files after ``--trees``; else networks grow). The truth is the lumen of the vessels that the full
acquisition fills. Dice is of voxels of 20 um, made of the 10 um voxels. Rivals choose their
threshold on validation scenes, as the network's card does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import morphology

from benchmarks.machine import machine_line
from napari_ulm3d.config import MapConfig
from napari_ulm3d.maps import accumulate
from napari_ulm3d.refinement import refine
from napari_ulm3d.train.volumes.config import VolumeDataConfig
from napari_ulm3d.train.volumes.scenes import draw_flow_scene, turning
from napari_ulm3d.train.volumes.windows import cut_window, place_window

VALIDATION, TEST = 8_600_000_000, 9_000_500_000
SHARES = (0.03, 0.1, 0.3, 1.0)
SIDE, EDGE_UM = 64, 10.0
DATA = VolumeDataConfig(flat_share=0.0, positions=(20_000.0, 100_000.0))

Volume = NDArray[np.float32]
Rival = tuple[str, Callable[[Volume, float], NDArray[np.bool_]], tuple[float, ...]]

RIVALS: tuple[Rival, ...] = (
    ("the map itself", lambda d, t: d >= t, (1, 2, 3, 4)),
    (
        "Gaussian 10 um",
        lambda d, t: ndimage.gaussian_filter(np.log1p(d), 1.0) >= t,
        (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
    ),
    (
        "Gaussian 20 um",
        lambda d, t: ndimage.gaussian_filter(np.log1p(d), 2.0) >= t,
        (0.01, 0.02, 0.05, 0.1, 0.15, 0.2),
    ),
    (
        "closing",
        lambda d, t: morphology.closing(d > 0, morphology.ball(int(t))),
        (1, 2, 3),
    ),
    (
        "dropping specks",
        lambda d, t: morphology.remove_small_objects(d > 0, max_size=int(t)),
        (8, 27, 64, 200),
    ),
)


def coarse(volume: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of twice the edge in which there is anything."""
    z, y, x = (n // 2 for n in volume.shape)
    return volume.reshape(z, 2, y, 2, x, 2).any((1, 3, 5))


def counts(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Common, found, true voxels of 20 um; found ones, and those farther than 30 um from truth."""
    a, b = coarse(found), coarse(true)
    far = ndimage.distance_transform_edt(~true) * EDGE_UM > 30 if true.any() else ~true
    return np.array([(a & b).sum(), a.sum(), b.sum(), found.sum(), (found & far).sum()], float)


def scenes(first: int, count: int, trees: list[str]) -> list[tuple[float, dict, NDArray[np.bool_]]]:
    """Share of the acquisition, its maps and the truth."""
    out = []
    for k in range(count):
        seed = first + k
        scene = draw_flow_scene(seed, DATA, trees if k % 2 == 0 else ())
        for share in SHARES:
            rng = np.random.default_rng(seed)
            matrix = turning(rng, DATA.upright)
            grid, network, tracks, paths = place_window(scene, share, matrix, EDGE_UM, SIDE, rng)
            maps = accumulate(tracks, grid, MapConfig(resolution_factor=1.0, fsc=False))
            window = cut_window(network, tracks, paths, grid)
            true = np.zeros(grid.shape, bool)
            true.ravel()[window.target] = True
            out.append((share, maps, true))
    return out


def main() -> int:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="?", help="Weights file; none: the rivals alone.")
    parser.add_argument("--trees", nargs="*", default=[], help="Networks never trained on.")
    parser.add_argument("--scenes", type=int, default=6, help="Test scenes.")
    options = parser.parse_args()
    print(machine_line("torch", "scikit-image"))
    held, test = (
        scenes(VALIDATION, max(2, options.scenes // 2), []),
        scenes(TEST, options.scenes, options.trees),
    )
    rows: dict[str, dict[float, NDArray[np.float64]]] = {}
    for name, method, thresholds in RIVALS:
        tried = {t: _mean(held, _applied(method, t)) for t in thresholds}
        best = max(tried, key=lambda t: tried[t])
        rows[f"{name} ({best:g})"] = _table(test, _applied(method, best))
    if options.weights:
        for label, keep in (("network", ("density",)), ("network, speeds too", None)):
            rows[label] = _table(
                test,
                lambda m, keep=keep: (
                    refine({n: m[n] for n in keep or m}, weights=options.weights).mask().dense() > 0
                ),
            )
    print(f"{'Dice at 20 um':<28}" + "".join(f"{100 * s:8g} %" for s in SHARES) + "  far off")
    for name, table in rows.items():
        dice = "".join(f"{2 * c[0] / max(1, c[1] + c[2]):10.3f}" for c in table.values())
        total = sum(table.values())
        print(f"{name:<28}{dice}{total[4] / max(1, total[3]):9.1%}")
    return 0


def _applied(method: Callable, threshold: float) -> Callable[[dict], NDArray[np.bool_]]:
    return lambda maps: method(maps["density"].dense(), threshold)


def _table(test: list, method: Callable) -> dict[float, NDArray[np.float64]]:
    sums = {share: np.zeros(5) for share in SHARES}
    for share, maps, true in test:
        sums[share] += counts(method(maps), true)
    return sums


def _mean(held: list, method: Callable) -> float:
    table = _table(held, method)
    return float(np.mean([2 * c[0] / max(1, c[1] + c[2]) for c in table.values()]))


if __name__ == "__main__":
    sys.exit(main())
