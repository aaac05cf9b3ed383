"""The process's memory: how much it took at most, and giving back what is free."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["peak_memory_bytes", "return_free_memory"]


def peak_memory_bytes() -> int | None:
    """Largest resident memory of this process so far; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: a program started by a large one inherits that one's peak there.
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def return_free_memory() -> None:
    """Give memory that is free within the process back to the system, where it can be asked to.

    glibc keeps what threads have freed; over many blocks that adds up to the size of one.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
