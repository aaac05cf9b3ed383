"""Maps under motion: the same bubbles in static and in breathing tissue, with and without correction.

Called by `python -m benchmarks.motion`. Bubbles and images are those of `benchmarks.crowds`, and the tissue
consists of the displaced scatterers of `benchmarks.motion`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.crowds.scenes import (
    RATE_HZ,
    SHAPE,
    SPACING_UM,
    WAVELENGTH_UM,
    _Image,
    _table,
    _trunks,
)
from benchmarks.scenes import Scene, score
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import MotionConfig, PipelineConfig
from napari_ulm3d.evaluate import Truth
from napari_ulm3d.pipeline import Run, run

__all__ = ["Displacement", "MapRow", "map_rows"]

#: Displacement (n, 3) um of points (n, 3) um in a frame.
Displacement = Callable[[NDArray[np.float64], int], NDArray[np.float64]]

METHODS: tuple[Literal["none", "rigid", "deformable", "auto"], ...] = (
    "none",
    "rigid",
    "deformable",
    "auto",
)

_BUBBLES = 40
_SPACING = (float(SPACING_UM[0]), float(SPACING_UM[1]), float(SPACING_UM[2]))


@dataclass(frozen=True)
class MapRow:
    """One run: Dice of its map, number of tracks, their mean length in frames, processor time in s."""

    tissue: str
    method: str
    dice: float
    tracks: int
    length: float
    seconds: float


def _scene(tissue: NDArray[np.complex64], moved: Displacement, seed: int) -> Scene:
    """Bubbles carried by displaced tissue; the ground truth is without motion."""
    rng = np.random.default_rng((seed, 7))
    trunks, image = _trunks(rng, _BUBBLES), _Image(rng)
    data, rows = tissue.copy(), []
    size = np.array(SHAPE) * SPACING_UM
    for k in range(len(tissue)):
        seen = [trunk.at(k / RATE_HZ) for trunk in trunks]
        ids, places, speeds = (np.concatenate([part[i] for part in seen]) for i in range(3))
        data[k] += image.bubbles(places + moved(places, k), np.ones(len(ids)))
        inside = np.all((places > -SPACING_UM / 2) & (places < size - SPACING_UM / 2), axis=1)
        rows.append(_table(k, ids[inside], places[inside], speeds[inside]))
    acquisition = Acquisition.from_array(data, _SPACING, RATE_HZ, wavelength_um=WAVELENGTH_UM)
    return Scene("motion", acquisition, Truth(pd.concat(rows, ignore_index=True)))


def map_rows(
    tissues: dict[str, tuple[NDArray[np.complex64], Displacement]], seed: int
) -> tuple[list[MapRow], bool]:
    """Runs of all scenes, and whether `auto` leaves the static one unchanged.

    Parameters
    ----------
    tissues
        By name, (frames, z, y, x) of tissue, and its displacement; one is called ``still``.
    seed
        Seed of the bubbles.
    """
    rows, kept = [], {}
    for tissue, (frames, moved) in tissues.items():
        scene = _scene(frames, moved, seed)
        for method in METHODS:
            config = PipelineConfig(motion=MotionConfig(method=method))
            began = time.process_time()
            found: Run = run(scene.acquisition, config)
            seconds = time.process_time() - began
            scores = score(scene, found.localizations, found.tracks)
            lengths = found.tracks.table.groupby("track_id").size()
            rows.append(
                MapRow(tissue, method, scores.map.dice, len(lengths), lengths.mean(), seconds)
            )
            kept[tissue, method] = found.localizations.table
    same = kept["still", "auto"].equals(kept["still", "none"])
    return rows, same
