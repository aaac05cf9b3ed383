"""Tiny frames of Gaussian bubbles, made by their formula."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
GRID = Grid((20, 18, 16), (98.56, 150.0, 150.0), (5000.0, -1350.0, -1200.0))
FLAT = Grid((40, 1, 36), (50.0, 100.0, 75.0))


def bubbles(
    shape: tuple[int, int, int],
    position: NDArray[np.float64],
    amplitude: NDArray[np.complex128],
    fwhm: tuple[float, float, float] = (3.0, 3.0, 3.0),
    carrier: float = 0.0,
) -> NDArray[np.complex64]:
    """A frame (z, y, x) of bubbles at voxel positions (n, 3)."""
    z, y, x = np.indices(shape, dtype=float)
    frame = np.zeros(shape, complex)
    for (pz, py, px), a in zip(position, amplitude, strict=True):
        squared = 0.0
        for d, width in zip((z - pz, y - py, x - px), fwhm, strict=True):
            squared = squared + (d * FWHM / width) ** 2
        frame += a * np.exp(-squared / 2 + 1j * carrier * (z - pz))
    return frame.astype(np.complex64)


def noise(shape: tuple[int, ...], level: float, seed: int) -> NDArray[np.complex64]:
    """Complex white noise of root mean square `level`."""
    parts = np.random.default_rng(seed).standard_normal((2, *shape)) * level / np.sqrt(2)
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def crowd(n_frames: int, n_bubbles: int, seed: int, level: float = 0.126) -> tuple:
    """Frames of random bubbles with noise 18 dB under them, and their positions in voxels."""
    rng = np.random.default_rng(seed)
    frames, truth = [], []
    for _ in range(n_frames):
        position = rng.uniform(1.0, np.asarray(GRID.shape) - 2.0, (n_bubbles, 3))
        turn = np.exp(2j * np.pi * rng.random(n_bubbles))
        frames.append(bubbles(GRID.shape, position, turn * rng.lognormal(0, 0.3, n_bubbles)))
        truth.append(position)
    stack = np.stack(frames)
    return stack + noise(stack.shape, level, seed + 1), truth
