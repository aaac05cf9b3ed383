"""Compare two results, or a result with the ground truth: maps and a table of numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate.localization import ratio
from napari_ulm3d.evaluate.maps import occupied_voxels
from napari_ulm3d.evaluate.report import Scores
from napari_ulm3d.evaluate.truth import Truth
from napari_ulm3d.tables import POSITION_UM, VELOCITY_MM_S, Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["map_difference", "score_rows", "tracks_dice", "truth_localizations", "truth_tracks"]


def map_difference(first: VesselMap, second: VesselMap, *, common: bool = False) -> VesselMap:
    """First minus second map, voxel by voxel, as a signed map.

    Parameters
    ----------
    common
        Use only voxels that are non-empty in both maps, as appropriate for speeds; otherwise
        empty voxels count as zero, as appropriate for densities.

    If one of the maps is a prediction, so is their difference.

    Raises
    ------
    ConfigError
        The maps have different grids.
    """
    if first.grid != second.grid:
        raise ConfigError(
            f"Maps of {first.shape} and {second.shape} voxels cannot be compared. Create both "
            "with the same grid and resolution factor."
        )
    index = np.union1d(first.index, second.index)
    values = np.zeros(index.size, np.float32)
    values[np.searchsorted(index, first.index)] = first.values
    values[np.searchsorted(index, second.index)] -= second.values
    kept = values != 0
    if common:
        kept &= np.isin(index, first.index) & np.isin(index, second.index)
    predicted = first.prediction if first.predicted else second.prediction
    return VesselMap(
        f"{first.name}_difference",
        first.grid,
        index[kept],
        values[kept],
        first.unit,
        signed=True,
        prediction=predicted,
    )


def tracks_dice(first: Tracks, second: Tracks, grid: Grid, voxel_um: float = 25.0) -> float:
    """Dice coefficient of the voxels crossed by two sets of tracks; NaN if both are empty.

    Computed as in `map_dice`: straight lines between successive positions, all voxels touched
    by a line, on cubes of `voxel_um` over the field of view `grid`.
    """
    edges = [s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1]
    fine = grid.isotropic(min(edges or grid.spacing_um) / voxel_um)
    a, b = (
        occupied_voxels(t.table["track_id"].to_numpy(), t.frames, t.positions_um, fine)
        for t in (first, second)
    )
    return ratio(2 * np.intersect1d(a, b, assume_unique=True).size, a.size + b.size)


def truth_localizations(truth: Truth, grid: Grid, rate_hz: float) -> Localizations:
    """True positions within the field of view as a table of localizations with score 1."""
    table = truth.table[grid.contains(truth.positions_um)]
    table = table.sort_values(["frame", "bubble_id"], kind="stable")
    n = len(table)
    snr = table["snr_db"].to_numpy() if "snr_db" in table else np.full(n, np.nan)
    return Localizations.from_arrays(
        table["frame"].to_numpy(), table[POSITION_UM].to_numpy(), snr, np.ones(n), rate_hz
    )


def truth_tracks(truth: Truth, rate_hz: float) -> Tracks:
    """True trajectories as a table of tracks with score 1.

    A bubble that disappears for a while returns as another track. If the ground truth has no
    velocities, they are differences of positions (central, one-sided at the ends).
    """
    table = truth.table.sort_values(["bubble_id", "frame"], kind="stable", ignore_index=True)
    bubble, frame = table["bubble_id"].to_numpy(), table["frame"].to_numpy(np.int64)
    begins = np.ones(len(table), bool)
    begins[1:] = (bubble[1:] != bubble[:-1]) | (np.diff(frame) != 1)
    identity = np.cumsum(begins) - 1
    positions = table[POSITION_UM].to_numpy(np.float64)
    if truth.velocities_mm_s is not None:
        velocity = table[VELOCITY_MM_S].to_numpy(np.float64)
    else:
        velocity = np.zeros_like(positions)
        borders = [*np.flatnonzero(begins), len(table)]
        for first, last in pairwise(borders):
            if last - first > 1:
                velocity[first:last] = np.gradient(positions[first:last], axis=0) * rate_hz / 1000
    columns = {
        "track_id": identity,
        "frame": frame,
        "time_s": frame / rate_hz,
        **{name: positions[:, k] for k, name in enumerate(POSITION_UM)},
        **{name: velocity[:, k] for k, name in enumerate(VELOCITY_MM_S)},
        "speed_mm_s": np.linalg.norm(velocity, axis=1),
        "score": np.ones(len(table)),
    }
    return Tracks(pd.DataFrame(columns))


def score_rows(scores: Scores) -> list[tuple[str, str]]:
    """The few main scores against the ground truth: name, and value with unit.

    For the localizations, or for the positions of tracks if there are no localizations.
    """
    found = scores.localization if scores.localization.n_found else scores.tracked
    hit = f"{scores.tolerances.hit_um:.0f} um"
    return [
        (f"Jaccard index at {hit}", _share(found.jaccard)),
        (f"precision at {hit}", _share(found.precision)),
        (f"recall at {hit}", _share(found.recall)),
        ("RMSE of pairs", "none" if np.isnan(found.rmse_um) else f"{found.rmse_um:.1f} um"),
        (f"Dice at {scores.map.voxel_um:g} um", _share(scores.map.dice)),
    ]


def _share(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.3f}"
