"""One run at a time in a results folder; the second is told which process is the first.

The process that writes to the folder names itself in the file `.run.lock`, and holds a lock of
the operating system on `.run.mutex` for as long as it lives: killed, or after a loss of power,
the lock is gone by itself and the next run takes both files over. Where the file system cannot
lock, the process that `.run.lock` names is looked for instead.
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
"""What file systems without locks answer."""


class FolderLock:
    """The right to write to a results folder; the folder is made if it is not there.

    Parameters
    ----------
    folder
        The results folder.

    Raises
    ------
    ResultsError
        Another process has the right (its number, computer and since when are named), or
        the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        # A run may end in another thread than it began in.
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
        """Give the right back; a folder that was made for it and is still empty is removed."""
        # Both before the lock ends, or they might be the next run's.
        for path in (self._path, Path(self._mutex.lock_file)):
            with suppress(PermissionError):  # Windows keeps what is open
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
            # Not at once: its last holder may just be removing the file.
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
            # Not every shared folder tells one computer of the locks of another.
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
    """Who wrote the file; empty when there is none, or it does not say (it was cut short)."""
    try:
        holder = json.loads(path.read_bytes()[:4096] or b"{}")
    except (FileNotFoundError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _alive(holder: dict[str, Any]) -> bool:
    pid = holder.get("pid")
    return not isinstance(pid, int) or psutil.pid_exists(pid)  # unknown: rather ask the person
