"""The command line and the Python lines that repeat a run without the viewer."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from napari_ulm3d.config import PipelineConfig, StageConfig

__all__ = ["command_line", "python_lines"]


def command_line(paths: Sequence[str], config: PipelineConfig, out: str = "results") -> str:
    """The `napari-ulm3d run` that gives the same result; settings at their default are left out."""
    words = ["napari-ulm3d", "run", *paths, "--out", out]
    for name, value in _changed(config):
        words += ["--set", f"{name}={_text(value)}"]
    return shlex.join(words)


def python_lines(paths: Sequence[str], config: PipelineConfig, out: str = "results") -> str:
    """A few lines of Python that give the same result."""
    settings = ",\n".join(f'    "{name}={_text(value)}"' for name, value in _changed(config))
    made = f".with_settings([\n{settings},\n])" if settings else ""
    files = list(paths) if len(paths) != 1 else paths[0]
    return (
        "import napari_ulm3d as ulm\n\n"
        f"config = ulm.PipelineConfig(){made}\n"
        f"acquisition = ulm.open_acquisition({files!r}, config.load)\n"
        f"run = ulm.run(acquisition, config, out={out!r})\n"
        "print(run.report)\n"
    )


def _changed(config: PipelineConfig) -> Iterator[tuple[str, Any]]:
    default = PipelineConfig()
    for name, value in config:
        if isinstance(value, StageConfig):
            for key, inner in value:
                if inner != getattr(getattr(default, name), key):
                    yield f"{name}.{key}", inner
        elif value != getattr(default, name):
            yield name, value


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_text(part) for part in value) + "]"
    return str(value)
