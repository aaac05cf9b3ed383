"""All settings of a run."""

from __future__ import annotations

import tomllib
from typing import Any, ClassVar, Self, get_args

import tomli_w

from napari_ulm3d.config.base import Device, StageConfig, setting
from napari_ulm3d.config.calibrate import CalibrateConfig
from napari_ulm3d.config.filtering import ClutterConfig, PsfConfig, SparsifyConfig
from napari_ulm3d.config.load import LoadConfig
from napari_ulm3d.config.localize import LocalizeConfig, NetworkConfig
from napari_ulm3d.config.mapping import LinkConfig, MapConfig, MotionConfig
from napari_ulm3d.config.vessels import VesselConfig
from napari_ulm3d.errors import ConfigError

__all__ = ["PipelineConfig"]


class PipelineConfig(StageConfig):
    """All settings of a run; saved as TOML, one table per stage."""

    complete: ClassVar[bool] = True

    load: LoadConfig = LoadConfig()
    calibrate: CalibrateConfig = CalibrateConfig()
    motion: MotionConfig = MotionConfig()
    clutter: ClutterConfig = ClutterConfig()
    psf: PsfConfig = PsfConfig()
    sparsify: SparsifyConfig = SparsifyConfig()
    localize: LocalizeConfig = LocalizeConfig()
    network: NetworkConfig = NetworkConfig()
    link: LinkConfig = LinkConfig()
    maps: MapConfig = MapConfig()
    vessels: VesselConfig = VesselConfig()
    device: Device = setting("auto", "Device for the networks.")
    seed: int = setting(0, "Random seed.", ge=0)

    def with_settings(self, assignments: list[str]) -> Self:
        """Apply ``section.key=value`` assignments, as accepted by ``--set``.

        Values are TOML; anything that is not TOML is text. Comma-separated numbers need no brackets.
        A text setting (a path, for example) is taken literally, commas included, unless it is quoted
        as in TOML. ``none`` means no value.
        """
        values = self.model_dump()
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            *section, key = name.strip().split(".")
            if not equals or not key:
                raise ConfigError(f"'{assignment}' must have the form section.key=value.")
            target: Any = values
            for part in section:
                target = target.get(part) if isinstance(target, dict) else None
            if not isinstance(target, dict) or key not in target:
                raise ConfigError(f"There is no setting '{name.strip()}'. {self._names()}")
            allowed = _allowed(self, section, key)
            target[key] = (
                text.strip() if text.strip() in allowed else _parse_value(text.strip(), allowed)
            )
        return self.from_dict(values)

    def assignments(self) -> list[str]:
        """Settings that differ from the defaults, as accepted by `with_settings` and ``--set``."""
        own = self.differences(type(self)()).items()
        return [f"{name}={_as_text(value)}" for name, (value, _) in own]

    def differences(self, other: Self) -> dict[str, tuple[Any, Any]]:
        """Settings that differ from another configuration, by name: (own value, other value)."""
        found: dict[str, tuple[Any, Any]] = {}
        for name, value in self:
            theirs = getattr(other, name)
            if isinstance(value, StageConfig):
                pairs = [(f"{name}.{key}", own, getattr(theirs, key)) for key, own in value]
            else:
                pairs = [(name, value, theirs)]
            found |= {key: (own, before) for key, own, before in pairs if own != before}
        return found

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


def _allowed(config: StageConfig, section: list[str], key: str) -> tuple[Any, ...]:
    """Words that a setting accepts (possibly "none"), or the types in its union."""
    for part in section:
        config = getattr(config, part)
    annotation = type(config).model_fields[key].annotation
    return get_args(annotation) or (annotation,)


def _parse_value(text: str, allowed: tuple[Any, ...] = ()) -> Any:
    if text.lower() == "none":
        return None
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if "," in text and str not in allowed:
            return [_parse_value(part.strip()) for part in text.split(",")]
        return text
    return text if str in allowed and not isinstance(value, str) else value


def _as_text(value: Any) -> str:
    """Format a value so that `_parse_value` can read it."""
    if value is None:
        return "none"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_as_text(part) for part in value) + "]"
    if isinstance(value, str) and _parse_value(value.strip(), (str,)) != value:
        return _quoted(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(text: str) -> str:
    """A TOML string on one line."""
    return tomli_w.dumps({"value": text}).partition("=")[2].strip()
