"""Uncertainty of maps, by bootstrap over tracks.

Tracks are the random sample of an acquisition, so tracks are resampled: each counts k
times in a resample, with k from a Poisson distribution of mean 1 (the Poisson bootstrap, which
needs no list of all tracks; Chamandy et al., "Estimating uncertainty for massive data
streams", Google technical report, 2012; Hanley & MacGibbon, Comput. Methods Programs Biomed.
83:57-62, 2006). Weights are a hash of the track itself, so they are independent of the order of
blocks and of the workers.

An unsmoothed map needs no draws. A track counts once in a voxel, so for infinitely many
resamples the variance of the density is the number of tracks, and that of the mean speed is, to
first order, the variance of the tracks' speeds divided by their number. A smoothed voxel shares
tracks with its neighbours, which is taken into account by `RESAMPLES` draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.maps.smoothing import smooth_counts, smooth_means
from napari_ulm3d.volumes import VesselMap

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "SHOWN",
    "confidence_maps",
    "confidence_rows",
    "intervals",
    "resample_weights",
]

#: Number of resamples of smoothed maps: the standard error is accurate to one eighth.
RESAMPLES = 32
#: Confidence level: share of repeated acquisitions whose interval contains the truth.
LEVEL = 0.9
#: Maps used by `confidence_rows`.
SHOWN = ("density", "density_se", "speed", "speed_se", "resolution_local")

_HASHED = ["time_s", "z_um", "y_um", "x_um"]
_CLOSE = 0.2  # relative standard error that counts as small
_LEAST_TRACKS = 1.5  # at least two tracks are needed for a spread of speeds


def resample_weights(
    table: pd.DataFrame, starts: NDArray[np.int64], resamples: int, seed: int = 0
) -> NDArray[np.int32]:
    """Weight of each track in each resample: Poisson of mean 1, from a hash of its first row.

    Parameters
    ----------
    table
        Rows of complete tracks.
    starts
        (tracks + 1,) first row of each track, and the end.

    Returns
    -------
    (tracks, resamples) int32
    """
    if not resamples:
        return np.zeros((starts.size - 1, 0), np.int32)
    from scipy.special import pdtr

    first = np.ascontiguousarray(table[_HASHED].to_numpy(np.float64)[starts[:-1]])
    key: NDArray[np.uint64] = np.full(len(first), seed, np.uint64)
    bits: NDArray[np.uint64] = first.view(np.uint64)
    for k in range(bits.shape[1]):
        key = _mixed(np.bitwise_xor(key, bits[:, k]))
    numbers: NDArray[np.uint64] = np.arange(1, resamples + 1, dtype=np.uint64)
    drawn = _mixed(key[:, None] + numbers)
    share = (drawn >> np.uint64(11)).astype(np.float64) / 2**53
    return np.searchsorted(pdtr(np.arange(20), 1.0), share, side="right").astype(np.int32)


def _mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014."""
    key = key + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def confidence_maps(
    maps: Mapping[str, VesselMap],
    resampled: Iterable[tuple[VesselMap, VesselMap]],
    smoothing_um: float,
) -> dict[str, VesselMap]:
    """Standard errors of smoothed maps, from the spread of their resamples.

    Parameters
    ----------
    maps
        ``density`` and ``speed``, smoothed.
    resampled
        Unsmoothed density and speed of each resample.
    smoothing_um
        Smoothing of `maps`.

    Returns
    -------
    dict
        ``density_se`` and ``speed_se``, on the voxels of `maps`.
    """
    density, speed = (_Spread(maps[name]) for name in ("density", "speed"))
    for counts, mean in resampled:
        density.add(smooth_counts(counts, smoothing_um), everywhere=True)
        speed.add(smooth_means(mean, counts, smoothing_um), everywhere=False)
    return {"density_se": density.error(), "speed_se": speed.error()}


class _Spread:
    """Standard deviation of resamples around a map."""

    def __init__(self, like: VesselMap) -> None:
        self._like = like
        self._square = np.zeros(like.index.size)
        self._n = np.zeros(like.index.size, np.int32)

    def add(self, drawn: VesselMap, *, everywhere: bool) -> None:
        """Add a resample; its empty voxels are zero if `everywhere`, otherwise unknown."""
        like = self._like
        value = np.zeros(like.index.size, np.float32)
        place = np.searchsorted(like.index, drawn.index)
        inside = place < like.index.size
        inside[inside] = like.index[place[inside]] == drawn.index[inside]
        value[place[inside]] = drawn.values[inside]
        known = np.full(value.size, everywhere)
        known[place[inside]] = True
        self._square += np.where(known, (value - like.values).astype(np.float64) ** 2, 0)
        self._n += known

    def error(self) -> VesselMap:
        like = self._like
        values = np.sqrt(self._square / np.maximum(self._n, 1)).astype(np.float32)
        held = values > 0
        return VesselMap(f"{like.name}_se", like.grid, like.index[held], values[held], like.unit)


