"""What benchmarks share: the line above a table, the table, and a process of its own."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from napari_ulm3d._version import __version__
from napari_ulm3d.system.machine import processors

__all__ = ["in_child", "machine_line", "markdown_table"]


def machine_line(*packages: str) -> str:
    """Processor, cores, system, Python, versions of the named packages, and the date."""
    versions = ", ".join(f"{name} {_version(name)}" for name in ("numpy", "numba", *packages))
    return (
        f"{_processor()}, {processors()} cores; {platform.system()}, Python {platform.python_version()}, {versions}; "
        f"napari-ulm3d {__version__}; {date.today().isoformat()}"
    )


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in [header, *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def in_child(module: str, **arguments: Any) -> dict[str, Any]:
    """Run ``python -m module --child JSON``; its last line of output is JSON, too."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--child", json.dumps(arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # needed by some scenes or rivals only
        return "(not installed)"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
