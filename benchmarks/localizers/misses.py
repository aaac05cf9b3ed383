"""Analysis of missed bubbles and false positions: `python -m benchmarks.localizers.misses`

Validation scenes, processed by the whole pipeline with default settings. Recall by axial speed (by which
the clutter filter distinguishes bubbles from tissue) and by distance to the nearest other bubble; then the
found positions by their distance to the paired bubble.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.machine import machine_line, markdown_table
from benchmarks.scenes import Scene, validation_scenes, with_first, with_localizer
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.evaluate import EvaluateConfig, Truth
from napari_ulm3d.evaluate.pairing import match
from napari_ulm3d.pipeline import run
from napari_ulm3d.tables import Localizations

SPEEDS_MM_S = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, np.inf)
DISTANCES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, np.inf)
"""In wavelengths."""


def nearest_other(truth: Truth) -> NDArray[np.float64]:
    """(m,) distance of every true position to the nearest other in its frame, um."""
    apart = 1e6 * truth.frames[:, None]  # separate the frames
    points = np.hstack([apart, truth.positions_um])
    return np.asarray(cKDTree(points).query(points, 2)[0][:, 1])


def judged(
    scene: Scene, found: Localizations
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[float]]:
    """For every true position, (m,) hit and (m,) counted; and the shares of found positions that
    are hits, paired beyond the hit distance, and unpaired."""
    acquisition = scene.acquisition
    tolerances = EvaluateConfig().tolerances(acquisition.wavelength_um)
    pairs = match(found.frames, found.positions_um, scene.truth, acquisition.grid, tolerances)
    close = pairs.distance_um < tolerances.hit_um  # False for NaN, that is, without a pair
    hit = np.zeros(len(scene.truth), bool)
    hit[pairs.truth_row[close]] = True
    paired = pairs.truth_row >= 0
    shares = [(part & pairs.counted).sum() for part in (close, paired & ~close, ~paired)]
    return hit, pairs.truth_counted, [float(s / max(1, pairs.counted.sum())) for s in shares]


def by(values: NDArray[np.float64], edges: Sequence[float], hit: NDArray[np.bool_]) -> list[str]:
    """Recall in each bin, and the share of all bubbles in it."""
    cells = []
    for low, high in pairwise(edges):
        part = (values >= low) & (values < high)
        recall = f"{hit[part].mean():.2f}" if part.any() else "-"
        cells.append(f"{recall} ({100 * part.mean():.0f} %)")
    return cells


def bins(edges: Sequence[float]) -> list[str]:
    last = [f"over {edges[-2]:g}"]
    return [f"to {high:g}" for high in edges[1:-1]] + last


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", type=int, default=8, help="first singular component kept")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--localizers", nargs="+", default=["gaussian", "network"])
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE"
    )
    options = parser.parse_args(arguments)
    config = PipelineConfig().with_settings(["maps.fsc=false", *options.settings])
    config = with_first(config, options.first)
    print(machine_line("torch", "scipy"))
    print(f"Components from {options.first}. {' '.join(options.settings)}\n", flush=True)
    fast, far, kinds = [], [], []
    for scene in validation_scenes(options.frames):
        truth = scene.truth
        speed = np.abs(truth.table["vz_mm_s"].to_numpy(np.float64))
        distance = nearest_other(truth) / scene.acquisition.wavelength_um
        for name in options.localizers:
            found = run(scene.acquisition, with_localizer(config, name)).localizations
            hit, counted, shares = judged(scene, found)
            row = [scene.name, name]
            fast.append(row + by(speed[counted], SPEEDS_MM_S, hit[counted]))
            far.append(row + by(distance[counted], DISTANCES, hit[counted]))
            kinds.append(row + [f"{100 * share:.0f} %" for share in shares])
    print("Recall (share of the bubbles) by axial speed, mm/s:\n")
    print(markdown_table(["scene", "localizer", *bins(SPEEDS_MM_S)], fast))
    print("\nby distance to the nearest other bubble, wavelengths:\n")
    print(markdown_table(["scene", "localizer", *bins(DISTANCES)], far))
    print("\nFound positions:\n")
    header = ["scene", "localizer", "hits", "paired, a quarter to half a wavelength", "unpaired"]
    print(markdown_table(header, kinds))


if __name__ == "__main__":
    main()
