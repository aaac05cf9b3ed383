"""Bounds of the segmentation: what is known of a map's voxels, given the truth of its tracks.

A voxel counts as vessel if the true path of a bubble runs within 20 um of it. An oracle that knows for each
track, or for each tracked position, whether it belongs to a bubble does not know that of a voxel which
only chance tracks cross; such voxels limit the recall of everyone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.vessels.scenes import TEST, Scene, scenes
from benchmarks.vessels.segment import NOISY, SHARES, precision_curve
from napari_ulm3d.config import MapConfig
from napari_ulm3d.maps import accumulate
from napari_ulm3d.refinement import refine
from napari_ulm3d.tables import Tracks

__all__ = ["crossed", "of_bubbles", "table"]

# A position belongs to a bubble of the same frame within this distance.
_OWN_UM = 25.0
_FRAME_UM = 1e5


def of_bubbles(tracks: Tracks, paths: Tracks) -> NDArray[np.bool_]:
    """(rows,) whether a bubble is where the track says, in the same frame."""
    if not len(tracks) or not len(paths):
        return np.zeros(len(tracks), bool)

    def places(of: Tracks) -> NDArray[np.float64]:
        return np.column_stack([_FRAME_UM * of.frames, of.positions_um])

    distance, _ = cKDTree(places(paths)).query(places(tracks), distance_upper_bound=_OWN_UM)
    return np.asarray(np.isfinite(distance))


def crossed(scene: Scene, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(voxels of the map,) whether one of the given rows of the tracks crosses the voxel."""
    density = scene.maps["density"]
    kept = Tracks(scene.tracks.table[rows].reset_index(drop=True))
    if not len(kept):
        return np.zeros(density.index.size, bool)
    part = accumulate(kept, density.grid, MapConfig(resolution_factor=1.0, fsc=False))["density"]
    return np.isin(density.index, part.index)


def by_track(scene: Scene, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(rows,) whether most rows of the track are true."""
    share = pd.Series(rows).groupby(scene.tracks.table["track_id"].to_numpy()).transform("mean")
    return np.asarray(share.to_numpy() >= 0.5)


def table(count: int, trees: Sequence[str], weights: str | None) -> None:
    """Print the bounds on the test scenes."""
    test = scenes(TEST, count, trees, SHARES, data=NOISY)
    true = np.concatenate([s.window.vessel for s in test])
    network, track, position, few = [], [], [], []
    for s in test:
        p = refine(s.maps, "segment", weights=weights, least=1e-9).probability.dense()
        p = p[tuple(s.window.features.index.T)]
        rows = of_bubbles(s.tracks, s.paths)
        network.append(p)
        track.append(crossed(s, by_track(s, rows)))
        position.append(crossed(s, rows))
        few.append(s.maps["density"].values)
    p, by, at, counts = (np.concatenate(v) for v in (network, track, position, few))
    print(f"\n{true.mean():.1%} of {true.size:,} voxels are vessel.")
    print("| | precision at recall .9 | average precision |\n| --- | ---: | ---: |")
    for name, score in (
        ("network", p),
        ("oracle of the tracks", by.astype(float)),
        ("oracle of the positions", at.astype(float)),
        ("oracle of the tracks, then network", by + p),
        ("oracle of the positions, then network", at + p),
    ):
        precision, average = precision_curve(score, true)
        print(f"| {name} | {precision:.3f} | {average:.3f} |")
    print(f"\nOf the vessel voxels, {1 - by[true].mean():.1%} are crossed by no track of a bubble, "
          f"{1 - at[true].mean():.1%} by no position of one; of the voxels crossed by a track of a "
          f"bubble, {true[by].mean():.1%} are vessel (positions: {true[at].mean():.1%}).")  # fmt: skip
    precision, average = precision_curve(p, at)
    print(f"\nNetwork, for the voxels crossed by a position of a bubble ({at.mean():.1%}): {precision:.3f} at a "
          f"recall of .9, average precision {average:.3f}.")  # fmt: skip
    print("\n| tracks in the voxel | voxels | vessel | of those by chance tracks alone | average "
          "precision of the network |\n| --- | ---: | ---: | ---: | ---: |")  # fmt: skip
    for name, of in (("1", counts == 1), ("2", counts == 2), ("3 or more", counts >= 3)):
        average = precision_curve(p[of], true[of])[1]
        print(f"| {name} | {of.sum():,} | {true[of].mean():.1%} | {1 - at[of & true].mean():.1%} | "
              f"{average:.3f} |")  # fmt: skip
