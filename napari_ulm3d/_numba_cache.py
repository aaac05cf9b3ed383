"""Cache compiled functions by the content of their source, not by its path or time.

Numba's own cache key is the path, time and size of the file that defines a function. So another
checkout compiles everything again, and an edit of a compiled function that is *called from*
another file goes unnoticed. Here the key is a hash of the file and of all files with compiled
functions that it imports, directly or indirectly.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from numba.core import config as any_config
from numba.core.caching import UserProvidedCacheLocator

__all__ = ["BySource"]

_PACKAGE = Path(__file__).parent
_IMPORTS = re.compile(r"^\s*from\s+napari_ulm3d\.([\w.]+)\s+import\s", re.MULTILINE)


class BySource(UserProvidedCacheLocator):
    """Numba cache locator for functions of this package: a folder named by `source_hash`."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)
        config: Any = any_config
        self._stamp = source_hash(Path(py_file))
        self._cache_path = os.path.join(config.CACHE_DIR, self._stamp[:16])

    def get_source_stamp(self) -> str:
        """The stamp that numba compares before it uses a cached function."""
        return self._stamp


@cache
def source_hash(path: Path) -> str:
    """SHA-256 of the contents of all `files_of` a file."""
    whole = hashlib.sha256()
    for text in sorted(map(_text, files_of(path))):
        whole.update(hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()


def files_of(path: Path) -> set[Path]:
    """A file and the package's files of compiled functions that it imports, even indirectly."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for module in _IMPORTS.findall(_text(file)):
            place = _PACKAGE.joinpath(*module.split("."))
            for other in (place.with_suffix(".py"), place / "__init__.py"):
                if other.is_file() and "njit" in _text(other):
                    waiting.append(other)
    return found


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
