"""Random settings for training: every sample has another probe, vessels and noise.

Domain randomization (Tobin et al., IROS 2017): a network trained on wide ranges of widths,
wavelengths, noise and geometry does not depend on any one of them.
"""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.conditions import ConditionsConfig, draw_conditions
from napari_ulm3d.simulate.config import CrowdConfig, SimulationConfig
from napari_ulm3d.simulate.imaging.measured import MeasuredImage, image_names, measured_image
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator, log_uniform
from napari_ulm3d.simulate.standard import TEST_SEEDS, is_test_seed

__all__ = ["RandomizationConfig", "WorldShares", "randomize", "with_image"]

Range = tuple[float, float]
PositiveRange = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class WorldShares(StageConfig):
    """Fraction of the samples from each world; only the ratio counts."""

    vessels: float = setting(1.0, "Share of scenes with grown or measured vessels and flow.", ge=0)
    crowds: float = setting(
        0.0, "Share of scenes with bubbles on random curves, many of them close together.", ge=0
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.vessels + self.crowds == 0:
            raise ValueError("at least one world must have a share above 0")
        return self


class RandomizationConfig(StageConfig):
    """Ranges from which settings are drawn; settings without a range are those of `base`."""

    base: SimulationConfig = SimulationConfig()
    worlds: WorldShares = WorldShares()
    crowd: CrowdConfig = setting(
        CrowdConfig(),
        "For crowds: each scene draws a distance and its number of streams from these settings.",
    )
    crowd_streams: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = setting(
        (1, 16), "For crowds: number of streams (uniform in the logarithm)."
    )
    crowd_rate_hz: PositiveRange = setting((100.0, 1000.0), "For crowds: frame rate.", "Hz")
    planar_share: float = setting(0.0, "Share of samples in a plane.", ge=0, le=1)
    planar_shape: tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]] = setting(
        (96, 80), "For planes: number of voxels along z and x.", "voxels"
    )
    planar_bubbles: PositiveRange = setting(
        (3.0, 60.0), "For planes: number of bubbles in view (uniform in the logarithm).", "bubbles"
    )
    slice_thickness: PositiveRange = setting(
        (3.0, 6.0), "For planes: voxel spacing and width of the PSF along y.", "wavelengths"
    )
    conditions: ConditionsConfig = ConditionsConfig()
    wavelength_um: PositiveRange = setting((50.0, 200.0), "Wavelength.", "um")
    axial_voxel: PositiveRange = setting((0.4, 1.0), "Voxel spacing along z.", "wavelengths")
    lateral_voxel: PositiveRange = setting(
        (0.8, 1.7), "Voxel spacing along y and x.", "wavelengths"
    )
    axial_fwhm: PositiveRange = setting((1.2, 2.6), "Width of the PSF along z.", "wavelengths")
    lateral_fwhm: PositiveRange = setting((1.6, 4.0), "Width of the PSF along x.", "wavelengths")
    elevation_ratio: PositiveRange = setting(
        (0.85, 1.2), "Width of the PSF along y relative to that along x."
    )
    widening_per_mm: Range = setting((0.0, 0.05), "Growth of the widths with depth.", "1/mm")
    carrier: PositiveRange = setting(
        (0.85, 1.0), "Axial phase relative to that of the two-way path."
    )
    side_lobe_db: Range = setting((-40.0, -15.0), "Level of the side lobes.", "dB")
    image_share: float = setting(
        0.0, "Share of samples with a measured image of the bubbles in place of the Gaussian.",
        ge=0, le=1,
    )  # fmt: skip
    image_voxels: PositiveRange = setting(
        (1.3, 4.0),
        "For measured images: voxels per width, along z and across (uniform in the logarithm).",
        "voxels",
    )
    snr_db: Range = setting((8.0, 26.0), "Signal-to-noise ratio of the mean bubble.", "dB")
    noise_grain: Range = setting(
        (0.0, 1.0), "Grain of the noise relative to the PSF width along x."
    )
    amplitude_sd_db: Range = setting((0.5, 5.0), "Standard deviation of the bubble levels.", "dB")
    clutter_db: Range = setting((10.0, 35.0), "Level of the tissue, if present.", "dB")
    clutter_share: float = setting(1.0, "Share of samples with tissue.", ge=0, le=1)
    motion_um: Range = setting(
        (0.0, 10.0), "Rms amplitude of the rigid motion along each axis.", "um"
    )
    n_bubbles: PositiveRange = setting(
        (2.0, 200.0), "Number of bubbles in view (uniform in the logarithm).", "bubbles"
    )
    rate_hz: PositiveRange = setting((200.0, 1000.0), "Frame rate.", "Hz")
    max_speed_mm_s: PositiveRange = setting((8.0, 40.0), "Maximum speed of the flow.", "mm/s")
    pulsatility: Range = setting((0.0, 0.4), "Variation of the speed over the heart cycle.")
    tortuosity: Range = setting((0.0, 0.15), "Tortuosity of the vessels.")
    supply_ratio: PositiveRange = setting((1.2, 2.5), "Density of the tree ends (smaller: denser).")
    feeding_vessels: tuple[int, int] = setting((1, 6), "Number of penetrating arteries.")
    networks: tuple[str, ...] = setting((), "Files of measured vessels to draw from.")
    measured_share: float = setting(
        0.5, "Share of samples in measured vessels, if there are any.", ge=0, le=1
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            ordered = name not in ("networks", "planar_shape")
            if ordered and isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} {value} must be ascending")
        return self


