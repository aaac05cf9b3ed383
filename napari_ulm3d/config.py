"""The settings: one frozen model a stage, gathered in `PipelineConfig`; TOML in and out.

This is the one truth for Python, the command line, the widgets and the files: names,
units, defaults, ranges and descriptions stand here and nowhere else. Names and
defaults follow Open-3DULM (Commun. Eng. 2025, s44172-025-00415-4, Table 1) and PALA
(Heiles et al., Nat. Biomed. Eng. 2022) where they are sound.
"""

from __future__ import annotations

import tomllib
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from napari_ulm3d.errors import ConfigError

__all__ = [
    "ClutterConfig",
    "LinkConfig",
    "LoadConfig",
    "LocalizeConfig",
    "MapConfig",
    "NetworkConfig",
    "PipelineConfig",
    "PsfConfig",
    "SparsifyConfig",
    "StageConfig",
]

Positive = Annotated[float, Field(gt=0)]
PositiveTriple = tuple[Positive, Positive, Positive]
Localizer = Literal["gaussian", "radial", "centroid", "parabolic", "network", "trajectory"]
Device = Literal["auto", "cpu", "cuda"]
OddTriple = tuple[
    Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]
]


def setting(default: Any, description: str, unit: str = "", **bounds: Any) -> Any:
    """A field with its description and unit, both shown by --help and the tooltips."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **bounds)


Model = TypeVar("Model", bound="StageConfig")


class StageConfig(BaseModel):
    """What all settings share: frozen, unknown names are errors, TOML in and out."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed, validated."""
        return _validated(type(self), {**self.model_dump(), **changes})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Validate plain values; unknown names and bad values become a `ConfigError`."""
        return _validated(cls, values)

    @classmethod
    def from_toml(cls, path: str | PathLike[str]) -> Self:
        """Read settings from a TOML file; a `run.toml` of a results folder serves as well."""
        try:
            with open(path, "rb") as file:
                values = tomllib.load(file)
        except FileNotFoundError as error:
            raise ConfigError(f"{path}: no such settings file.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{path}: not a readable TOML file ({error}).") from error
        config = values.get("config", values)
        if "acquisition" in values and "result" not in values:
            # The result is the end of a run.toml: what is before it may have been lost as well.
            raise ConfigError(f"{path}: the run.toml was cut short; give the settings themselves.")
        if not isinstance(config, dict):
            raise ConfigError(f"{path}: `config` must be a table.")
        try:
            return cls.from_dict(config)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values without None (which TOML does not have)."""
        return _without_none(self.model_dump(mode="json"))

    def to_toml(self, path: str | PathLike[str]) -> None:
        """Write the settings as TOML."""
        Path(path).write_text(tomli_w.dumps(self.to_dict()), encoding="utf-8")


class LoadConfig(StageConfig):
    """How to read files, and what they do not say themselves. None: as the file says."""

    variable: str | None = setting(
        None, "Name of the array in the file (HDF5 path or MATLAB variable)."
    )
    axes: str | None = setting(
        None,
        "Axis order of the stored array as read in Python: letters of tzyx, c for a pair of "
        "real and imaginary part; y or t may be absent (MATLAB v7.3 reads as tyxz, v5 as zxyt).",
    )
    voxel_um: PositiveTriple | None = setting(None, "Voxel spacing along z, y, x.", "um")
    rate_hz: float | None = setting(None, "Volumes a second.", "Hz", gt=0)
    origin_um: tuple[float, float, float] | None = setting(
        None, "Position of the centre of the first voxel, z, y, x.", "um"
    )
    wavelength_um: float | None = setting(None, "Wavelength in the tissue.", "um", gt=0)
    frequency_hz: float | None = setting(None, "Transmit centre frequency.", "Hz", gt=0)
    sound_speed_m_s: float | None = setting(None, "Speed of sound.", "m/s", gt=0)
    log_compressed_db: float | None = setting(
        None, "The movie is log-compressed over this dynamic range; linearize it.", "dB", gt=0
    )
    frames_per_block: int = setting(
        200, "Frames that are filtered together; longer files are cut evenly.", "frames", ge=2
    )

    @field_validator("axes")
    @classmethod
    def _axis_letters(cls, axes: str | None) -> str | None:
        if axes is None:
            return None
        letters = "".join(axes.lower().replace(",", " ").split())
        if len(set(letters)) != len(letters) or not {"z", "x"} <= set(letters) <= set("tzyxc"):
            raise ValueError(
                f"axes '{axes}' must be distinct letters of t z y x c, z and x among them"
            )
        return letters


