"""Resources of this process, compared with the system's own tools and artificial control groups."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from napari_ulm3d.system import machine


def test_processors_are_those_of_this_process() -> None:
    if hasattr(os, "sched_getaffinity"):
        assert machine.processors() == len(os.sched_getaffinity(0))
    assert 1 <= machine.processors() <= (os.cpu_count() or 1)


def test_memory_is_plausible() -> None:
    assert 1 << 20 < machine.free_memory() <= machine.total_memory() < 1 << 50
    peak = machine.peak_memory()
    assert peak is None or peak >= psutil.Process().memory_info().rss // 2


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nested control groups of a job, in the format of /proc/self/cgroup."""
    said = {"/proc/self/cgroup": ["5:memory:/old", "0::/slurm/job_7"]}
    read = machine._lines
    monkeypatch.setattr(machine, "_lines", lambda path: said.get(str(path)) or read(path))
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    (tmp_path / "slurm" / "job_7").mkdir(parents=True)
    return tmp_path


def limit(group: Path, most: str, used: int, cached: int = 0) -> None:
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon {used - cached}\nfile {cached}\n")


def test_a_job_has_what_its_groups_leave(groups: Path) -> None:
    total = machine.total_memory()
    limit(groups / "slurm" / "job_7", "max", 90)
    assert machine.total_memory() == total
    limit(groups / "slurm", "4000000", 3_000_000, cached=500_000)
    assert machine.total_memory() == 4_000_000
    assert machine.free_memory() == 1_500_000
    limit(groups / "slurm" / "job_7", "2000000", 1_900_000)
    assert machine.total_memory() == 2_000_000
    assert machine.free_memory() == 100_000


def test_a_container_sees_its_group_as_the_root(groups: Path) -> None:
    limit(groups, "5000000", 6_000_000)
    assert machine.total_memory() == 5_000_000
    assert machine.free_memory() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit that Linux keeps")
def test_a_limit_on_address_space_counts() -> None:
    code = (
        "import resource; from napari_ulm3d.system.machine import free_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); print(free_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 1 << 30
