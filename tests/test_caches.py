"""Compiled functions are kept in one place, and everything runs where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from napari_ulm3d import _caches

PROGRAM = """
from napari_ulm3d.maps.traverse import _slot_of
print(_slot_of.stats.cache_path)
"""


def where(**environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "XDG", "HOME"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=kept | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-600:]
    return done.stdout.strip()


def test_the_folder_is_the_same_in_every_run(tmp_path: Path) -> None:
    first = where(XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert first == where(XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert "napari-ulm3d" in first


def test_numbas_own_variable_wins(tmp_path: Path) -> None:
    assert where(NUMBA_CACHE_DIR=str(tmp_path / "mine")).startswith(str(tmp_path / "mine"))


@pytest.mark.skipif(sys.platform != "linux", reason="the rules for homes differ")
def test_without_a_home_a_temporary_folder_serves(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = where(HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    assert found.startswith(str(tmp_path / "napari-ulm3d-"))
    # Where that cannot be made either, nothing is kept, and it runs all the same.
    assert where(HOME="/proc/none", NUMBA_CACHE_DIR="/proc/none", TMPDIR=str(tmp_path)) == found


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no modes")
def test_a_folder_that_others_may_write_to_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    folder = _caches._temporary()
    assert folder is not None
    assert folder.stat().st_mode & 0o077 == 0
    folder.chmod(0o777)
    assert _caches._temporary() is None
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    assert _caches._temporary() is None


def test_every_compiled_function_is_kept_there() -> None:
    home = Path(_caches.__file__).parent
    direct = [
        str(path.relative_to(home))
        for path in home.rglob("*.py")
        if path.name != "_caches.py"
        and "import njit" in path.read_text(encoding="utf-8")
        and "from numba import njit" in path.read_text(encoding="utf-8")
    ]
    assert not direct
