"""Options that several commands share: how to read a file that does not say it all."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from napari_ulm3d.config import LoadConfig, StageConfig

__all__ = [
    "Axes",
    "FrequencyMHz",
    "LogCompressed",
    "Origin",
    "Rate",
    "SoundSpeed",
    "Variable",
    "VoxelUm",
    "WavelengthUm",
    "describe_setting",
    "load_settings",
]


def describe_setting(model: type[StageConfig], name: str) -> str:
    """A setting's description with its unit and default, for --help."""
    field = model.model_fields[name]
    extra = field.json_schema_extra
    unit = extra.get("unit", "") if isinstance(extra, dict) else ""
    default = "" if field.default is None else f" Default {field.default}."
    return f"{field.description}{f' In {unit}.' if unit else ''}{default}"


def _load_option(name: str, *flags: str, metavar: str | None = None) -> Any:
    return typer.Option(
        *flags, metavar=metavar, help=describe_setting(LoadConfig, name), rich_help_panel="Input"
    )


Variable = Annotated[str | None, _load_option("variable", "--variable", metavar="NAME")]
Axes = Annotated[str | None, _load_option("axes", "--axes", metavar="AXES")]
VoxelUm = Annotated[
    tuple[float, float, float] | None, _load_option("voxel_um", "--voxel-um", metavar="Z Y X")
]
Rate = Annotated[float | None, _load_option("rate_hz", "--rate", metavar="HZ")]
Origin = Annotated[
    tuple[float, float, float] | None, _load_option("origin_um", "--origin-um", metavar="Z Y X")
]
WavelengthUm = Annotated[
    float | None, _load_option("wavelength_um", "--wavelength-um", metavar="UM")
]
FrequencyMHz = Annotated[
    float | None,
    typer.Option(
        "--frequency-mhz",
        metavar="MHZ",
        help="Transmit centre frequency. In MHz.",
        rich_help_panel="Input",
    ),
]
SoundSpeed = Annotated[
    float | None,
    _load_option("sound_speed_m_s", "--sound-speed", "--speed-of-sound", metavar="M_S"),
]
LogCompressed = Annotated[
    float | None, _load_option("log_compressed_db", "--log-compressed", metavar="DB")
]


def load_settings(
    *,
    variable: str | None,
    axes: str | None,
    voxel_um: tuple[float, float, float] | None,
    rate: float | None,
    origin_um: tuple[float, float, float] | None,
    wavelength_um: float | None,
    frequency_mhz: float | None,
    sound_speed: float | None,
    log_compressed: float | None,
) -> dict[str, Any]:
    """The flags that were given, as values of `LoadConfig`."""
    values = {
        "variable": variable,
        "axes": axes,
        "voxel_um": voxel_um,
        "rate_hz": rate,
        "origin_um": origin_um,
        "wavelength_um": wavelength_um,
        "frequency_hz": None if frequency_mhz is None else frequency_mhz * 1e6,
        "sound_speed_m_s": sound_speed,
        "log_compressed_db": log_compressed,
    }
    return {name: value for name, value in values.items() if value is not None}
