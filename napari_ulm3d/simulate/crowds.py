"""Crowds: bubbles on random smooth curves that cross and merge, without vessels or a flow solver.

In vessels, the distances between bubbles follow from the geometry; here they are drawn directly.
Each stream draws a speed and a distance to the nearest other bubble, both log-uniformly, and
arranges its bubbles so that their median distance is the one drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate.config import CrowdConfig, SimulationConfig
from napari_ulm3d.simulate.flow.bubbles import BubbleConfig, BubbleFrame
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator, log_uniform

__all__ = ["crowd_bubbles"]

Floats = NDArray[np.float64]

_MARGIN_WAVELENGTHS = 4.0
_WIDEST_WAVELENGTHS = 6.0
_WAVES = 2
"""Number of sine waves by which each curve deviates to the sides."""


@dataclass(frozen=True)
class _Curve:
    """A smooth, undulating curve around a straight line, which may start beside the line.

    Positions are micrometres along z, y, x; the parameter s is the length along the line.
    """

    through: Floats  # (3,) where s is 0
    frame: Floats  # (3, 3) rows: direction of the line, and two directions across it
    sway: Floats  # (waves, 2) amplitudes along the latter two
    wave: Floats  # (waves,) rad/um
    phase: Floats  # (waves, 2)
    beside: Floats  # (3,) offset from the line at the start
    joins: float  # s at which it is halfway to the line
    over: float  # length of the transition, um

    def at(self, s: Floats) -> tuple[Floats, Floats]:
        """Positions (n, 3) and their derivatives with respect to s."""
        angle = self.wave[:, None] * s[:, None, None] + self.phase
        across = (self.sway * np.sin(angle)).sum(axis=1)
        slope = (self.sway * self.wave[:, None] * np.cos(angle)).sum(axis=1)
        left = 0.5 - 0.5 * np.tanh((s - self.joins) / self.over)
        fall = -0.5 / self.over / np.cosh(np.clip((s - self.joins) / self.over, -50, 50)) ** 2
        position = self.through + s[:, None] * self.frame[0] + across @ self.frame[1:]
        along = self.frame[0] + slope @ self.frame[1:]
        return position + left[:, None] * self.beside, along + fall[:, None] * self.beside

    def span(self, grid: Grid, margin_um: float) -> tuple[float, float] | None:
        """Smallest and largest s within the grid and a margin; None if the curve misses it."""
        reach = float(np.linalg.norm(grid.extent_um)) + 2 * margin_um
        s = np.linspace(-reach, reach, 400)
        low, high = (np.array(side) for side in zip(*_bounds(grid), strict=True))
        position = self.at(s)[0]
        inside = np.all((position > low - margin_um) & (position < high + margin_um), axis=1)
        return (float(s[inside][0]), float(s[inside][-1])) if inside.sum() > 1 else None


@dataclass(frozen=True)
class _Stream:
    """Bubbles on a curve; each moves along it endlessly, from its end back to its start."""

    curve: _Curve
    low: float
    length: float
    radius: float
    start: Floats  # (n,) s at time 0, from `low`
    speed: Floats  # (n,) um/s along s
    beside: Floats  # (n, 3) offset from the curve, um

    def at(self, time_s: float, pace: float) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Number of restarts of each bubble, positions (um) and velocities (um/s)."""
        lap, s = np.divmod(self.start + self.speed * time_s, self.length)
        position, along = self.curve.at(s + self.low)
        velocity = along * (self.speed * pace)[:, None]
        return lap.astype(np.int64), position + self.beside, velocity


def crowd_bubbles(config: SimulationConfig) -> Iterator[BubbleFrame]:
    """Generate the bubbles of a crowded scene, from the first to the last frame.

    The number of bubbles in the field of view is about `bubbles.n_bubbles`, or fewer if the
    drawn distances leave no room for so many. The pulse and the maximum speed in `travel` apply.

    Raises
    ------
    ConfigError
        The scene has no `crowd`.
    """
    crowd = config.crowd
    if crowd is None:
        from napari_ulm3d.errors import ConfigError

        raise ConfigError("The scene has no crowd. Set `crowd`.")
    streams = _streams(config, crowd)
    return _frames(streams, config)


