"""One run at a time in a results folder, with and without the operating system's help."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import LOCK_NAME
from napari_ulm3d.pipeline.record.lock import FolderLock


def holder(folder: Path, pid: int, host: str = socket.gethostname()) -> None:
    said = {"pid": pid, "host": host, "since": "2026-01-01T00:00:00+00:00"}
    (folder / LOCK_NAME).write_text(json.dumps(said))


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot lock."""

    def refuse(self: FileLock, **_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", refuse)


def test_one_at_a_time_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    first = FolderLock(folder)
    with pytest.raises(ResultsError, match=rf"process {os.getpid()} on .*Wait until it ends"):
        FolderLock(folder)
    first.release()
    assert not (tmp_path / "a").exists()
    FolderLock(folder).release()
    assert not (tmp_path / "a").exists()


def test_a_run_that_kept_something_leaves_that_alone(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "r")
    (tmp_path / "r" / "log.txt").touch()
    lock.release()
    assert [entry.name for entry in (tmp_path / "r").iterdir()] == ["log.txt"]


def test_the_dead_are_succeeded_and_other_computers_asked_for(tmp_path: Path) -> None:
    holder(tmp_path, dead_process())
    FolderLock(tmp_path).release()
    holder(tmp_path, 1, host="other-computer")
    with pytest.raises(ResultsError, match=r"process 1 on other-computer.* delete"):
        FolderLock(tmp_path)
    (tmp_path / LOCK_NAME).unlink()  # as it advises
    FolderLock(tmp_path).release()


@pytest.mark.usefixtures("no_locks")
def test_without_locks_the_process_is_looked_for(tmp_path: Path) -> None:
    holder(tmp_path, os.getppid())
    with pytest.raises(ResultsError, match=f"process {os.getppid()} on .* delete"):
        FolderLock(tmp_path)
    holder(tmp_path, dead_process())
    lock = FolderLock(tmp_path)
    with pytest.raises(ResultsError, match=f"process {os.getpid()} on "):
        FolderLock(tmp_path)
    lock.release()
    assert not any(tmp_path.iterdir())


def test_a_half_written_name_is_no_holder(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text('{"pid": 12')
    FolderLock(tmp_path).release()


def test_what_is_not_about_locks_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="cannot be written to"):
        FolderLock(tmp_path / "file" / "r")