def intervals(maps: Mapping[str, VesselMap], level: float = LEVEL) -> dict[str, VesselMap]:
    """Confidence intervals of the expected density and mean speed.

    Parameters
    ----------
    maps
        ``density`` and ``density_se``; for the speed also ``speed`` and ``speed_se``.
    level
        Confidence level, between 0 and 1.

    Returns
    -------
    dict
        ``density_low``, ``density_high``, ``speed_low``, ``speed_high``. The density has Jeffreys'
        interval of a Poisson count (Brown, Cai & DasGupta, Stat. Sinica 13:19-49, 2003),
        with density squared over variance as the number of tracks (as in Fay & Feuer, Stat. Med.
        16:791-801, 1997, for weighted counts). The speed has Student's interval, in voxels with
        at least two tracks. Voxels without tracks are empty; their density is below
        -log((1 - level) / 2) tracks.

    Raises
    ------
    ConfigError
        `level` is not between 0 and 1, or the maps have no errors.
    """
    from scipy.special import gammaincinv, stdtrit

    if not 0 < level < 1:
        raise ConfigError(f"The level of an interval must be between 0 and 1, not {level:g}.")
    if not {"density", "density_se"} <= set(maps):
        raise ConfigError(
            "There are no standard errors of these maps. Make them with maps.confidence=error."
        )
    tail = (1 - level) / 2
    density = maps["density"]
    error = _at(maps["density_se"], density.index)
    there = (density.values > 0) & (error > 0)
    value = density.values.astype(np.float64)
    number = np.divide(value**2, error**2, out=np.ones_like(value), where=there)
    bounds = {
        f"density_{name}": _like(
            density, f"density_{name}", value / number * gammaincinv(number + 0.5, share), there
        )
        for name, share in (("low", tail), ("high", 1 - tail))
    }
    if not {"speed", "speed_se"} <= set(maps):
        return bounds
    speed = maps["speed"]
    spread = _at(maps["speed_se"], speed.index)
    n = _at(VesselMap("n", density.grid, density.index, number.astype(np.float32)), speed.index)
    there = (spread > 0) & (n >= _LEAST_TRACKS)
    reach = stdtrit(np.maximum(n - 1, _LEAST_TRACKS - 1), 1 - tail) * spread
    for name, sign in (("low", -1), ("high", 1)):
        bound = np.maximum(speed.values + sign * reach, 0)
        bounds[f"speed_{name}"] = _like(speed, f"speed_{name}", bound, there)
    return bounds


def confidence_rows(maps: Mapping[str, VesselMap]) -> list[tuple[str, str]]:
    """Uncertainty and local resolution of maps, as names and values for printing."""
    rows = []
    for name in ("density", "speed"):
        if name not in maps or f"{name}_se" not in maps or not maps[name].index.size:
            continue
        error = _at(maps[f"{name}_se"], maps[name].index)
        known = error > 0
        close = known & (error < _CLOSE * np.abs(maps[name].values))
        rows.append(
            (
                f"{name} known to {_CLOSE:.0%}",
                f"{close.mean():.1%} of the voxels reached (standard error)",
            )
        )
    local = maps.get("resolution_local")
    if local is not None and local.index.size:
        low, middle, high = np.percentile(local.values, (10, 50, 90))
        rows.append(
            ("local resolution", f"median {middle:.1f} um; 10 to 90 %: {low:.1f} to {high:.1f} um")
        )
    return rows


def _at(held: VesselMap, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values of a map at some voxels; 0 where it is empty."""
    if not held.index.size:
        return np.zeros(index.size)
    place = np.minimum(np.searchsorted(held.index, index), held.index.size - 1)
    return np.where(held.index[place] == index, held.values[place], 0).astype(np.float64)


def _like(
    like: VesselMap, name: str, values: NDArray[np.float64], there: NDArray[np.bool_]
) -> VesselMap:
    return VesselMap(
        name, like.grid, like.index[there], values[there].astype(np.float32), like.unit
    )
