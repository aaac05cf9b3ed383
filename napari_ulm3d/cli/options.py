"""Options that several commands share: how to read a file that does not say it all."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from napari_ulm3d.config import LoadConfig, StageConfig

__all__ = ["describe_setting", "takes_load_options"]


def describe_setting(model: type[StageConfig], name: str) -> str:
    """A setting's description with its unit and default, for --help."""
    field = model.model_fields[name]
    extra = field.json_schema_extra
    unit = extra.get("unit", "") if isinstance(extra, dict) else ""
    default = "" if field.default is None else f" Default {field.default}."
    return f"{field.description}{f' In {unit}.' if unit else ''}{default}"


Triple = tuple[float, float, float]

# Setting, its type, its flags with what they take.
_LOAD_FLAGS: tuple[tuple[str, Any, tuple[str, ...], str], ...] = (
    ("variable", str, ("--variable",), "NAME"),
    ("axes", str, ("--axes",), "AXES"),
    ("voxel_um", Triple, ("--voxel-um",), "Z Y X"),
    ("rate_hz", float, ("--rate",), "HZ"),
    ("origin_um", Triple, ("--origin-um",), "Z Y X"),
    ("wavelength_um", float, ("--wavelength-um",), "UM"),
    ("frequency_mhz", float, ("--frequency-mhz",), "MHZ"),
    ("sound_speed_m_s", float, ("--sound-speed", "--speed-of-sound"), "M_S"),
    ("log_compressed_db", float, ("--log-compressed",), "DB"),
)


def takes_load_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of `LoadConfig`.

    The command's parameter `load`, a dictionary of the settings that were given, is
    replaced by one flag a setting.
    """

    @wraps(command)
    def with_flags(*args: Any, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name, *_ in _LOAD_FLAGS if name in kwargs}
        load = {name: value for name, value in given.items() if value is not None}
        if "frequency_mhz" in load:
            load["frequency_hz"] = load.pop("frequency_mhz") * 1e6
        command(*args, load=load, **kwargs)

    hints = get_type_hints(command, include_extras=True)
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name == "load":
            parameters += [_flag(*flag) for flag in _LOAD_FLAGS]
        else:
            keyword = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=keyword, annotation=hints[name]))
    signature = inspect.Signature(parameters)
    with_flags.__signature__ = signature  # type: ignore[attr-defined]
    with_flags.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_flags


def _flag(name: str, kind: Any, flags: tuple[str, ...], takes: str) -> inspect.Parameter:
    if name == "frequency_mhz":
        text = describe_setting(LoadConfig, "frequency_hz").replace("In Hz", "In MHz")
    else:
        text = describe_setting(LoadConfig, name)
    option = typer.Option(*flags, metavar=takes, help=text, rich_help_panel="Input")
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )
