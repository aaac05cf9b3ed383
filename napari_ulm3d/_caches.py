"""The one place where compiled functions are kept between runs, writable wherever this runs.

Numba keeps compiled functions beside the source, or in the home folder. A shared, read-only
installation used by somebody without a home folder (a container, a cluster's node) has
neither, and numba then refuses to compile at all.

The folder is, in this order: ``NUMBA_CACHE_DIR``; the user's cache folder; a folder of the user's
own in the system's temporary folder. What numba keeps is loaded as code, so that the last must
belong to the user and be writable by nobody else.
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

__all__ = ["cache_folder", "give_matplotlib_a_folder", "njit"]


def njit(*signatures: Any, **options: Any) -> Any:
    """`numba.njit` that keeps what it compiles in `cache_folder`.

    Parameters
    ----------
    *signatures, **options
        As of `numba.njit`. ``cache=True`` is dropped where no folder can be written to.
    """
    import numba
    from numba.core import config as any_config

    config: Any = any_config  # it makes its attributes when it is loaded

    if not options.get("cache"):
        return numba.njit(*signatures, **options)
    asked = config.CACHE_DIR  # NUMBA_CACHE_DIR
    folder = Path(asked) if asked and _writable(Path(asked)) else cache_folder("numba")
    if folder is None:
        return numba.njit(*signatures, **options | {"cache": False})

    def decorate(function: Any) -> Any:
        # Numba chooses the place when it decorates; other packages keep theirs.
        before = config.CACHE_DIR, getattr(config, "CACHE_LOCATOR_CLASSES", None)
        config.CACHE_DIR = str(folder)
        if before[1] is not None:  # an older numba goes by path and time
            config.CACHE_LOCATOR_CLASSES = "napari_ulm3d._numba_cache.BySource"
        try:
            return numba.njit(*signatures, **options)(function)
        finally:
            config.CACHE_DIR = before[0]
            if before[1] is not None:
                config.CACHE_LOCATOR_CLASSES = before[1]

    return decorate


@cache
def cache_folder(name: str) -> Path | None:
    """A writable folder for what can be made again; None where there is none.

    Parameters
    ----------
    name
        What is kept in it: ``numba``, ``matplotlib``.
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
    """Name a folder for matplotlib's font cache where the home folder cannot be written to.

    Without it, matplotlib builds the cache anew in every process, and says so each time.
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
    """A folder of this user alone in the temporary folder, the same in every run."""
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