class ClutterConfig(StageConfig):
    """Removing tissue: singular value decomposition and/or a temporal bandpass."""

    method: Literal["svd", "bandpass", "svd+bandpass", "none"] = setting("svd", "Which filter.")
    svd_range: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = setting(
        (12, 200), "First and last singular component kept, counted from 1 (strongest)."
    )
    svd_automatic: bool = setting(
        False, "Choose the first component kept from the data instead (see filtering.svd)."
    )
    bandpass_hz: tuple[Positive, Positive] = setting(
        (10.0, 120.0), "Lower and upper cut-off of the temporal bandpass.", "Hz"
    )
    bandpass_order: int = setting(2, "Order of the Butterworth bandpass.", ge=1, le=8)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.svd_range[0] > self.svd_range[1]:
            raise ValueError(f"svd_range {self.svd_range} must ascend")
        if self.bandpass_hz[0] >= self.bandpass_hz[1]:
            raise ValueError(f"bandpass_hz {self.bandpass_hz} must ascend")
        return self


class PsfConfig(StageConfig):
    """The point-spread function: the image of one bubble."""

    source: Literal["auto", "analytic", "data"] = setting(
        "auto",
        "Where the image of a bubble comes from. analytic: a Gaussian of fwhm_voxels; data: the "
        "data's isolated bubbles; auto: a Gaussian, for networks of the widths measured on the "
        "isolated bubbles.",
    )
    fwhm_voxels: PositiveTriple = setting(
        (3.0, 3.0, 3.0), "Full width at half maximum of the magnitude along z, y, x.", "voxels"
    )
    patch_voxels: OddTriple | None = setting(
        None,
        "Size of the PSF's patch along z, y, x (odd); none: a width on either side of the centre.",
        "voxels",
    )
    carrier: Literal["data", "wavelength", "none"] = setting(
        "data",
        "analytic, auto, IQ: the axial phase, measured on the data, from the wavelength, or zero.",
    )
    min_bubbles: int = setting(
        30, "data: fewest isolated bubbles that an estimate may rest on.", "bubbles", ge=1
    )

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.patch_voxels is not None and any(n % 2 == 0 for n in self.patch_voxels):
            raise ValueError(f"patch_voxels {self.patch_voxels} must be odd")
        return self


class SparsifyConfig(StageConfig):
    """Which voxels of the correlation map are kept for the networks."""

    strategy: Literal["threshold", "topk", "contrast", "learned"] = setting(
        "threshold", "How voxels are chosen."
    )
    threshold: float = setting(
        0.1, "threshold: keep voxels with squared correlation |c|^2 of at least this.", ge=0, le=1
    )
    top_k: int = setting(50_000, "topk: keep this many strongest voxels a block.", "voxels", ge=1)
    min_snr_db: float = setting(9.0, "contrast: least local signal-to-noise ratio.", "dB")
    patch_voxels: OddTriple = setting(
        (7, 7, 7), "contrast: patch of the local noise level.", "voxels"
    )
    weights: str | None = setting(
        None,
        "learned: weights of the mask network, a file or the name of shipped ones; "
        "none: those shipped.",
    )

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if any(n % 2 == 0 for n in self.patch_voxels):
            raise ValueError(f"patch_voxels {self.patch_voxels} must be odd")
        if max(self.patch_voxels) < 3:
            raise ValueError(f"patch_voxels {self.patch_voxels} must span 3 voxels along an axis")
        return self


