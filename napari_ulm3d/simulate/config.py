"""Settings of a simulated acquisition: one frozen model, saved with the data."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.simulate.flow import FlowConfig
from napari_ulm3d.simulate.flow.bubbles import BubbleConfig
from napari_ulm3d.simulate.vasculature.config import VasculatureConfig

__all__ = [
    "ClutterModelConfig",
    "CrowdConfig",
    "GridConfig",
    "MicrobubbleConfig",
    "MotionConfig",
    "NoiseConfig",
    "PsfModelConfig",
    "SimulationConfig",
    "VesselsConfig",
    "ViewConfig",
]

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Triple = tuple[float, float, float]


class GridConfig(StageConfig):
    """The voxels of one volume."""

    shape: tuple[Count, Count, Count] = setting(
        (40, 36, 32), "Number of voxels along z, y, x.", "voxels"
    )
    voxel_um: tuple[Positive, Positive, Positive] = setting(
        (98.56, 150.0, 150.0), "Voxel spacing along z, y, x.", "um"
    )
    origin_um: Triple = setting(
        (0.0, 0.0, 0.0), "Position of the centre of the first voxel, z, y, x.", "um"
    )

    @property
    def grid(self) -> Grid:
        """The settings as a `Grid`."""
        return Grid(self.shape, self.voxel_um, self.origin_um)


class PsfModelConfig(StageConfig):
    """The image of one bubble: Gaussian magnitude, two-way carrier phase, side lobes."""

    image: str | None = setting(
        None,
        "Name of a measured image in place of the Gaussian, whose settings then have no effect, except "
        "the elevation width of a plane. None: the Gaussian.",
    )
    fwhm_um: tuple[Positive, Positive, Positive] = setting(
        (197.0, 300.0, 300.0),
        "Full width at half maximum of the PSF magnitude at the top of the grid: axial, "
        "elevation, lateral.",
        "um",
    )
    widening_per_mm: float = setting(
        0.02,
        "Relative growth of the elevation and lateral widths per millimetre of depth.",
        "1/mm",
        ge=0,
    )
    carrier: float = setting(
        1.0,
        "Axial phase relative to that of the two-way path, 4 pi / wavelength (below 1 "
        "for oblique echoes).",
        gt=0,
        le=1.5,
    )
    side_lobe_db: float | None = setting(
        -26.5, "Level of the first side lobes along y and x. None: no side lobes.", "dB", lt=0
    )
    side_lobe_offset: float = setting(
        1.6, "Distance of the side lobes from the centre, in widths of the main lobe.", "FWHM", gt=0
    )


class NoiseConfig(StageConfig):
    """Thermal noise: complex, Gaussian; white, or with the grain of a beamformer."""

    snr_db: float | None = setting(
        18.0,
        "Peak amplitude of the mean bubble relative to the rms magnitude of the noise. "
        "None: no noise.",
        "dB",
    )
    grain_um: float = setting(
        0.0, "Width (FWHM) of the noise correlation along y and x (0: white noise).", "um", ge=0
    )
    growth_db_per_mm: float = setting(
        0.0,
        "Growth of the noise with depth relative to the bubbles; `snr_db` is that at half the "
        "grid's depth.",
        "dB/mm",
    )


class ClutterModelConfig(StageConfig):
    """Tissue: speckle that moves with breathing and heartbeat."""

    model: Literal["regions", "strain"] = setting(
        "regions",
        "regions: a few regions, each moving rigidly, so the temporal rank is finite; strain: one "
        "field of speckle, displaced differently at every voxel.",
    )
    level_db: float | None = setting(
        25.0,
        "Rms amplitude of the tissue relative to the peak of the mean bubble. None: no tissue.",
        "dB",
    )
    rank: int = setting(
        8,
        "For regions: how many move independently, the temporal rank of the tissue.",
        ge=1,
        le=32,
    )
    breathing_hz: float = setting(1.5, "Breathing rate.", "Hz", gt=0)
    breathing_um: float = setting(8.0, "Maximum displacement by breathing.", "um", ge=0)
    heart_hz: float = setting(7.0, "Heart rate.", "Hz", gt=0)
    heart_um: float = setting(2.0, "Maximum displacement by the heartbeat.", "um", ge=0)
    fading: float = setting(
        0.02,
        "Slow speckle decorrelation. regions: relative change of a region's amplitude; strain: "
        "angle by which the speckle turns into an independent one, radians.",
        ge=0,
        le=1,
    )
    layers: int = setting(
        0, "For strain: bright surfaces across the volume, such as bone or a wall.", ge=0, le=10
    )
    spots: int = setting(0, "For strain: bright points.", ge=0, le=1000)
    specular_db: float = setting(
        12.0, "For strain: peak of the layers and spots relative to the rms of the speckle.", "dB"
    )


class MotionConfig(StageConfig):
    """Rigid motion of the whole scene, tissue and bubbles (when the probe or animal shifts)."""

    rms_um: tuple[NotNegative, NotNegative, NotNegative] = setting(
        (0.0, 0.0, 0.0), "Rms amplitude of a slow oscillation along z, y, x.", "um"
    )
    rate_hz: float = setting(0.5, "Mean frequency of that oscillation.", "Hz", gt=0)
    drift_um_s: Triple = setting((0.0, 0.0, 0.0), "Constant drift along z, y, x.", "um/s")
    jumps_hz: float = setting(0.0, "Mean rate of sudden jumps, at random times.", "Hz", ge=0)
    jump_um: tuple[NotNegative, NotNegative, NotNegative] = setting(
        (10.0, 10.0, 10.0), "Rms displacement by one jump along z, y, x.", "um"
    )


class ViewConfig(StageConfig):
    """What the scanner makes of the volume: gain over depth, and the field of view."""

    gain_db_per_mm: float = setting(
        0.0,
        "Growth of the gain with depth, for bubbles, tissue and noise alike; 0 dB at half the "
        "grid's depth.",
        "dB/mm",
    )
    radius: tuple[Positive, Positive] | None = setting(
        None,
        "Radius of the field of view at the top and bottom of the grid, relative to half its "
        "width along y and x (equal: a cylinder; larger at the bottom: a cone, or in a plane a sector). Voxels "
        "outside are 0. None: the whole grid.",
    )


class MicrobubbleConfig(StageConfig):
    """Number and brightness of the microbubbles."""

    n_bubbles: int = setting(40, "Mean number of bubbles in the field of view.", "bubbles", ge=0)
    amplitude_sd_db: float = setting(
        2.5, "Standard deviation of the bubble levels (log-normal amplitudes).", "dB", ge=0
    )
    drift_sd_db: float = setting(
        1.0, "Standard deviation of the level of one bubble over time.", "dB", ge=0
    )
    drift_time_s: float = setting(0.2, "Correlation time of that drift.", "s", gt=0)


class VesselsConfig(StageConfig):
    """The vessels that contain the bubbles, and the flow through them."""

    source: Literal["procedural", "file"] = setting(
        "procedural", "Grown from the seed, or read from the file `path`."
    )
    path: str | None = setting(
        None,
        "For source=file, a network: .swc (.gz), Secomb's .dat, or <name>_segments.csv "
        "with _nodes.csv.",
    )
    scale: Literal["cover", "inside", "as-is"] = setting(
        "cover",
        "For source=file: cover the field of view, fit inside it, or keep the file's own size.",
    )
    seed: int | None = setting(
        None, "Seed of the grown network. None: the seed of the simulation.", ge=0
    )
    growth: VasculatureConfig = VasculatureConfig()
    flow: FlowConfig = FlowConfig()

    @model_validator(mode="after")
    def _path_given(self) -> Self:
        if (self.source == "file") != (self.path is not None):
            raise ValueError("source = 'file' needs a path, and a path needs source = 'file'")
        return self


class CrowdConfig(StageConfig):
    """Bubbles on random curves in place of vessels (see `simulate.crowds`)."""

    streams: int = setting(8, "Curves along which the bubbles move.", ge=1, le=1000)
    nearest_wavelengths: tuple[Positive, Positive] = setting(
        (0.2, 8.0),
        "Distance to the nearest bubble, drawn for each stream (uniform in the logarithm).",
        "wavelengths",
    )
    speed_mm_s: tuple[Positive, Positive] = setting(
        (0.1, 40.0), "Speed, drawn for each stream (uniform in the logarithm).", "mm/s"
    )
    paired_share: float = setting(
        0.15,
        "Fraction of streams whose bubbles move in pairs; higher if there are few streams.",
        ge=0,
        le=1,
    )
    crossing_share: float = setting(
        0.35, "Fraction of streams that cross an earlier one.", ge=0, le=1
    )
    merging_share: float = setting(
        0.2, "Fraction of streams that merge into an earlier one.", ge=0, le=1
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name in ("nearest_wavelengths", "speed_mm_s"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} {(low, high)} must be ascending")
        if self.crossing_share + self.merging_share > 1:
            raise ValueError("crossing_share and merging_share must not add up to more than 1")
        return self


class SimulationConfig(StageConfig):
    """All settings of a simulated acquisition; the same settings give the same frames."""

    name: str = setting("simulation", "Name of the acquisition.")
    probe: str = setting("", "Probe that these settings represent.")
    grid: GridConfig = GridConfig()
    wavelength_um: float = setting(98.56, "Wavelength in tissue.", "um", gt=0)
    sound_speed_m_s: float = setting(1540.0, "Speed of sound.", "m/s", gt=0)
    rate_hz: float = setting(260.0, "Frame rate (volumes per second).", "Hz", gt=0)
    n_frames: int = setting(400, "Number of frames.", "frames", ge=1)
    psf: PsfModelConfig = PsfModelConfig()
    noise: NoiseConfig = NoiseConfig()
    clutter: ClutterModelConfig = ClutterModelConfig()
    motion: MotionConfig = MotionConfig()
    view: ViewConfig = ViewConfig()
    bubbles: MicrobubbleConfig = MicrobubbleConfig()
    travel: BubbleConfig = BubbleConfig()
    vessels: VesselsConfig = VesselsConfig()
    crowd: CrowdConfig | None = setting(
        None, "Put the bubbles on random curves instead of in `vessels`. None: in `vessels`."
    )
    seed: int = setting(0, "Random seed.", ge=0)

    @property
    def frequency_hz(self) -> float:
        """Centre frequency: speed of sound over wavelength."""
        return self.sound_speed_m_s * 1e6 / self.wavelength_um

    # TOML has no None, and some defaults here are not None, so the word "none" represents it.
    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Validate plain values; unknown names and bad values raise a `ConfigError`."""
        return super().from_dict(_swap(values, "none", None))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with None as the word "none"."""
        return dict(_swap(self.model_dump(mode="json"), None, "none"))


def _swap(value: Any, old: Any, new: Any) -> Any:
    """Replace `old` by `new` everywhere in nested dictionaries."""
    if isinstance(value, dict):
        return {key: _swap(item, old, new) for key, item in value.items()}
    return new if value == old and type(value) is type(old) else value
