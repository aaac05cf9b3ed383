"""Values of settings as text, including what an optional one left blank stands for."""

from __future__ import annotations

from typing import Any

from napari_ulm3d.config import PipelineConfig, StageConfig

__all__ = ["settings_of", "texts_of", "unset_text", "with_unset_texts"]

_UNSET = {
    "load.frames_per_block": "auto",
    "sparsify.weights": "included",
    "localize.max_maxima": "no limit",
    "network.weights": "included",
    "network.min_score": "as trained",
    "network.memory_gb": "all that is free",
}
# How empty values were written to the list of runs by earlier versions.
_NONE = "none"


def unset_text(setting: str) -> str:
    """What an optional setting left blank stands for, by its dotted name."""
    return _UNSET.get(setting, "from the file" if setting.startswith("load.") else "auto")


def settings_of(config: PipelineConfig) -> dict[str, str]:
    """All settings as text, keyed by dotted name."""
    values: dict[str, Any] = {}
    for name, value in config:
        if isinstance(value, StageConfig):
            values |= {f"{name}.{key}": inner for key, inner in value}
        else:
            values[name] = value
    return texts_of(values)


def texts_of(values: dict[str, Any]) -> dict[str, str]:
    """Values of settings as text, keyed by dotted name."""
    return {
        name: unset_text(name) if value is None else _text(value) for name, value in values.items()
    }


def with_unset_texts(settings: dict[str, str]) -> dict[str, str]:
    """Replace the "none" with which earlier versions listed optional settings left blank."""
    optional = {
        f"{section}.{name}"
        for section, info in PipelineConfig.model_fields.items()
        for name, field in getattr(info.annotation, "model_fields", {}).items()
        if field.default is None
    }
    return {
        name: unset_text(name) if value == _NONE and name in optional else value
        for name, value in settings.items()
    }


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
