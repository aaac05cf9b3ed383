"""Options shared by several commands, and groups of options passed as one parameter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from napari_ulm3d.config import LoadConfig, StageConfig, conditions_of, unit_of
from napari_ulm3d.config.execution import Execution

__all__ = ["describe_setting", "takes_execution_options", "takes_group", "takes_load_options"]


def describe_setting(model: type[StageConfig], name: str) -> str:
    """A setting's description for --help, with its unit, conditions and default."""
    field = model.model_fields[name]
    parts = [str(field.description)]
    if unit := unit_of(field):
        parts.append(f"In {unit}.")
    if conditions := conditions_of(field):
        parts.append(f"Used if {' and '.join(str(each) for each in conditions)}.")
    if field.default is not None:
        parts.append(f"Default {field.default}.")
    return " ".join(parts)


Triple = tuple[float, float, float]


@dataclass(frozen=True)
class _Group:
    """Options for the settings of a model, passed to a command as one parameter.

    Attributes
    ----------
    parameter
        Parameter of the command; receives a dictionary of the settings that were given.
    model
        Model with the descriptions.
    panel
        Panel in --help.
    flags
        For each setting: name, type, flags, metavar.
    """

    parameter: str
    model: type[StageConfig]
    panel: str
    flags: tuple[tuple[str, Any, tuple[str, ...], str], ...]


_LOAD = _Group(
    "load",
    LoadConfig,
    "Input",
    (
        ("variable", str, ("--variable",), "NAME"),
        ("axes", str, ("--axes",), "AXES"),
        ("voxel_um", Triple, ("--voxel-um",), "Z Y X"),
        ("rate_hz", float, ("--rate",), "HZ"),
        ("origin_um", Triple, ("--origin-um",), "Z Y X"),
        ("wavelength_um", float, ("--wavelength-um",), "UM"),
        ("frequency_hz", float, ("--frequency-mhz",), "MHZ"),
        ("sound_speed_m_s", float, ("--sound-speed", "--speed-of-sound"), "M_S"),
        ("log_compressed_db", float, ("--log-compressed",), "DB"),
    ),
)
_EXECUTION = _Group(
    "execution",
    Execution,
    "Workers and memory",
    (
        ("workers", int, ("--workers",), "N"),
        ("scheduler", str, ("--scheduler",), "ADDRESS"),
        ("tls_ca", Path, ("--tls-ca",), "FILE"),
        ("tls_cert", Path, ("--tls-cert",), "FILE"),
        ("tls_key", Path, ("--tls-key",), "FILE"),
        ("memory", str, ("--memory",), "AMOUNT"),
    ),
)


def takes_load_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `LoadConfig` instead of its parameter `load`."""
    return _with_flags(command, _LOAD)


def takes_execution_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Execution` instead of its parameter `execution`."""
    return _with_flags(command, _EXECUTION)


def takes_group(parameter: str, group: type[Any]) -> Callable[..., Callable[..., None]]:
    """Give a command the fields of a dataclass as options, instead of one parameter.

    Parameters
    ----------
    parameter
        Parameter of the command; receives the dataclass.
    group
        Its fields are annotated like the parameters of a command, and have defaults.
    """
    hints = get_type_hints(group, include_extras=True)
    flags = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def gather(kwargs: dict[str, Any]) -> Any:
            return group(**{flag.name: kwargs.pop(flag.name) for flag in flags})

        return _in_place_of(command, parameter, flags, gather)

    return decorate


def _with_flags(command: Callable[..., None], group: _Group) -> Callable[..., None]:
    def gather(kwargs: dict[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, _, flags, _ in group.flags:
            value: Any = kwargs.pop(name, None)
            if value is not None:
                value = str(value) if isinstance(value, Path) else value
                given[name] = value * 1e6 if _is_mhz(flags) else value
        return given

    flags = [_flag(group, *flag) for flag in group.flags]
    return _in_place_of(command, group.parameter, flags, gather)


def _in_place_of(
    command: Callable[..., None],
    replaced: str,
    flags: list[inspect.Parameter],
    gather: Callable[[dict[str, Any]], Any],
) -> Callable[..., None]:
    """Replace one parameter of a command by options, from which `gather` computes its value."""

    @wraps(command)
    def with_flags(*args: Any, **kwargs: Any) -> None:
        command(*args, **{replaced: gather(kwargs)}, **kwargs)

    hints = get_type_hints(command, include_extras=True)
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name == replaced:
            parameters += flags
        else:
            keyword = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=keyword, annotation=hints[name]))
    signature = inspect.Signature(parameters)
    with_flags.__signature__ = signature  # type: ignore[attr-defined]
    with_flags.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_flags


def _flag(
    group: _Group, name: str, kind: Any, flags: tuple[str, ...], takes: str
) -> inspect.Parameter:
    text = describe_setting(group.model, name)
    if _is_mhz(flags):
        text = text.replace("In Hz", "In MHz")
    option = typer.Option(*flags, metavar=takes, help=text, rich_help_panel=group.panel)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _is_mhz(flags: tuple[str, ...]) -> bool:
    return flags[0].endswith("-mhz")
