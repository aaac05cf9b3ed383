"""Conditions that make a scene harder: strained tissue, uneven gain and noise, masks, jumps.

Each is independent of the others and of the world (vessels or crowds) that the bubbles are from.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.simulate.config import SimulationConfig
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator, log_uniform

__all__ = ["Condition", "ConditionsConfig", "draw_conditions", "under_condition"]

Condition = Literal["strain", "uneven", "masked", "jumps"]
Range = tuple[float, float]
PositiveRange = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]

# Keys of the generators, so that the draws of one condition do not depend on the others.
_STRAIN, _UNEVEN, _MASKED, _JUMPS = 11, 12, 13, 14


class ConditionsConfig(StageConfig):
    """Shares of the scenes under each condition, and ranges for them."""

    strain_share: float = setting(
        0.0, "Share of scenes with tissue whose tissue is speckle under strain.", ge=0, le=1
    )
    breathing: PositiveRange = setting(
        (0.03, 0.15),
        "For strain: maximum displacement by breathing (uniform in the logarithm).",
        "wavelengths",
    )
    heart: PositiveRange = setting(
        (0.008, 0.04),
        "For strain: maximum displacement by the heartbeat (uniform in the logarithm).",
        "wavelengths",
    )
    breathing_hz: PositiveRange = setting((0.8, 2.5), "For strain: breathing rate.", "Hz")
    heart_hz: PositiveRange = setting((3.0, 9.0), "For strain: heart rate.", "Hz")
    fading: PositiveRange = setting(
        (0.01, 0.1), "For strain: slow turn of the speckle (uniform in the logarithm).", "rad"
    )
    specular_share: float = setting(
        0.5, "For strain: share of scenes with bright layers and spots.", ge=0, le=1
    )
    specular_db: Range = setting(
        (6.0, 18.0), "For strain: peak of these relative to the rms of the speckle.", "dB"
    )
    uneven_share: float = setting(
        0.0, "Share of scenes whose gain and noise change with depth.", ge=0, le=1
    )
    gain_db_per_mm: Range = setting((-1.0, 3.0), "For uneven: growth of the gain.", "dB/mm")
    noise_db_per_mm: Range = setting((-0.5, 2.0), "For uneven: growth of the noise.", "dB/mm")
    masked_share: float = setting(
        0.0, "Share of scenes with data in a part of the grid only.", ge=0, le=1
    )
    radius: PositiveRange = setting(
        (0.35, 1.1),
        "For masked: radius of the field of view at the top and at the bottom, the smaller one at the "
        "top, relative to half the grid's width.",
    )

    jumps_share: float = setting(0.0, "Share of scenes with sudden jumps.", ge=0, le=1)
    jumps_hz: PositiveRange = setting((0.3, 2.0), "For jumps: mean rate.", "Hz")
    jump: PositiveRange = setting(
        (0.03, 0.2),
        "For jumps: rms displacement along each axis (uniform in the logarithm).",
        "wavelengths",
    )

    @model_validator(mode="after")
    def _ordered(self) -> ConditionsConfig:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} {value} must be ascending")
        return self


def draw_conditions(scene: SimulationConfig, config: ConditionsConfig) -> SimulationConfig:
    """The scene under the conditions drawn for its seed; every other setting stays as it is."""
    rng = generator(scene.seed, Purpose.WORLD, _STRAIN)
    if rng.random() < config.strain_share and scene.clutter.level_db is not None:
        scene = scene.replace(clutter=_strained(rng, scene, config))
    rng = generator(scene.seed, Purpose.WORLD, _UNEVEN)
    if rng.random() < config.uneven_share:
        scene = _uneven(
            scene, rng.uniform(*config.gain_db_per_mm), rng.uniform(*config.noise_db_per_mm)
        )
    rng = generator(scene.seed, Purpose.WORLD, _MASKED)
    if rng.random() < config.masked_share:
        top, bottom = np.sort(rng.uniform(*config.radius, 2)).tolist()
        # A third of the fields of view are cylinders.
        radius = (bottom, bottom) if rng.random() < 1 / 3 else (top, bottom)
        scene = scene.replace(view=scene.view.replace(radius=radius))
    rng = generator(scene.seed, Purpose.WORLD, _JUMPS)
    if rng.random() < config.jumps_share:
        rate_hz = float(rng.uniform(*config.jumps_hz))
        scene = _jumping(scene, rate_hz, log_uniform(rng, config.jump))
    return scene


def under_condition(scene: SimulationConfig, condition: Condition) -> SimulationConfig:
    """A scene under one condition of medium severity, for validation."""
    if condition == "strain":
        clutter = scene.clutter.replace(
            model="strain",
            breathing_um=0.1 * scene.wavelength_um,
            heart_um=0.02 * scene.wavelength_um,
            layers=1,
            spots=2,
        )
        return scene.replace(clutter=clutter)
    if condition == "uneven":
        return _uneven(scene, gain=2.5, noise=2.0)
    if condition == "masked":
        return scene.replace(view=scene.view.replace(radius=(0.5, 0.9)))
    return _jumping(scene, rate_hz=4.0, wavelengths=0.1)


def _strained(
    rng: np.random.Generator, scene: SimulationConfig, config: ConditionsConfig
) -> dict[str, object]:
    wave = scene.wavelength_um
    clutter = scene.clutter.model_dump() | {
        "model": "strain",
        "breathing_um": wave * log_uniform(rng, config.breathing),
        "heart_um": wave * log_uniform(rng, config.heart),
        "breathing_hz": float(rng.uniform(*config.breathing_hz)),
        "heart_hz": float(rng.uniform(*config.heart_hz)),
        "fading": min(1.0, log_uniform(rng, config.fading)),
        "specular_db": float(rng.uniform(*config.specular_db)),
    }
    if rng.random() < config.specular_share:
        clutter |= {"layers": int(rng.integers(0, 3)), "spots": int(rng.integers(1, 7))}
    return clutter


def _uneven(scene: SimulationConfig, gain: float, noise: float) -> SimulationConfig:
    return scene.replace(
        view=scene.view.replace(gain_db_per_mm=float(gain)),
        noise=scene.noise.replace(growth_db_per_mm=float(noise)),
    )


def _jumping(scene: SimulationConfig, rate_hz: float, wavelengths: float) -> SimulationConfig:
    size = wavelengths * scene.wavelength_um
    across = 0.0 if scene.grid.shape[1] == 1 else size
    motion = scene.motion.replace(jumps_hz=rate_hz, jump_um=(size, across, size))
    return scene.replace(motion=motion)
