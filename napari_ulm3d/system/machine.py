"""Processors and memory available to this process, including limits of containers and jobs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

__all__ = ["free_memory", "peak_memory", "processors", "total_memory"]

_GROUPS = Path("/sys/fs/cgroup")


def processors() -> int:
    """Number of processors on which this process may run."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # not on macOS
        return max(1, len(process.cpu_affinity()))
    return psutil.cpu_count() or 1


def total_memory() -> int:
    """Memory of the machine, or the lower limit of its container or job, bytes."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _group_memory())])


def free_memory() -> int:
    """Memory that this process can still allocate, bytes.

    The minimum of the machine's available memory, the limits of the control groups (a container,
    a cluster job) and the limit on the address space.
    """
    free = [psutil.virtual_memory().available]
    free += [limit - used for limit, used in _group_memory()]
    process = psutil.Process()
    if hasattr(process, "rlimit"):  # Linux
        space = process.rlimit(psutil.RLIMIT_AS)[0]
        if space != psutil.RLIM_INFINITY:
            free.append(space - process.memory_info().vms)
    return max(0, min(free))


def peak_memory() -> int | None:
    """Peak resident memory of this process, bytes; None if the system does not report it."""
    # psutil reports a peak only on Windows. getrusage is unsuitable on Linux: a process started by
    # a large one inherits its peak.
    for line in _lines(Path("/proc/self/status")):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return getattr(psutil.Process().memory_info(), "peak_wset", None)


def _group_memory() -> Iterator[tuple[int, int]]:
    """Limit and usage, bytes, of each control group of this process (Linux), unknown to psutil."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers:
            continue  # of version 1
        group = PurePosixPath(path.lstrip("/"))
        for part in (group, *group.parents):
            folder = _GROUPS / part
            limit, used = _lines(folder / "memory.max"), _lines(folder / "memory.current")
            if limit and used and limit[0].isdecimal():
                # The page cache counts as used, but is released when memory is short.
                stat = _lines(folder / "memory.stat")
                cached = sum(int(one.split()[1]) for one in stat if one.startswith("file "))
                yield int(limit[0]), int(used[0]) - cached


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
