"""Accuracy of the estimated deformation, called by `python -m benchmarks.motion`.

The tissue swells around a point and is sheared over depth with the breath: a field that the splines of the estimate
can only approximate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.crowds.scenes import RATE_HZ, SHAPE, SPACING_UM
from benchmarks.machine import markdown_table
from benchmarks.motion.maps import Displacement
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MotionConfig
from napari_ulm3d.motion import bends, estimate_motion, moved_back
from napari_ulm3d.tables import Localizations

__all__ = ["bending_rows"]

_SPACING = (float(SPACING_UM[0]), float(SPACING_UM[1]), float(SPACING_UM[2]))
_SIZE = np.array(SHAPE) * SPACING_UM
_AMOUNTS_UM = (0.0, 20.0, 60.0)
_POINTS = 300
_METHODS: tuple[Literal["rigid", "deformable"], ...] = ("rigid", "deformable")
Path = NDArray[np.float64]


def swelling(path: Path, amount_um: float) -> Displacement:
    """A path of the whole volume, with local displacements of up to about `amount_um`."""

    def moved(places: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        away = (places - _SIZE * [0.3, 0.6, 0.4]) / (0.5 * _SIZE.mean())
        local = away * np.exp(-0.5 * (away**2).sum(axis=1, keepdims=True))
        sheared = np.array([0.8, 0.3, -0.2]) * places[:, :1] / _SIZE[0]
        breath = np.sin(3 * np.pi * k / RATE_HZ + 0.3) - np.sin(0.3)
        return np.asarray(path[k] + amount_um * breath * (local + sheared))

    return moved


def bending_rows(
    frames_of: Callable[[Displacement, int], NDArray[np.complex64]],
    path_um: Callable[[float, tuple[()]], Path],
) -> tuple[tuple[NDArray[np.complex64], Displacement], str]:
    """The scene of the largest deformation, and a table of the residuals of points within the volume."""
    rows = []
    for seed in (2, 1):
        for amount in _AMOUNTS_UM:
            moved = swelling(path_um(50.0, ()), amount)
            frames = frames_of(moved, seed)
            seconds, residual, chosen = [], [], ""
            for method in _METHODS:
                config = MotionConfig(method=method)
                began = time.process_time()
                motion = estimate_motion(frames, _SPACING, RATE_HZ, config)
                seconds.append(1000 * (time.process_time() - began) / len(frames))
                grid = Grid(SHAPE, _SPACING)
                found = _points(moved, len(frames))
                kept = moved_back(found, motion, 0, RATE_HZ, config.replace(leave_out=False), grid)
                at = kept.positions_um.reshape(len(frames), _POINTS, 3)
                residual.append(np.sqrt(((at - at.mean(axis=0)) ** 2).sum(axis=2).mean()))
                chosen = "deformable" if bends([motion], _SPACING) else "rigid"
            rows.append(
                [f"{amount:g}", str(seed), *(f"{one:.1f}" for one in residual), chosen,
                 *(f"{one:.1f}" for one in seconds)]
            )  # fmt: skip
            print(" | ".join(rows[-1]), flush=True)
    header = [
        "deformation, um", "seed", "residual, um rms: rigid", "deformable", "auto chooses",
        "processor ms a frame: rigid", "deformable",
    ]  # fmt: skip
    return (frames, moved), markdown_table(header, rows)


def _points(moved: Displacement, n_frames: int) -> Localizations:
    """Points of the tissue, displaced, in every frame."""
    inside = np.random.default_rng(3).uniform(0.05, 0.95, (_POINTS, 3)) * _SIZE
    place = np.concatenate([inside + moved(inside, k) for k in range(n_frames)])
    ones = np.ones(len(place))
    return Localizations.from_arrays(
        np.repeat(np.arange(n_frames), _POINTS), place, ones, ones, RATE_HZ
    )