class LocalizeConfig(StageConfig):
    """Finding bubbles and their centres below the voxel."""

    localizer: Localizer = setting(
        "gaussian",
        "How the sub-voxel position is found. network: BubbleNet on the voxels kept; "
        "trajectory: the network of Rauby et al., which draws a map and no localizations.",
    )
    min_snr_db: float = setting(
        9.0, "Least local contrast of a bubble over its surroundings.", "dB"
    )
    min_correlation: float = setting(
        0.0, "Least correlation with the PSF, in magnitude.", ge=0, le=1
    )
    max_bubbles: int = setting(900, "At most this many bubbles a frame, the strongest.", ge=1)
    patch_voxels: OddTriple = setting((7, 7, 7), "Patch about a maximum, z, y, x (odd).", "voxels")
    max_maxima: int | None = setting(
        None,
        "Reject maxima whose patch holds more maxima than this, itself counted (PALA: 3); none: keep all.",
        ge=1,
    )
    max_shift_voxels: float = setting(
        1.5,
        "Reject positions further than this from their maximum, along any axis.",
        "voxels",
        gt=0,
    )
    fwhm_voxels: PositiveTriple | None = setting(
        None,
        "gaussian, radial: full width at half maximum of a bubble, z, y, x; none: measured in each frame.",
        "voxels",
    )
    min_fit_snr_db: float = setting(
        16.0,
        "gaussian: least energy of a fitted bubble over the power of the residual about it.",
        "dB",
    )
    rounds: int = setting(
        2,
        "gaussian: how often maxima are sought; after the first, in what the fitted bubbles leave over.",
        ge=1,
        le=5,
    )

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if any(n % 2 == 0 for n in self.patch_voxels):
            raise ValueError(f"patch_voxels {self.patch_voxels} must be odd")
        return self


class NetworkConfig(StageConfig):
    """How networks are run (localizer network or trajectory), and which bubbles are kept."""

    weights: str | None = setting(
        None,
        "Weights of the network, a .safetensors file or the name of shipped ones; none: those "
        "shipped for the localizer.",
    )
    min_score: float | None = setting(
        None,
        "network: least probability that a bubble is as close as hit_fraction says; none: as "
        "chosen on the validation scenes when the network was trained.",
        ge=0,
        le=1,
    )
    hit_fraction: float = setting(
        0.25, "network: how close a bubble must be to count for the score.", "wavelengths", gt=0
    )
    candidate_score: float = setting(
        0.03, "network: voxels of a lower probability are not looked at.", gt=0, le=1
    )
    merge_fwhm: float = setting(
        0.3, "network: predictions closer than this are one bubble.", "widths of the PSF", gt=0
    )
    views: Literal[1, 2, 4, 8] = setting(
        2,
        "network: mirror images of a window whose predictions are averaged; each takes the time "
        "of one.",
    )
    window_frames: int = setting(
        32, "network: frames given to the network at once, at most.", "frames", ge=1
    )
    margin_frames: int = setting(
        4, "network: frames at a window's ends that are predicted by the next one.", "frames", ge=0
    )
    trajectory_score: float = setting(
        0.5, "trajectory: probability above which a trajectory crosses a voxel.", gt=0, lt=1
    )
    precision: Literal["auto", "full", "half"] = setting(
        "auto",
        "Numbers of 32 bits (full, which is auto's choice), or of 16 in the convolutions (half, "
        "CUDA alone: less memory).",
    )
    memory_gb: float | None = setting(
        None, "Memory for the network: windows are made to fit; none: what is free.", "GB", gt=0
    )

    @model_validator(mode="after")
    def _window_left(self) -> Self:
        if self.window_frames <= 2 * self.margin_frames:
            raise ValueError(
                f"window_frames {self.window_frames} must exceed twice margin_frames "
                f"{self.margin_frames}"
            )
        return self


class LinkConfig(StageConfig):
    """Joining localizations into trajectories."""

    max_speed_mm_s: float = setting(
        30.0, "Fastest bubble: a link is at most this times the time it spans.", "mm/s", gt=0
    )
    max_gap_frames: int = setting(
        0,
        "Frames in a row that a bubble may be missed within a track; the positions are filled in "
        "on a straight line. More than 2 lets false links in.",
        "frames",
        ge=0,
    )
    min_length_frames: int = setting(
        9, "Shortest track kept: frames in which its bubble was localized.", "frames", ge=2
    )
    smoothing_frames: int = setting(
        5,
        "Window of the centred moving average over positions, shorter at a track's ends "
        "(1: none; an even number counts as one less).",
        "frames",
        ge=1,
    )
    breaks: Literal["none", "files", "blocks"] = setting(
        "none",
        "Where all tracks end: none: the frames follow each other without a pause; files: the "
        "scanner paused between files; blocks: at the border of every block.",
    )


class MapConfig(StageConfig):
    """Accumulating tracks into vessel maps."""

    resolution_factor: float = setting(
        10.0, "Super-resolution: map voxel = smallest voxel spacing / this.", gt=0
    )
    smoothing_um: float = setting(
        0.0,
        "Standard deviation of the Gaussian that the maps are smoothed with; 0: none. The measured "
        "resolution is that of the maps before.",
        "um",
        ge=0,
    )
    fsc: bool = setting(True, "Measure the resolution by Fourier shell correlation of two halves.")


class PipelineConfig(StageConfig):
    """All settings of a run; saved as TOML, one table a stage."""

    load: LoadConfig = LoadConfig()
    clutter: ClutterConfig = ClutterConfig()
    psf: PsfConfig = PsfConfig()
    sparsify: SparsifyConfig = SparsifyConfig()
    localize: LocalizeConfig = LocalizeConfig()
    network: NetworkConfig = NetworkConfig()
    link: LinkConfig = LinkConfig()
    maps: MapConfig = MapConfig()
    device: Device = setting("auto", "Where networks run.")
    seed: int = setting(0, "Seed of everything random.", ge=0)

    def with_settings(self, assignments: list[str]) -> Self:
        """Apply ``section.key=value`` assignments; values are TOML, bare words are strings."""
        values = self.model_dump()
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            *section, key = name.strip().split(".")
            if not equals or not key:
                raise ConfigError(f"'{assignment}' is not of the form section.key=value.")
            target: Any = values
            for part in section:
                target = target.get(part) if isinstance(target, dict) else None
            if not isinstance(target, dict) or key not in target:
                raise ConfigError(f"There is no setting '{name.strip()}'. {self._names()}")
            target[key] = (
                text.strip()
                if text.strip() in _choices(self, section, key)
                else _parse_value(text.strip())
            )
        return self.from_dict(values)

    @classmethod
    def _names(cls) -> str:
        sections = []
        for name, info in cls.model_fields.items():
            annotation = info.annotation
            if isinstance(annotation, type) and issubclass(annotation, StageConfig):
                sections.append(f"{name}.{{{','.join(annotation.model_fields)}}}")
            else:
                sections.append(name)
        return "Settings: " + " ".join(sections)


def _choices(config: StageConfig, section: list[str], key: str) -> tuple[Any, ...]:
    """The words that a setting may take, where it takes words ("none" may be one)."""
    for part in section:
        config = getattr(config, part)
    return get_args(type(config).model_fields[key].annotation)


def _parse_value(text: str) -> Any:
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if "," in text:
            return [_parse_value(part.strip()) for part in text.split(",")]
        return text


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _validated(model: type[Model], values: dict[str, Any]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or model.__name__}: {item['msg']}"
            for item in error.errors()
        )
        raise ConfigError(f"Bad settings: {problems}.") from error