def _frames(streams: list[_Stream], config: SimulationConfig) -> Iterator[BubbleFrame]:
    travel: BubbleConfig = config.travel
    n = sum(len(stream.start) for stream in streams)
    radius = np.concatenate([np.zeros(0), *(np.full(len(s.start), s.radius) for s in streams)])
    for frame in range(config.n_frames):
        time = frame / config.rate_hz
        parts = [stream.at(travel.elapsed(time), travel.pace(time)) for stream in streams]
        lap = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)])
        position = np.concatenate([np.zeros((0, 3)), *(part[1] for part in parts)])
        velocity = np.concatenate([np.zeros((0, 3)), *(part[2] for part in parts)])
        yield BubbleFrame(frame, np.arange(n) + n * lap, position, velocity / 1000, radius)


def _streams(config: SimulationConfig, crowd: CrowdConfig) -> list[_Stream]:
    rng = generator(config.seed, Purpose.CROWD)
    grid, wave = config.grid.grid, config.wavelength_um
    weights = rng.dirichlet(np.full(crowd.streams, 2.0))
    streams: list[_Stream] = []
    for weight in weights:
        curve = _curve(rng, grid, wave, crowd, streams)
        span = curve.span(grid, _MARGIN_WAVELENGTHS * wave)
        if span is None:
            continue
        apart = wave * log_uniform(rng, crowd.nearest_wavelengths)
        wanted = weight * config.bubbles.n_bubbles
        # Bubbles in the margins are out of view.
        wanted *= (span[1] - span[0]) / max(
            span[1] - span[0] - 2 * _MARGIN_WAVELENGTHS * wave, wave
        )
        stream = _stream(rng, config, curve, span, apart, wanted)
        if len(stream.start):
            streams.append(stream)
    return streams


def _curve(
    rng: np.random.Generator, grid: Grid, wave: float, crowd: CrowdConfig, others: list[_Stream]
) -> _Curve:
    axes = np.asarray(grid.shape) > 1
    low, high = (np.array(side) for side in zip(*_bounds(grid), strict=True))
    through = rng.uniform(low, high)
    kind = rng.random()
    if others and kind < crowd.crossing_share + crowd.merging_share:
        other = others[rng.integers(len(others))]
        s = other.low + other.length * rng.uniform(0.25, 0.75)
        if kind < crowd.merging_share:
            beside = _direction(rng, axes) * wave * rng.uniform(3, 10)
            over = float(np.linalg.norm(beside)) * rng.uniform(0.6, 1.5)
            c = other.curve
            return _Curve(c.through, c.frame, c.sway, c.wave, c.phase, beside, s, over)
        through = other.curve.at(np.array([s]))[0][0] + _direction(rng, axes) * wave * rng.uniform(
            0, 2
        )
    first = _direction(rng, axes)
    second = np.cross(first, _direction(rng, axes)) if axes.all() else first[[2, 1, 0]] * (1, 0, -1)
    second /= max(float(np.linalg.norm(second)), 1e-9)
    third = np.cross(first, second) * axes
    waves = 2 * np.pi / (wave * rng.uniform(12, 60, _WAVES))
    # Slopes of up to one half: curves bend, but never turn back.
    sway = rng.uniform(0, 0.35, (_WAVES, 2)) / waves[:, None]
    phase = rng.uniform(0, 2 * np.pi, (_WAVES, 2))
    start = (sway * np.sin(phase)).sum(axis=0) @ np.array([second, third])
    frame = np.array([first, second, third])
    return _Curve(through - start, frame, sway, waves, phase, np.zeros(3), 0.0, 1.0)


