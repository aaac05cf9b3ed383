"""Data for `benchmarks.interaction`: frames generated on demand, many tracks, a long series."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.tables import Tracks

__all__ = ["RATE_HZ", "MadeFrames", "many_tracks", "wandering_series"]

RATE_HZ = 500.0
_KEPT = 4
_WAVELENGTH_VOXELS = 1.0


@dataclass
class MadeFrames:
    """IQ of bubbles in noise; frame k is one of a few, shifted by k voxels along x."""

    shape: tuple[int, int, int, int]
    name: str = "made frames"
    dtype: np.dtype[np.complex64] = field(default_factory=lambda: np.dtype(np.complex64))
    _frames: NDArray[np.complex64] | None = None

    def read(self, start: int, stop: int) -> NDArray[np.complex64]:
        """Frames start..stop-1."""
        if self._frames is None:
            self._frames = _bubbles(self.shape[1:])
        parts = [
            np.roll(self._frames[k % _KEPT], k % self.shape[3], axis=2) for k in range(start, stop)
        ]
        return np.stack(parts)


def many_tracks(n_rows: int, grid: Grid, length: int = 50) -> Tracks:
    """Smooth random walks over a field of view."""
    rng = np.random.default_rng(0)
    n = n_rows // length
    start = rng.uniform(0.1, 0.9, (n, 1, 3)) * grid.extent_um
    step = rng.normal(0, 8, (n, 1, 3)) + rng.normal(0, 2, (n, length, 3))
    position = (start + np.cumsum(step, axis=1)).reshape(-1, 3)
    velocity = np.gradient(position, axis=0).astype(np.float32)
    frame = np.tile(np.arange(length), n)
    table = {
        "track_id": np.repeat(np.arange(n), length),
        "frame": frame,
        "time_s": frame / RATE_HZ,
        **dict(zip(("z_um", "y_um", "x_um"), position.T, strict=True)),
        **dict(zip(("vz_mm_s", "vy_mm_s", "vx_mm_s"), velocity.T, strict=True)),
        "speed_mm_s": np.linalg.norm(velocity, axis=1),
        "score": np.ones(len(position), np.float32),
    }
    return Tracks(pd.DataFrame(table))


def wandering_series(n_frames: int) -> Acquisition:
    """Bubbles moving back and forth in a small volume with noise, for twenty blocks or more."""
    shape = (24, 20, 20)
    rng = np.random.default_rng(1)
    still = np.zeros(shape)
    still[5:20:5, 4:18:6, 4:18:6] = 500
    spot = gaussian_filter(still, 1.3).astype(np.float32)
    frames = np.empty((n_frames, *shape), np.complex64)
    for k in range(n_frames):
        away = round(3 * np.sin(2 * np.pi * k / 60))
        noise = rng.normal(size=(*shape, 2)) @ [1, 1j]
        frames[k] = np.roll(spot, away, axis=1) + noise
    return Acquisition.from_array(frames, (100.0, 150.0, 150.0), RATE_HZ)


def _bubbles(shape: tuple[int, ...]) -> NDArray[np.complex64]:
    rng = np.random.default_rng(0)
    z = np.arange(shape[0])[:, None, None]
    carrier = np.exp(4j * np.pi * z / _WAVELENGTH_VOXELS).astype(np.complex64)
    frames = np.empty((_KEPT, *shape), np.complex64)
    for frame in frames:
        points = np.zeros(shape, np.float32)
        n = max(points.size // 2000, 1)
        points.ravel()[rng.integers(0, points.size, n)] = 200
        frame[:] = gaussian_filter(points, 1.3) * carrier
        frame += rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return frames
