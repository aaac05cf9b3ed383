"""Coverage of a map's 90 % intervals, measured on other acquisitions of the same vessels.

The vessels are the splines of `benchmarks.crowds`; bubbles, speeds and errors differ between draws. Every bubble
passes once. (In `benchmarks.crowds`, a bubble that leaves returns in the same streamline, so that the tracks of an
acquisition are not independent, which the bootstrap over tracks assumes.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.crowds.scenes import RATE_HZ, SHAPE, SPACING_UM, _Trunk, _trunks
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import LinkConfig, MapConfig
from napari_ulm3d.link import link
from napari_ulm3d.maps import accumulate
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["coverage"]

_FRAMES, _BUBBLES = 130, 160
_ERROR_UM = 12.0
_LEAST_TRACKS = 2.0  # minimum mean over all draws for a voxel to count
_SPACING = (float(SPACING_UM[0]), float(SPACING_UM[1]), float(SPACING_UM[2]))


def coverage(seed: int, draws: int, judged: int, smoothing_um: float = 0.0) -> dict[str, float]:
    """Share of voxels whose 90 % interval contains the mean of `draws` other acquisitions.

    Parameters
    ----------
    seed
        Seed of vessels and bubbles.
    draws
        Number of acquisitions averaged for the truth.
    judged
        Number of acquisitions whose intervals are tested.
    smoothing_um
        Smoothing of the maps.

    Returns
    -------
    Shares for ``density`` and ``speed``, and ``voxels``, the number tested in each.
    """
    rng = np.random.default_rng(seed)
    trunks = _trunks(rng, _BUBBLES)
    grid = Grid(SHAPE, _SPACING)
    plain = MapConfig(
        resolution_factor=1.0, fsc=False, confidence="none", smoothing_um=smoothing_um
    )
    number: NDArray[np.float64] | float = 0.0
    weighed: NDArray[np.float64] | float = 0.0
    for _ in range(draws):
        maps = accumulate(_tracks(trunks, rng), grid, plain)
        density = maps["density"].dense().ravel().astype(float)
        number = number + density
        weighed = weighed + density * maps["speed"].dense().ravel()
    truth = {"density": np.asarray(number) / draws, "speed": weighed / np.maximum(number, 1e-9)}
    seen = truth["density"] > _LEAST_TRACKS
    inside: dict[str, list[float]] = {"density": [], "speed": []}
    for _ in range(judged):
        maps = accumulate(_tracks(trunks, rng), grid, plain.replace(confidence="interval"))
        for name, true in truth.items():
            low, high = (maps[f"{name}_{end}"].dense().ravel() for end in ("low", "high"))
            known = seen & (high > 0)
            inside[name].append(float(((low <= true) & (true <= high))[known].mean()))
    return {name: float(np.mean(shares)) for name, shares in inside.items()} | {
        "voxels": float(seen.sum())
    }


def _tracks(trunks: list[_Trunk], rng: np.random.Generator) -> Tracks:
    """Tracks of newly drawn bubbles in the same vessels, localized and linked."""
    drawn = [_redrawn(trunk, rng) for trunk in trunks]
    places, frames = [], []
    size = np.array(SHAPE) * SPACING_UM
    for k in range(_FRAMES):
        place = np.concatenate([_inside(trunk, k / RATE_HZ) for trunk in drawn])
        place = place[np.all((place > 0) & (place < size - SPACING_UM), axis=1)]
        places.append(place + rng.normal(0, _ERROR_UM, place.shape))
        frames.append(np.full(len(place), k))
    frame = np.concatenate(frames)
    ones = np.ones(len(frame))
    found = Localizations.from_arrays(frame, np.concatenate(places), 15 * ones, ones, RATE_HZ)
    return link(found, RATE_HZ, LinkConfig())


def _inside(trunk: _Trunk, time_s: float) -> NDArray[np.float64]:
    """(n, 3) positions of the bubbles between the ends of a trunk, um."""
    along = trunk.start + trunk.speed * time_s
    return np.asarray(trunk.at(time_s)[1][(along >= 0) & (along < trunk.length)])


def _redrawn(trunk: _Trunk, rng: np.random.Generator) -> _Trunk:
    """On average the same number of bubbles in view, with speeds and offsets from this trunk, elsewhere.

    Bubbles start within the trunk, or so far before it that they enter during the acquisition.
    """
    if not len(trunk.start):
        return trunk
    moved = trunk.speed * (_FRAMES / RATE_HZ)
    way = trunk.length + np.abs(moved)
    pick = np.repeat(np.arange(len(way)), rng.poisson(way / trunk.length))
    start = way[pick] * rng.random(len(pick)) - np.maximum(moved[pick], 0.0)
    return _Trunk(
        trunk.places, trunk.tangent, trunk.across, trunk.length, trunk.first_id,
        start, trunk.speed[pick], trunk.aside[pick],
    )  # fmt: skip
