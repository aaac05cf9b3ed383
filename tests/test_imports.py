"""Importing the package costs little and pulls in nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import napari_ulm3d


def _run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    ).stdout.strip()


HEAVY = ("torch", "qtpy", "PySide6", "napari", "numba", "matplotlib", "pandas", "scipy", "h5py")


def test_the_package_imports_nothing_heavy() -> None:
    loaded = _run("import sys, napari_ulm3d; print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


@pytest.mark.parametrize("command", ["--version", "--help", "run --help"])
def test_help_loads_neither_torch_nor_the_viewer(command: str) -> None:
    loaded = _run(
        "import sys, io, contextlib\n"
        "from napari_ulm3d.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({command.split()!r})\n"
        "print(*sys.modules)"
    ).split()
    assert not {"torch", "qtpy", "PySide6", "napari", "matplotlib"} & set(loaded)


def test_public_names_are_there_when_asked_for() -> None:
    code = "import napari_ulm3d as ulm\nfor name in ulm.__all__: getattr(ulm, name)\nprint(len(dir(ulm)))"
    assert int(_run(code)) > 5
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = napari_ulm3d.nonsense
