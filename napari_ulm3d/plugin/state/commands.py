"""The shell command and the Python code that repeat a run without the viewer."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence

from napari_ulm3d.config import PipelineConfig

__all__ = ["command_line", "python_lines"]


def command_line(paths: Sequence[str], config: PipelineConfig, out: str = "results") -> str:
    """The `napari-ulm3d run` command with the same result; default settings are left out.

    Quoted for the shell of this system.
    """
    words = ["napari-ulm3d", "run", *paths, "--out", out]
    for assignment in config.assignments():
        words += ["--set", assignment]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def python_lines(paths: Sequence[str], config: PipelineConfig, out: str = "results") -> str:
    """A few lines of Python with the same result."""
    settings = "".join(f"    {assignment!r},\n" for assignment in config.assignments())
    made = f".with_settings([\n{settings}])" if settings else ""
    files = list(paths) if len(paths) != 1 else paths[0]
    return (
        "import napari_ulm3d as ulm\n\n"
        f"config = ulm.PipelineConfig(){made}\n"
        f"acquisition = ulm.open_acquisition({files!r}, config.load)\n"
        f"run = ulm.run(acquisition, config, out={out!r})\n"
        "print(run.report)\n"
    )