def randomize(seed: int, config: RandomizationConfig | None = None) -> SimulationConfig:
    """Draw the settings of one training sample.

    Parameters
    ----------
    seed
        The same seed gives the same settings; it is also the seed of the simulation.
    config
        Ranges.

    Returns
    -------
    SimulationConfig
        Each setting is drawn uniformly from its range, independently, except that wavelengths,
        rates, speeds and numbers of bubbles are log-uniform. A 2-D grid keeps its voxel and
        width along y.

    Raises
    ------
    ConfigError
        The seed is reserved for the standard test sets (`standard.TEST_SEEDS`).
    """
    if is_test_seed(seed):
        raise ConfigError(
            f"Seed {seed} is reserved for the test sets. Train with seeds below {TEST_SEEDS.start}."
        )
    ranges = config or RandomizationConfig()
    ranges, thickness = _in_a_plane(seed, ranges)
    base = ranges.base
    rng = generator(seed, Purpose.SETTINGS)

    def even(bounds: Range) -> float:
        return float(rng.uniform(*bounds))

    def log_even(bounds: Range) -> float:
        return log_uniform(rng, bounds)

    wavelength = log_even(ranges.wavelength_um)
    planar = base.grid.shape[1] == 1
    lateral = even(ranges.lateral_voxel) * wavelength
    voxel = (even(ranges.axial_voxel) * wavelength, lateral, lateral)
    width = even(ranges.lateral_fwhm) * wavelength
    fwhm = (even(ranges.axial_fwhm) * wavelength, even(ranges.elevation_ratio) * width, width)
    if planar:
        across = thickness and thickness * wavelength
        voxel = (voxel[0], across or base.grid.voxel_um[1], voxel[2])
        fwhm = (fwhm[0], across or base.psf.fwhm_um[1], fwhm[2])
    clutter_db = even(ranges.clutter_db)
    with_tissue = rng.random() < ranges.clutter_share
    growth = base.vessels.growth.replace(
        tortuosity=even(ranges.tortuosity),
        supply_ratio=even(ranges.supply_ratio),
        feeding_vessels=int(rng.integers(*ranges.feeding_vessels, endpoint=True)),
    )
    speed = log_even(ranges.max_speed_mm_s)
    flow = base.vessels.flow.replace(max_speed_mm_s=speed)
    vessels = base.vessels.replace(growth=growth, flow=flow)
    measured = bool(ranges.networks) and rng.random() < ranges.measured_share
    if measured:
        vessels = vessels.replace(source="file", path=str(rng.choice(ranges.networks)))
    vascular = base.replace(
        name=f"random-{seed}",
        grid=base.grid.replace(voxel_um=voxel),
        wavelength_um=wavelength,
        rate_hz=log_even(ranges.rate_hz),
        psf=base.psf.replace(
            fwhm_um=fwhm,
            widening_per_mm=even(ranges.widening_per_mm),
            carrier=even(ranges.carrier),
            side_lobe_db=even(ranges.side_lobe_db),
        ),
        noise=base.noise.replace(
            snr_db=even(ranges.snr_db), grain_um=even(ranges.noise_grain) * width
        ),
        clutter=base.clutter.replace(
            level_db=clutter_db if with_tissue else None,
            breathing_um=even((0.5, 1.5)) * base.clutter.breathing_um,
            heart_um=even((0.5, 1.5)) * base.clutter.heart_um,
        ),
        motion=base.motion.replace(
            rms_um=tuple(even(ranges.motion_um) for _ in range(3)) if not planar
            else (even(ranges.motion_um), 0.0, even(ranges.motion_um)),
        ),
        bubbles=base.bubbles.replace(
            n_bubbles=max(1, round(log_even(ranges.n_bubbles))),
            amplitude_sd_db=even(ranges.amplitude_sd_db),
        ),
        travel=base.travel.replace(max_speed_mm_s=speed, pulsatility=even(ranges.pulsatility)),
        vessels=vessels,
        seed=seed,
    )  # fmt: skip
    return _as_drawn(vascular, ranges)


