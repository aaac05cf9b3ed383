"""The scene: apparent positions and levels of the bubbles in each frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.simulate.config import MicrobubbleConfig, SimulationConfig
from napari_ulm3d.simulate.flow.bubbles import BubbleFrame
from napari_ulm3d.simulate.imaging.amplitude import BubbleLevels
from napari_ulm3d.simulate.imaging.motion import RigidMotion
from napari_ulm3d.simulate.imaging.view import in_view, over_depth_db

__all__ = ["TRUTH_COLUMNS", "SceneFrame", "scene_frames", "truth_table"]

TRUTH_COLUMNS = {
    "frame": "int64",
    "bubble_id": "int64",
    "z_um": "float64",
    "y_um": "float64",
    "x_um": "float64",
    "vz_mm_s": "float32",
    "vy_mm_s": "float32",
    "vx_mm_s": "float32",
    "radius_um": "float32",
    "snr_db": "float32",
}


@dataclass(frozen=True)
class SceneFrame:
    """Contents of one frame.

    Parameters
    ----------
    bubbles
        All bubbles, including those out of view, at their apparent positions (with the motion).
    level_db
        (n,) level of each bubble relative to the mean bubble.
    displacement_um
        (3,) displacement of the whole scene, z, y, x.
    """

    bubbles: BubbleFrame
    level_db: NDArray[np.float64]
    displacement_um: NDArray[np.float64]

    @property
    def frame(self) -> int:
        return self.bubbles.frame


def scene_frames(
    bubbles: Iterable[BubbleFrame],
    config: MicrobubbleConfig,
    motion: RigidMotion,
    rate_hz: float,
    seed: int,
) -> Iterator[SceneFrame]:
    """Displace bubbles by the motion and assign levels, frame by frame."""
    levels = BubbleLevels(config, rate_hz, seed)
    for seen in bubbles:
        level_db = levels.step(seen.frame, seen.bubble_id)
        displacement = motion.displacement_um(seen.frame / rate_hz)[0]
        if not motion.still:
            seen = BubbleFrame(
                frame=seen.frame,
                bubble_id=seen.bubble_id,
                position_um=seen.position_um + displacement,
                velocity_mm_s=seen.velocity_mm_s,
                radius_um=seen.radius_um,
            )
        yield SceneFrame(seen, level_db, displacement)


def truth_table(scene: Iterable[SceneFrame], config: SimulationConfig) -> pd.DataFrame:
    """Table of the bubbles in the field of view, one row per bubble and frame (`TRUTH_COLUMNS`).

    Parameters
    ----------
    scene
        Frames in order.
    config
        Its grid and view define the field of view, its noise the signal-to-noise ratio: that of a
        bubble at its depth; infinite without noise.
    """
    grid, snr_db = config.grid.grid, config.noise.snr_db
    growth = config.noise.growth_db_per_mm
    parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in TRUTH_COLUMNS}
    middle_db = np.inf if snr_db is None else snr_db
    for seen in scene:
        bubbles = seen.bubbles
        inside = np.flatnonzero(in_view(config.view, grid, bubbles.position_um))
        position, velocity = bubbles.position_um[inside], bubbles.velocity_mm_s[inside]
        parts["frame"].append(np.full(inside.size, bubbles.frame))
        parts["bubble_id"].append(bubbles.bubble_id[inside])
        for axis, letter in enumerate("zyx"):
            parts[f"{letter}_um"].append(position[:, axis])
            parts[f"v{letter}_mm_s"].append(velocity[:, axis])
        parts["radius_um"].append(bubbles.radius_um[inside])
        local_db = middle_db - over_depth_db(growth, grid, position[:, 0])
        parts["snr_db"].append(seen.level_db[inside] + local_db)
    return pd.DataFrame(
        {
            name: np.concatenate(parts[name]).astype(dtype) if parts[name] else np.empty(0, dtype)
            for name, dtype in TRUTH_COLUMNS.items()
        }
    )
