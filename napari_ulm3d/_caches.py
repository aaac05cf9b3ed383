"""Where compiled functions are cached between runs: one folder, writable on any machine.

Numba caches compiled functions beside the source or in the home folder. A shared, read-only
installation used without a home folder (in a container, on a cluster node) offers neither, and
numba then refuses to compile at all.

The cache folder is the first of: ``NUMBA_CACHE_DIR``; the user's cache folder; a folder owned by
the user in the system's temporary folder. Numba loads its cache as code, so the temporary folder
is used only if it belongs to the user and nobody else can write to it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from napari_ulm3d._version import __version__

__all__ = ["cache_folder", "give_matplotlib_a_folder", "njit", "nothing_compiled_yet"]


def njit(*signatures: Any, **options: Any) -> Any:
    """`numba.njit` with its cache in `cache_folder`.

    Parameters
    ----------
    *signatures, **options
        Passed to `numba.njit`. ``cache=True`` is dropped if no folder is writable.
    """
    import numba
    from numba.core import config as any_config

    config: Any = any_config  # its attributes are created at import

    if not options.get("cache"):
        return numba.njit(*signatures, **options)
    asked = config.CACHE_DIR  # NUMBA_CACHE_DIR
    folder = Path(asked) if asked and _writable(Path(asked)) else cache_folder("numba")
    if folder is None:
        return numba.njit(*signatures, **options | {"cache": False})

    def decorate(function: Any) -> Any:
        # Numba picks the cache location while decorating; restore it for other packages.
        before = config.CACHE_DIR, getattr(config, "CACHE_LOCATOR_CLASSES", None)
        config.CACHE_DIR = str(folder)
        if before[1] is not None:  # older versions of numba key the cache by path and time
            config.CACHE_LOCATOR_CLASSES = "napari_ulm3d._numba_cache.BySource"
        try:
            return numba.njit(*signatures, **options)(function)
        finally:
            config.CACHE_DIR = before[0]
            if before[1] is not None:
                config.CACHE_LOCATOR_CLASSES = before[1]

    return decorate


def nothing_compiled_yet() -> bool:
    """Whether no run has filled the cache, so that the first one compiles for about a minute."""
    asked = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(asked) if asked else cache_folder("numba")
    return folder is None or not any(folder.rglob("*.nbi"))


@cache
def cache_folder(name: str) -> Path | None:
    """A writable folder for files that can be regenerated; None if there is none.

    Parameters
    ----------
    name
        Name of the subfolder: ``numba``, ``matplotlib``.
    """
    home = Path(user_cache_dir("napari-ulm3d", appauthor=False))
    for base in (home if home.is_absolute() else None, _temporary()):
        if base is None:
            continue
        folder = base / name / __version__
        if _writable(folder):
            return folder
    return None


def give_matplotlib_a_folder() -> None:
    """Give matplotlib a folder for its font cache if the home folder is not writable.

    Without one, matplotlib rebuilds the cache in every process and prints a warning each time.
    """
    if os.environ.get("MPLCONFIGDIR") or "matplotlib" in sys.modules:
        return
    home = Path(os.path.expanduser("~"))
    if os.access(home, os.W_OK) or os.access(home / ".cache" / "matplotlib", os.W_OK):
        return
    folder = cache_folder("matplotlib")
    if folder is not None:
        os.environ["MPLCONFIGDIR"] = str(folder)


def _temporary() -> Path | None:
    """A private folder of this user in the system's temporary folder, the same in every run."""
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir(), f"napari-ulm3d-{user}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if not hasattr(os, "getuid"):
        return folder
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        return None
    return folder


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
