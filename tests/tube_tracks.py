"""Tracks in tubes whose diameter, speed and flow are known, and the maps that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig, PipelineConfig
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import write
from napari_ulm3d.maps import accumulate
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

RATE_HZ = 1000.0


def tube(
    path: NDArray[np.float64],
    diameter_um: float,
    mean_speed_mm_s: float,
    n_tracks: int,
    rng: np.random.Generator,
    error_um: float = 0.0,
    n_frames: int = 24,
    duration_s: float = 100.0,
) -> list[pd.DataFrame]:
    """Tracks of a parabolic flow through a tube about a smooth polyline (k, 3), um.

    Positions fill the lumen evenly, as those of bubbles in the blood do: fast streamlines have
    more bubbles, each for fewer frames. Each bubble stays on its streamline; errors are
    independent from frame to frame. About `n_tracks` lie in the tube, less those of under 9 frames.
    """
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    helper = np.eye(3)[np.abs(tangent).mean(axis=0).argmin()]
    side = np.cross(tangent, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(tangent, side)
    tables = []
    # As far before and behind the tube as the fastest come from.
    furthest = mean_speed_mm_s * 1000 * n_frames / RATE_HZ
    for _ in range(round(n_tracks * (arc[-1] + 2 * furthest) / (arc[-1] + furthest))):
        u, angle = rng.random(), 2 * np.pi * rng.random()
        r = diameter_um / 2 * np.sqrt(u)
        speed = 2 * mean_speed_mm_s * (1 - u) * 1000
        first = int(rng.random() * duration_s * RATE_HZ)
        middle = rng.uniform(-furthest, arc[-1] + furthest)
        s = middle + speed * (np.arange(n_frames) - n_frames / 2) / RATE_HZ
        inside = (s >= 0) & (s <= arc[-1])
        s, frame = s[inside], (first + np.arange(n_frames))[inside]
        if len(s) < 9:
            continue
        at = np.interp(s, arc, np.arange(len(path)))
        low = np.minimum(at.astype(int), len(path) - 2)
        share = (at - low)[:, None]

        def there(values: NDArray[np.float64], low=low, share=share) -> NDArray[np.float64]:
            return values[low] * (1 - share) + values[low + 1] * share

        p = there(path) + r * (np.cos(angle) * there(side) + np.sin(angle) * there(other))
        p = p + rng.normal(0, error_um, p.shape) if error_um else p
        tables.append(
            pd.DataFrame({"frame": frame, "z_um": p[:, 0], "y_um": p[:, 1], "x_um": p[:, 2]})
        )
    return tables


def as_tracks(tables: list[pd.DataFrame], smoothing_frames: int = 5) -> Tracks:
    """Positions of single bubbles as tracks, smoothed and differentiated as the linker does."""
    parts = []
    for k, table in enumerate(tables):
        raw = table[["z_um", "y_um", "x_um"]].to_numpy()
        half = (smoothing_frames - 1) // 2
        n = len(raw)
        reach = np.minimum(np.minimum(np.arange(n), np.arange(n)[::-1]), half)
        smooth = np.stack([raw[i - h : i + h + 1].mean(axis=0) for i, h in enumerate(reach)])
        velocity = np.gradient(smooth, axis=0) * RATE_HZ / 1000
        parts.append(
            pd.DataFrame(
                {
                    "track_id": k,
                    "frame": table["frame"].to_numpy(),
                    "time_s": table["frame"].to_numpy() / RATE_HZ,
                    "z_um": smooth[:, 0],
                    "y_um": smooth[:, 1],
                    "x_um": smooth[:, 2],
                    "vz_mm_s": velocity[:, 0],
                    "vy_mm_s": velocity[:, 1],
                    "vx_mm_s": velocity[:, 2],
                    "speed_mm_s": np.linalg.norm(velocity, axis=1),
                    "score": 1.0,
                }
            )
        )
    return Tracks(pd.concat(parts, ignore_index=True))


def density(tracks: Tracks, grid: Grid) -> VesselMap:
    """How many tracks have a position in each voxel."""
    cell = np.floor(grid.to_index(tracks.positions_um) + 0.5).astype(int)
    inside = ((cell >= 0) & (cell < grid.shape)).all(axis=1)
    flat = np.ravel_multi_index(tuple(cell[inside].T), grid.shape)
    pairs = np.unique(np.stack([flat, tracks.table["track_id"].to_numpy()[inside]], axis=1), axis=0)
    index, count = np.unique(pairs[:, 0], return_counts=True)
    return VesselMap("density", grid, index, count.astype(np.float32), "tracks")


def line(start: tuple[float, ...], stop: tuple[float, ...], n: int = 60) -> NDArray[np.float64]:
    """A straight polyline."""
    return np.linspace(start, stop, n)


def tube_results(
    path: Path, diameter_um: float = 40.0, n_tracks: int = 200, seed: int = 0, **facts: Any
) -> Path:
    """A results folder with the tracks of one straight tube in 600 x 300 x 300 um."""
    tracks = as_tracks(
        tube(
            line((60.0, 150.0, 150.0), (540.0, 150.0, 150.0)), diameter_um, 4.0, n_tracks,
            np.random.default_rng(seed), 5.0,
        )
    )  # fmt: skip
    grid = Grid((20, 10, 10), (30.0, 30.0, 30.0))
    config = PipelineConfig(maps=MapConfig(resolution_factor=3, fsc=False))
    folder = ResultsFolder.create(path)
    acquisition = {
        "shape": list(grid.shape),
        "voxel_um": list(grid.spacing_um),
        "origin_um": list(grid.origin_um),
        "n_frames": 100_000,
        "rate_hz": RATE_HZ,
    } | facts.pop("acquisition", {})
    result = {"complete": True, "n_tracks": n_tracks} | facts.pop("result", {})
    folder.write_facts(
        {"config": config.to_dict(), "acquisition": acquisition, "result": result, **facts}
    )
    write(tracks, folder.tracks_path)
    for name, map_ in accumulate(tracks, grid, config.maps).items():
        write(map_, folder.map_path(name))
    return folder.path
