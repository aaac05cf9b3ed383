"""Lock a results folder for one run at a time; a second run is told which process holds it.

The process that writes to the folder names itself in the file `.run.lock`, and holds an
operating-system lock on `.run.mutex` as long as it lives. If it is killed or power is lost, the
lock is released and the next run takes over both files. If the file system does not support
locks, the process named in `.run.lock` is checked instead.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import LOCK_NAME, MUTEX_NAME

__all__ = ["FolderLock"]

_CANNOT_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
"""Errors of file systems without locks."""


class FolderLock:
    """Lock on a results folder, which is created if it does not exist.

    Parameters
    ----------
    folder
        The results folder.

    Raises
    ------
    ResultsError
        Another process holds the lock (its number, computer and start time are named), or
        the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        # A run may end in a different thread from the one it started in.
        self._mutex = FileLock(folder / MUTEX_NAME, thread_local=False)
        self._made: list[Path] = []
        try:
            for missing in [p for p in (folder, *folder.parents) if not p.exists()][::-1]:
                missing.mkdir(exist_ok=True)
                self._made.append(missing)
            self._lock()
            try:
                self._path.write_text(json.dumps(_this_process()), encoding="utf-8")
            except OSError:  # the disk is full
                self.release()
                raise
        except OSError as error:
            self._remove_made()
            raise ResultsError(
                f"{folder}: this folder cannot be written to ({error.strerror or error}). Name "
                "another folder with --out."
            ) from error

    def release(self) -> None:
        """Release the lock; a folder created for it is removed if still empty."""
        # Delete both files before releasing the lock, or they might belong to the next run.
        for path in (self._path, Path(self._mutex.lock_file)):
            with suppress(PermissionError):  # Windows does not delete open files
                path.unlink(missing_ok=True)
        self._mutex.release()
        self._remove_made()

    def _remove_made(self) -> None:
        for folder in reversed(self._made):
            try:
                folder.rmdir()
            except OSError:  # not empty: the run has begun
                return

    def _lock(self) -> None:
        try:
            # Wait briefly: the last holder may be removing the file.
            self._mutex.acquire(timeout=0.2)
            by_system = True
        except Timeout as error:
            raise self._held(_read_holder(self._path)) from error
        except NotImplementedError:
            by_system = False
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise
            by_system = False
        holder = _read_holder(self._path)
        elsewhere = holder.get("host") != socket.gethostname()
        if holder and (elsewhere or (not by_system and _alive(holder))):
            # Some shared folders do not show a computer the locks of another.
            self._mutex.release()
            raise self._held(holder, maybe_dead=True)

    def _held(self, holder: dict[str, Any], maybe_dead: bool = False) -> ResultsError:
        who = (
            f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
            if {"pid", "host", "since"} <= set(holder)
            else "another process"
        )
        way_out = (
            f"If that run has ended, delete {self._path}; otherwise wait for it"
            if maybe_dead
            else "Wait until it ends, or stop it"
        )
        return ResultsError(
            f"{self._path.parent}: another run is writing to it ({who}). {way_out}, or name "
            "another folder with --out."
        )


def _this_process() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _read_holder(path: Path) -> dict[str, Any]:
    """The process that wrote the file; empty if there is none or the file is truncated."""
    try:
        holder = json.loads(path.read_bytes()[:4096] or b"{}")
    except (FileNotFoundError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _alive(holder: dict[str, Any]) -> bool:
    pid = holder.get("pid")
    return not isinstance(pid, int) or psutil.pid_exists(pid)  # if unknown, let the user decide
