"""One run at a time in a results folder; the second is told which process is the first.

The file `.run.lock` names the process that writes to the folder, and the operating system
locks it for as long as that process lives: killed, or after a loss of power, the lock is
gone by itself and the next run takes the file over. Where the file system cannot lock,
the process that the file names is looked for instead.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import LOCK_NAME

__all__ = ["FolderLock"]

# Windows locks bytes rather than files, and locked bytes cannot be read: lock one far off.
_FAR_BYTE = 1 << 30
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


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
        self._made: list[Path] = []
        try:
            for missing in [p for p in (folder, *folder.parents) if not p.exists()][::-1]:
                missing.mkdir(exist_ok=True)
                self._made.append(missing)
            self._file = self._locked()
            try:
                _write_holder(self._file)
            except OSError:  # the disk is full
                self.release()
                raise
        except OSError as error:
            self._remove_made()
            raise ResultsError(
                f"{folder}: cannot be written to ({error.strerror or error}); name another "
                "folder with --out."
            ) from error

    def release(self) -> None:
        """Give the right back; a folder that was made for it and is still empty is removed."""
        if os.name == "posix":  # Before the lock ends, or it might be the next run's file.
            self._path.unlink(missing_ok=True)
            os.close(self._file)
        else:
            os.close(self._file)
            with suppress(PermissionError):  # the next run has it already
                self._path.unlink(missing_ok=True)
        self._remove_made()

    def _remove_made(self) -> None:
        for folder in reversed(self._made):
            try:
                folder.rmdir()
            except OSError:  # not empty: the run has begun
                return

    def _locked(self) -> int:
        """The lock file, opened and locked."""
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._refuse_if_held(file)
                # Its last holder may have removed it between our opening and locking it.
                if os.name != "posix" or os.path.samestat(os.fstat(file), os.stat(self._path)):
                    return file
                os.close(file)
            except FileNotFoundError:
                os.close(file)
            except BaseException:
                os.close(file)
                raise

    def _refuse_if_held(self, file: int) -> None:
        try:
            _lock(file)
            by_system = True
        except OSError as error:
            if error.errno in _TAKEN:
                raise self._held(_read_holder(file)) from error
            by_system = False
        holder = _read_holder(file)
        if not holder:
            return
        elsewhere = holder.get("host") != socket.gethostname()
        if elsewhere or (not by_system and _alive(holder)):
            # Not every shared folder tells one computer of the locks of another.
            raise self._held(holder, maybe_dead=True)

    def _held(self, holder: dict[str, Any], maybe_dead: bool = False) -> ResultsError:
        who = (
            f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
            if {"pid", "host", "since"} <= set(holder)
            else "another process"
        )
        way_out = (
            f"If that one has ended, delete {self._path}; else wait for it"
            if maybe_dead
            else "Wait for its end, or stop it"
        )
        return ResultsError(
            f"{self._path.parent}: another run is writing to it ({who}). {way_out}, or name "
            "another folder with --out."
        )


def _write_holder(file: int) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, json.dumps(holder).encode())


def _read_holder(file: int) -> dict[str, Any]:
    """Who wrote the lock file; empty when it does not say (it is new, or was cut short)."""
    os.lseek(file, 0, os.SEEK_SET)
    try:
        holder = json.loads(os.read(file, 4096) or b"{}")
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _alive(holder: dict[str, Any]) -> bool:
    if os.name != "posix" or not isinstance(holder.get("pid"), int):
        return True  # unknown: rather ask the person
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it lives and is somebody else's
    return True


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, _FAR_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
