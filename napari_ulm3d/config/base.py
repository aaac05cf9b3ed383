"""Base class of all settings: frozen pydantic models that read and write TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_ulm3d.config.conditions import check_conditions
from napari_ulm3d.errors import ConfigError, SettingFault

__all__ = ["Device", "OddTriple", "Positive", "PositiveTriple", "StageConfig", "setting"]

Positive = Annotated[float, Field(gt=0)]
PositiveTriple = tuple[Positive, Positive, Positive]
Device = Literal["auto", "cpu", "cuda"]
_Odd = Annotated[int, Field(ge=1, json_schema_extra={"step": 2})]
OddTriple = tuple[_Odd, _Odd, _Odd]


def setting(
    default: Any,
    description: str,
    unit: str = "",
    *,
    when: Mapping[str, tuple[Any, ...]] | None = None,
    shown: tuple[str, float] | None = None,
    of: str = "",
    **bounds: Any,
) -> Any:
    """A field with the text shown by --help, the documentation and the widgets.

    Parameters
    ----------
    when
        The setting has an effect only while these other settings have one of these values, e.g.
        ``{"source": ("auto", "data")}``; a setting of another section includes its section, e.g.
        ``"localize.localizer"``. Checked when the section is defined. None: always.
    shown
        The customary unit, and its size in `unit`; fields in the viewer use it.
    of
        What a text setting names if it is not free text: "weights".
    **bounds
        Limits of the value, passed to `pydantic.Field`.
    """
    extra: dict[str, Any] = {"unit": unit}
    if of:
        extra["of"] = of
    if when:
        extra["when"] = {name: list(values) for name, values in when.items()}
    if shown:
        extra["shown"] = list(shown)
    return Field(default, description=description, json_schema_extra=extra, **bounds)


Model = TypeVar("Model", bound="StageConfig")


class StageConfig(BaseModel):
    """Base of all settings: frozen, rejects unknown names, reads and writes TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    complete: ClassVar[bool] = False
    """Whether the model holds every section that the conditions of its sections refer to."""

    @model_validator(mode="before")
    @classmethod
    def _auto_is_none(cls, values: Any) -> Any:
        """Accept the word "auto" for a setting that is determined automatically when not given."""
        if not isinstance(values, dict):
            return values
        return {
            name: None if value == "auto" and _takes_none_for_auto(cls, name) else value
            for name, value in values.items()
        }

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Check the conditions of a new section's settings."""
        super().__pydantic_init_subclass__(**kwargs)
        check_conditions(cls)

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed, validated."""
        return _validated(type(self), {**self.model_dump(), **changes})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Validate plain values; unknown names and bad values raise a `ConfigError`."""
        return _validated(cls, values)

    @classmethod
    def from_toml(cls, path: str | PathLike[str]) -> Self:
        """Read settings from a TOML file, or from the `run.toml` of a results folder."""
        try:
            with open(path, "rb") as file:
                values = tomllib.load(file)
        except FileNotFoundError as error:
            raise ConfigError(f"{path}: there is no such settings file.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{path}: not a readable TOML file ({error}).") from error
        config = values.get("config", values)
        if "acquisition" in values and "result" not in values:
            # `result` comes last in run.toml: without it the file may be truncated.
            raise ConfigError(
                f"{path}: this run.toml is incomplete, so its settings cannot be trusted; give a "
                "complete settings file."
            )
        if not isinstance(config, dict):
            raise ConfigError(f"{path}: `config` must be a table.")
        try:
            return cls.from_dict(config)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values without None, which TOML cannot represent."""
        return _without_none(self.model_dump(mode="json"))

    def to_toml(self, path: str | PathLike[str]) -> None:
        """Write the settings as TOML."""
        Path(path).write_text(tomli_w.dumps(self.to_dict()), encoding="utf-8")


def _takes_none_for_auto(model: type[StageConfig], name: str) -> bool:
    """Whether a numeric setting may be omitted, for which "auto" is accepted."""
    parts = get_args(model.model_fields[name].annotation) if name in model.model_fields else ()
    return type(None) in parts and str not in parts


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


def _validated(model: type[Model], values: dict[str, Any]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or model.__name__}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
        faults = tuple(SettingFault(item["loc"], item["msg"]) for item in error.errors())
        raise ConfigError(f"Bad settings: {problems}.", faults) from error
