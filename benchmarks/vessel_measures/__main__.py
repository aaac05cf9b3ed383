"""Accuracy of vessel measurements: ``python -m benchmarks.vessel_measures [--tree FILE]``.

Tubes are analytic: straight, curved and forked, 10 to 200 um wide. Networks are a grown cortex and,
with ``--tree``, one traced in two-photon stacks. Bubbles are localized with errors of 8, 12,
12 um, 5 % are missed and 2 % are false, and they are linked by the package; no images are simulated.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import machine_line
from benchmarks.vessel_measures import kinds, scenes
from benchmarks.vessel_measures.scores import Found, compare
from napari_ulm3d import vessels
from napari_ulm3d.config import VesselConfig
from napari_ulm3d.simulate.vasculature import VesselNetwork
from napari_ulm3d.vasculature import VesselGraph
from napari_ulm3d.vasculature.trace.mask import vessel_mask
from napari_ulm3d.volumes import VesselMap

# Mean distance of bubbles along a tube: resolvable in images, or not (a wavelength is 100 um).
_APART_UM, _CROWDED_UM = 500.0, 65.0
_BUBBLE_FRAMES = 64_000
_BANDS = ((10, 15), (15, 25), (25, 40), (40, 80), (80, 400))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, help="an .swc (.gz) tree; scaled to cover 2 mm")
    parser.add_argument("--trees", type=Path, nargs="*", default=[], help="kinds: .swc (.gz) trees")
    parser.add_argument("--only", choices=("tubes", "grown", "tree", "kinds"), help="a part alone")
    parser.add_argument("--seed", type=int, default=0, help="bubbles in the networks")
    given = parser.parse_args()
    print(machine_line("scikit-image", "skan"), end="\n\n")
    if given.only in (None, "tubes"):
        tubes(_APART_UM)
        tubes(_CROWDED_UM, names=("straight",))
    if given.only in (None, "grown"):
        for frames in (4000, 16000):
            networks("grown cortex, 0.8 mm", scenes.grid_of(800), None, 60, frames, given.seed)
    if given.only == "kinds":
        kinds.table(given.trees)
    if given.only in (None, "tree") and given.tree:
        for frames in (4000, 16000):
            networks(given.tree.name, scenes.grid_of(2000), given.tree, 200, frames, given.seed)


def tubes(apart_um: float, names: tuple[str, ...] = ("straight", "curved", "forked")) -> None:
    """Tubes: our measurements, and voxel measurements with scikit-image and skan."""
    print(f"Bubbles {apart_um:.0f} um apart on average.\n")
    print("| tube | true um | measured um | voxels: skan um | length | skan's | speed | flow |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, make in (
        ("straight", scenes.straight),
        ("curved", scenes.curved),
        ("forked", scenes.y_shape),
    ):
        if name not in names:
            continue
        for diameter in (10.0, 15.0, 25.0, 50.0, 100.0, 200.0):
            size = max(600.0, 6 * diameter)
            network, grid = make(diameter, 4.0, size), scenes.grid_of(size)
            bubbles = max(1, round(float(network.length_um.sum()) / apart_um))
            frames = _BUBBLE_FRAMES // bubbles
            tracks, density = scenes.observed(network, grid, bubbles, frames)
            graph = vessels(density, tracks)
            found = compare(graph, network, 5.0).vessels
            if found.empty:
                print(f"| {name} | {diameter:.0f} | not found | | | | | |")
                continue
            best = found.loc[found["own_stretch"].idxmax()]
            voxel_diameter, voxel_length = _by_voxels(density)
            print(
                f"| {name} | {best['true_diameter']:.1f} "
                f"| {best['diameter_um']:.1f} ± {best['diameter_error_um']:.1f} "
                f"| {voxel_diameter:.1f} "
                f"| {_off(best['length_um'], _length(network, name))} "
                f"| {_off(voxel_length, _length(network, name))} "
                f"| {_off(best['mean_speed_mm_s'], best['true_speed'])} "
                f"| {_off(best['flow_nl_min'], best['true_flow'])} |",
                flush=True,
            )
    print()


def _length(network: VesselNetwork, name: str) -> float:
    from napari_ulm3d.simulate.vasculature.branches import branches

    lengths = [network.length_um[chain].sum() for _, chain in branches(network)]
    return float(max(lengths))


def _by_voxels(density: VesselMap) -> tuple[float, float]:
    """Diameter and length from scikit-image's distance transform and skan."""
    from scipy.ndimage import distance_transform_edt
    from skan import Skeleton
    from skimage.morphology import skeletonize

    mask, _ = vessel_mask(density, VesselConfig())
    thin = skeletonize(mask)
    traced = Skeleton(thin, spacing=density.grid.spacing_um)
    radius = distance_transform_edt(mask, density.grid.spacing_um)[thin > 0]
    return 2 * float(np.median(radius)), float(traced.path_lengths().max())


def _off(value: float, true: float) -> str:
    return f"{100 * (value / true - 1):+.0f} %"


def networks(
    name: str, grid: object, tree: Path | None, bubbles: int, frames: int, seed: int
) -> None:
    """A network, by range of diameter."""
    network = scenes.grown(grid) if tree is None else scenes.traced(tree, grid)
    tracks, density = scenes.observed(network, grid, bubbles, frames, seed)
    begun = time.perf_counter()
    graph = vessels(density, tracks)
    took = time.perf_counter() - begun
    found = compare(graph, network, 15.0)
    told = graph.junctions["balanced"].dropna()
    print(
        f"{name}: {bubbles} bubbles, {frames} frames, {tracks.n_tracks} tracks; "
        f"{len(graph)} vessels in {took:.0f} s; over 15 um: recall {found.recall:.3f}, "
        f"precision {found.precision:.3f}; flow balanced at {100 * told.mean():.0f} % "
        f"of {len(told)} junctions; true flow within the 95 % interval of "
        f"{100 * _flow_covered(found):.0f} % of vessels; {_kinds(graph)}\n"
    )
    print("| true diameter um | vessels | tracks | diameter | bias | length | speed | flow |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for low, high in (*_BANDS, (15, 400)):
        _band(found, low, high)
    print(flush=True)


def _flow_covered(found: Found) -> float:
    """Share of the vessels over 15 um whose stated 95 % interval contains their true flow."""
    rows = found.vessels
    rows = rows[(rows["true_diameter"] > 15) & (rows["true_speed"] > 0.2)].dropna(
        subset="flow_error_nl_min"
    )
    away = (rows["flow_nl_min"] - rows["true_flow"]).abs()
    return float((away < 1.96 * rows["flow_error_nl_min"]).mean())


def _band(found: Found, low: float, high: float) -> None:
    rows = found.vessels
    rows = rows[
        rows["true_diameter"].between(low, high)
        & rows["diameter_um"].notna()
        & (rows["true_speed"] > 0.2)
    ]
    if len(rows) < 3:
        return
    error = rows["diameter_um"] - rows["true_diameter"]
    long = rows[rows["true_stretch"] > 50]
    print(
        f"| {low} to {high} | {len(rows)} | {rows['n_tracks'].median():.0f} "
        f"| {error.abs().median():.1f} um | {error.median():+.1f} um "
        f"| {_median_off(long['own_stretch'], long['true_stretch'])} "
        f"| {_median_off(rows['mean_speed_mm_s'], rows['true_speed'])} "
        f"| {_median_off(rows['flow_nl_min'], rows['true_flow'])} |"
    )


def _median_off(value: pd.Series, true: pd.Series) -> str:
    return f"{100 * (value / true - 1).abs().median():.0f} %"


def _kinds(graph: VesselGraph) -> str:
    count = graph.table["kind"].value_counts()
    return f"{count.get('artery', 0)} arteries, {count.get('vein', 0)} veins"


if __name__ == "__main__":
    main()