def _stream(
    rng: np.random.Generator,
    config: SimulationConfig,
    curve: _Curve,
    span: tuple[float, float],
    apart: float,
    wanted: float,
) -> _Stream:
    crowd, wave, grid = config.crowd, config.wavelength_um, config.grid.grid
    assert crowd is not None
    axes = np.asarray(grid.shape) > 1
    length = span[1] - span[0]
    # Too few bubbles for that distance along the whole curve also come in pairs.
    paired = rng.random() < crowd.paired_share or wanted / length < _line(apart)
    # Pairs stay apart from each other, so that the nearest bubble is the partner.
    between = 3 * apart if paired else apart
    groups = 0.5 * wanted if paired else wanted
    widest = _WIDEST_WAVELENGTHS * wave
    if paired:
        radius = wave * log_uniform(rng, (0.3, _WIDEST_WAVELENGTHS))
    else:
        radius = _radius_of(groups / length, apart, axes)
    radius = min(radius, widest)
    groups = min(groups, length * _per_length(radius, between, axes))
    n = int(groups + rng.random())
    start = rng.uniform(0, length, n)
    across = _in_disc(rng, n, curve.frame, axes)
    speed = 1000 * log_uniform(rng, crowd.speed_mm_s)
    # Between plug flow and Poiseuille's parabola, whose maximum is twice its mean.
    share = rng.random()
    factor = 1 - share + 2 * share * (1 - (across**2).sum(axis=1))
    beside = across * radius
    if paired:
        away = np.array([_direction(rng, axes) for _ in range(n)]).reshape(n, 3) * apart
        drift = rng.normal(0, 0.02, n) * factor
        # Partners are at the drawn distance at some time within the scene.
        meet = rng.uniform(0, config.n_frames / config.rate_hz, n)
        start = np.concatenate([start, (start - drift * speed * meet) % length])
        beside = np.concatenate([beside, beside + away])
        factor = np.concatenate([factor, factor + drift])
    # Undulations lengthen the path and make bubbles faster than along the line; limit that speed.
    steepest = np.linalg.norm(curve.at(np.linspace(*span, 100))[1], axis=1).max()
    most = 1000 * (config.travel.max_speed_mm_s or np.inf) / (1 + config.travel.pulsatility)
    least = 1000 * config.travel.min_speed_mm_s
    speeds = np.clip(speed * factor, least, max(least, most / steepest))
    return _Stream(curve, span[0], length, radius, start, speeds, beside)


def _per_length(radius: float, apart: float, axes: NDArray[np.bool_]) -> float:
    """Bubbles per length of a tube in which the median nearest distance is `apart` (Poisson)."""
    line = _line(apart)
    if axes.all():
        return float(max(line, 0.75 * np.log(2) / np.pi / apart**3 * np.pi * radius**2))
    return float(max(line, np.log(2) / np.pi / apart**2 * 2 * radius))


def _line(apart: float) -> float:
    """Bubbles per length of a line on which the median nearest distance is `apart` (Poisson)."""
    return float(0.5 * np.log(2) / apart)


def _radius_of(per_length: float, apart: float, axes: NDArray[np.bool_]) -> float:
    """Inverse of `_per_length`: radius of a tube with this density and median distance."""
    if axes.all():
        return float(np.sqrt(per_length * apart**3 / (0.75 * np.log(2))))
    return float(per_length * apart**2 * np.pi / np.log(2) / 2)


def _in_disc(rng: np.random.Generator, n: int, frame: Floats, axes: NDArray[np.bool_]) -> Floats:
    """(n, 3) uniform over the unit disc across a direction; on its diameter in a plane."""
    angle, radius = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.random(n))
    if not axes.all():
        return rng.uniform(-1, 1, n)[:, None] * frame[1]
    flat = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return np.asarray(flat @ frame[1:])


def _direction(rng: np.random.Generator, axes: NDArray[np.bool_]) -> Floats:
    """A random direction, uniform over the sphere, or over the circle in a plane."""
    vector = rng.normal(size=3) * axes
    return np.asarray(vector / np.linalg.norm(vector))


def _bounds(grid: Grid) -> list[tuple[float, float]]:
    steps = zip(grid.origin_um, grid.spacing_um, grid.shape, strict=True)
    return [(origin - step / 2, origin + step * (n - 0.5)) for origin, step, n in steps]
