"""Predicted and true share of tracks without a bubble."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.scenes import Scene
from napari_ulm3d.config import LinkConfig, PipelineConfig
from napari_ulm3d.link import chance_tracks, link
from napari_ulm3d.pipeline import run
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["FalseTracks", "of_images", "with_noise"]

_SEEN, _ERROR_UM = 0.85, 12.0


@dataclass(frozen=True)
class FalseTracks:
    """One scene and minimum track length."""

    scene: str
    length: int
    tracks: int
    true: float
    predicted: float
    permuted: float

    @property
    def factor(self) -> float:
        """Ratio of the larger to the smaller of predicted and true share."""
        low, high = sorted((self.true, self.predicted))
        return high / low if low > 0 else (1.0 if high == 0 else np.inf)


def of_images(scene: Scene, lengths: tuple[int, ...] = (5, 9)) -> list[FalseTracks]:
    """Use a default run; a track is false if most positions are over a wavelength from any bubble."""
    found = run(scene.acquisition, PipelineConfig()).localizations
    wavelength = scene.acquisition.wavelength_um
    if wavelength is None:
        raise ValueError(f"the scene {scene.name} has no wavelength")
    away = _from_bubbles(scene, found.frames, found.positions_um) > wavelength
    return _rows(scene.name, found, away, scene.acquisition.rate_hz, lengths)


def with_noise(
    scene: Scene, per_frame: float, seed: int, lengths: tuple[int, ...] = (3, 5)
) -> list[FalseTracks]:
    """Use true positions, 15 % missed and with errors of 12 um, with random false ones added."""
    rng = np.random.default_rng(seed)
    truth = scene.truth.table
    place = truth[["z_um", "y_um", "x_um"]].to_numpy(float)
    seen = rng.random(len(place)) < _SEEN
    grid, n_frames = scene.acquisition.grid, scene.acquisition.n_frames
    count = rng.poisson(per_frame, n_frames)
    noise = np.asarray(grid.origin_um) + rng.random((count.sum(), 3)) * grid.extent_um
    frame = np.concatenate([truth["frame"].to_numpy()[seen], np.repeat(np.arange(n_frames), count)])
    position = np.concatenate([place[seen] + rng.normal(0, _ERROR_UM, (seen.sum(), 3)), noise])
    false = np.arange(len(frame)) >= seen.sum()
    order = np.argsort(frame, kind="stable")
    ones = np.ones(len(frame))
    rate = scene.acquisition.rate_hz
    found = Localizations.from_arrays(frame[order], position[order], 12 * ones, ones, rate)
    return _rows(f"{scene.name}, {per_frame:g} false a frame", found, false[order], rate, lengths)


def _rows(
    name: str,
    found: Localizations,
    false: NDArray[np.bool_],
    rate_hz: float,
    lengths: tuple[int, ...],
) -> list[FalseTracks]:
    chance = chance_tracks(found, rate_hz, LinkConfig())
    unsmoothed = link(
        found, rate_hz, LinkConfig(min_length_frames=min(lengths), smoothing_frames=1)
    )
    wrong, length = _wrong(unsmoothed, found, false)
    rows = []
    for least in lengths:
        long = length >= least
        total = chance.tracks[least:].sum()
        rows.append(
            FalseTracks(
                name, least, int(long.sum()),
                float(wrong[long].mean()) if long.any() else np.nan,
                chance.share(least),
                float(min(chance.permuted[least:].sum() / total, 1.0)) if total else np.nan,
            )
        )  # fmt: skip
    return rows


def _wrong(
    tracks: Tracks, found: Localizations, false: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """For each track, whether most of its localizations are false, and their number."""
    table = tracks.table
    key = {
        (int(f), *p): bad
        for f, p, bad in zip(
            found.frames.tolist(), found.positions_um.tolist(), false.tolist(), strict=True
        )
    }
    # Without smoothing and gaps, a track's positions are its localizations.
    of_row = np.array(
        [
            key[(int(f), *p)]
            for f, p in zip(table["frame"], tracks.positions_um.tolist(), strict=True)
        ],
        float,
    )
    _, number = np.unique(table["track_id"].to_numpy(), return_inverse=True)
    length = np.bincount(number)
    return np.bincount(number, of_row) > length / 2, length


def _from_bubbles(
    scene: Scene, frame: NDArray[np.integer], place: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(n,) distance to the nearest bubble of the same frame, um."""
    away = np.full(len(frame), np.inf)
    bubbles = dict(tuple(scene.truth.table.groupby("frame")))
    for k in np.unique(frame).tolist():
        here = np.flatnonzero(frame == k)
        if k in bubbles:
            tree = cKDTree(bubbles[k][["z_um", "y_um", "x_um"]].to_numpy(float))
            away[here] = tree.query(place[here])[0]
    return away
