"""Compiled functions are kept in one place, and everything runs where nothing can be written."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import napari_ulm3d
from napari_ulm3d import _caches, _numba_cache

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


def test_checkouts_share_what_is_compiled(tmp_path: Path) -> None:
    """The same source elsewhere is the same function: a link stands for a second checkout."""
    (tmp_path / "other").mkdir()
    package = Path(_caches.__file__).parent
    (tmp_path / "other" / "napari_ulm3d").symlink_to(package, target_is_directory=True)
    kept = str(tmp_path / "kept")
    here = where(NUMBA_CACHE_DIR=kept, PYTHONPATH=str(package.parent))
    assert where(NUMBA_CACHE_DIR=kept, PYTHONPATH=str(tmp_path / "other")) == here


def test_an_edit_anywhere_below_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_numba_cache, "_PACKAGE", tmp_path)
    (tmp_path / "low").mkdir()
    a, b, c = tmp_path / "a.py", tmp_path / "low" / "b.py", tmp_path / "low" / "c.py"
    a.write_text("from napari_ulm3d.low.b import f\n@njit\ndef g(): return f()\n")
    b.write_text("from napari_ulm3d.low.c import (\n    h,\n)\n@njit\ndef f(): return h()\n")
    c.write_text("@njit\ndef h(): return 1\n")

    def hashes() -> list[str]:
        _numba_cache.source_hash.cache_clear()
        _numba_cache._text.cache_clear()
        return [_numba_cache.source_hash(path) for path in (a, b, c)]

    before = hashes()
    assert hashes() == before
    c.write_text("@njit\ndef h(): return 2\n")
    assert all(new != old for new, old in zip(hashes(), before, strict=True))
    after = hashes()
    a.write_text(a.read_text() + "\n")
    assert hashes()[1:] == after[1:]
    _numba_cache.source_hash.cache_clear()
    _numba_cache._text.cache_clear()


def test_the_hash_covers_every_compiled_function_that_is_called() -> None:
    """Compiled code is frozen with what it calls: that must be part of its key."""
    called = 0
    for module in pkgutil.walk_packages(napari_ulm3d.__path__, "napari_ulm3d."):
        if module.name.endswith("__main__") or ".plugin" in module.name:
            continue
        for thing in vars(importlib.import_module(module.name)).values():
            if not isinstance(thing, Dispatcher):
                continue
            mine = Path(thing.py_func.__code__.co_filename)
            for name in thing.py_func.__code__.co_names:
                other = thing.py_func.__globals__.get(name)
                if isinstance(other, Dispatcher):
                    theirs = Path(other.py_func.__code__.co_filename)
                    assert theirs in _numba_cache.files_of(mine), f"{mine.name} calls {name}"
                    called += theirs != mine
    assert called > 5
