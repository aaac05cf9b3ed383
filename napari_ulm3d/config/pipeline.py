"""All settings of a run."""

from __future__ import annotations

import tomllib
from typing import Any, Self, get_args

from napari_ulm3d.config.base import Device, StageConfig, setting
from napari_ulm3d.config.filtering import ClutterConfig, PsfConfig, SparsifyConfig
from napari_ulm3d.config.load import LoadConfig
from napari_ulm3d.config.localize import LocalizeConfig, NetworkConfig
from napari_ulm3d.config.mapping import LinkConfig, MapConfig
from napari_ulm3d.errors import ConfigError

__all__ = ["PipelineConfig"]


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
