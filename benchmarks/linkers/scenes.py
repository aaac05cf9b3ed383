"""Synthetic localizations of bubbles that flow along curved vessels, for `linkers`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """One synthetic set of localizations."""

    name: str
    extent_um: tuple[float, float, float] = (3900.0, 5400.0, 4800.0)
    rate_hz: float = 260.0
    n_frames: int = 200
    n_bubbles: int = 40
    n_false: int = 40
    error_um: float = 8.0
    detected: float = 1.0
    max_gap: int = 0
    n_vessels: int = 30
    max_speed_mm_s: float = 30.0

    @property
    def gates_um(self) -> list[float]:
        step = self.max_speed_mm_s * 1000 / self.rate_hz
        return [step * apart for apart in range(1, self.max_gap + 2)]


@dataclass(frozen=True)
class Truth:
    """Localizations with the bubble (-1: false) and velocity behind each."""

    frame: Labels
    position: Points
    bubble: Labels
    velocity: Points


SCENES = (
    Scene("3-D, 80 a frame"),
    Scene("3-D crowded, 400 a frame", n_bubbles=300, n_false=100),
    Scene("3-D crowded, 20 um error", n_bubbles=300, n_false=300, error_um=20.0),
    Scene("2-D crowded, 230 a frame", (5000.0, 0.0, 5000.0), 500.0, 200, 150, 80),
    Scene("3-D, 10 % missed, gap 1", n_bubbles=300, n_false=100, detected=0.9, max_gap=1),
)


def simulate(scene: Scene, seed: int = 0) -> Truth:
    """Draw the scene; rows are sorted by frame and shuffled within each."""
    rng = np.random.default_rng(seed)
    extent = np.array(scene.extent_um)
    thick = extent > 0
    start = rng.uniform(0, 1, (scene.n_vessels, 3)) * extent
    along = rng.normal(size=(scene.n_vessels, 3)) * thick
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, rng.normal(size=(scene.n_vessels, 3)) if thick.all() else [0, 1, 0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    bend, wave = rng.uniform(30, 150, scene.n_vessels), rng.uniform(300, 1200, scene.n_vessels)
    fastest = rng.uniform(1, 25, scene.n_vessels)
    rows: list[tuple[float, ...]] = []
    n_seen = 0
    left = np.zeros(scene.n_bubbles, int)
    vessel, bubble = np.zeros_like(left), np.zeros_like(left)
    where, speed = np.zeros(scene.n_bubbles), np.zeros(scene.n_bubbles)
    offset = np.zeros((scene.n_bubbles, 3))
    for frame in range(scene.n_frames):
        for k in np.flatnonzero(left <= 0):
            vessel[k], where[k] = rng.integers(scene.n_vessels), rng.uniform(-800, 800)
            bubble[k], left[k] = n_seen, rng.integers(12, 60)
            speed[k] = fastest[vessel[k]] * rng.uniform(0.6, 1.0)
            offset[k] = rng.normal(0, 15, 3) * thick
            n_seen += 1
        phase = 2 * np.pi * where / wave[vessel]
        amplitude = bend[vessel][:, None] * across[vessel]
        position = start[vessel] + along[vessel] * where[:, None] + offset
        position += amplitude * np.sin(phase)[:, None]
        tangent = along[vessel] + amplitude * (2 * np.pi / wave[vessel] * np.cos(phase))[:, None]
        length = np.linalg.norm(tangent, axis=1)
        velocity = tangent * (speed / length)[:, None]
        position += rng.normal(0, scene.error_um, position.shape) * thick
        where += speed * 1000 / scene.rate_hz / length
        left -= 1
        for k in np.flatnonzero(rng.uniform(size=scene.n_bubbles) < scene.detected):
            rows.append((frame, rng.uniform(), *position[k], bubble[k], *velocity[k]))
        for false in rng.uniform(0, 1, (rng.poisson(scene.n_false), 3)) * extent:
            rows.append((frame, rng.uniform(), *false, -1, *np.full(3, np.nan)))
    table = np.array(rows)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    return Truth(
        table[:, 0].astype(np.int64),
        table[:, 2:5].copy(),
        table[:, 5].astype(np.int64),
        table[:, 6:],
    )