def _in_a_plane(seed: int, ranges: RandomizationConfig) -> tuple[RandomizationConfig, float | None]:
    """The ranges and None, or, depending on the seed, those for a plane and its thickness.

    The thickness is in wavelengths.
    """
    # A separate generator, so that the volumes of a seed do not depend on the share of planes.
    rng = generator(seed, Purpose.PLANE)
    if rng.random() >= ranges.planar_share:
        return ranges, None
    z, x = ranges.planar_shape
    base = ranges.base.replace(grid=ranges.base.grid.replace(shape=(z, 1, x)))
    thickness = float(rng.uniform(*ranges.slice_thickness))
    return ranges.replace(base=base, n_bubbles=ranges.planar_bubbles), thickness


def _as_drawn(scene: SimulationConfig, ranges: RandomizationConfig) -> SimulationConfig:
    """The scene in its world, with its image and under its conditions, each drawn on its own."""
    scene = _with_its_image(_in_its_world(scene, ranges), ranges)
    return draw_conditions(scene, ranges.conditions)


def _in_its_world(scene: SimulationConfig, ranges: RandomizationConfig) -> SimulationConfig:
    """The scene itself, or with a crowd in place of its vessels, depending on its seed."""
    # A separate generator, so that the vessels of a seed do not depend on the shares.
    rng = generator(scene.seed, Purpose.WORLD)
    worlds, crowd = ranges.worlds, ranges.crowd
    if rng.random() * (worlds.vessels + worlds.crowds) < worlds.vessels:
        return scene
    # One density per scene, within a factor of two: a dense stream would hide a sparse one.
    low, high = crowd.nearest_wavelengths
    middle = log_uniform(rng, (low, high))
    fewest, most = ranges.crowd_streams
    streams = int(np.exp(rng.uniform(np.log(fewest), np.log(most + 1))))
    top = crowd.speed_mm_s[1]
    return scene.replace(
        name=f"crowd-{scene.seed}",
        rate_hz=log_uniform(rng, ranges.crowd_rate_hz),
        crowd=crowd.replace(
            streams=streams,
            nearest_wavelengths=(max(low, middle / 2), min(high, middle * 2)),
        ),
        travel=scene.travel.replace(max_speed_mm_s=top),
        clutter=scene.clutter.replace(rank=int(rng.integers(4, 16, endpoint=True))),
        psf=scene.psf.replace(side_lobe_offset=float(rng.uniform(1.2, 2.2))),
    )


def _with_its_image(scene: SimulationConfig, ranges: RandomizationConfig) -> SimulationConfig:
    """The scene itself, or with a measured image and voxels that suit its widths."""
    # A separate generator, so that nothing else in the scene of a seed depends on the share.
    rng = generator(scene.seed, Purpose.IMAGE)
    if rng.random() >= ranges.image_share:
        return scene
    planar = scene.grid.shape[1] == 1
    names = image_names("linear" if planar else "matrix", held_out=False)
    image = measured_image(str(rng.choice(names)))
    low, high = np.log(ranges.image_voxels)
    along, across = np.exp(rng.uniform(low, high, 2))
    return with_image(scene, image, float(along), float(across))


def with_image(
    scene: SimulationConfig, image: MeasuredImage, along: float, across: float
) -> SimulationConfig:
    """A scene with a measured image, and voxels of which its mean width has a given number.

    Parameters
    ----------
    along, across
        Voxels per width along z, and along y and x. The voxel of a plane along y is kept.
    """
    z, _, x = image.fwhm.mean(axis=(0, 1, 2)) * scene.wavelength_um
    voxel = (float(z / along), float(x / across), float(x / across))
    if scene.grid.shape[1] == 1:
        voxel = (voxel[0], scene.grid.voxel_um[1], voxel[2])
    # The grain keeps its ratio to the width.
    grain_um = scene.noise.grain_um * float(x) / scene.psf.fwhm_um[2]
    return scene.replace(
        grid=scene.grid.replace(voxel_um=voxel),
        psf=scene.psf.replace(image=image.name),
        noise=scene.noise.replace(grain_um=grain_um),
    )
