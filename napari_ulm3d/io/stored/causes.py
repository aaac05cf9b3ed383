"""Explain in one sentence why a file could not be read; damage is the last explanation."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from napari_ulm3d.errors import BackendError, InputError, UlmError

__all__ = ["AGAIN", "explain", "missing_codec"]

AGAIN = "Copy it again from the original."

#: Packages that a decoder may need, all in the extra.
_EXTRA = ("imagecodecs", "hdf5plugin", "pydicom", "pylibjpeg", "nibabel")
_CUT_SHORT = re.compile(
    r"truncat|cut short|ends? (?:in the middle|within)|greater than file ?size|unexpected e(nd|of)\b"
    r"|end of file|end-of-stream|expected \d+ bytes|not enough data|buffer is smaller",
    re.IGNORECASE,
)
_DISK = {
    errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT,
    errno.ENOTCONN, errno.EHOSTDOWN, errno.EREMOTEIO,
} if hasattr(errno, "EREMOTEIO") else {errno.EIO, errno.ENXIO, errno.ENODEV}  # fmt: skip


def missing_codec(path: Path | str, codec: str, package: str) -> UlmError:
    """The error for values whose decoder is not installed or not in the installed package.

    Parameters
    ----------
    path
        The file.
    codec
        Common name of the compression ("LZW").
    package
        The package that decodes it.
    """
    if find_spec(package) is None:
        extra = "'napari-ulm3d[formats]'" if package in _EXTRA else package
        return BackendError(
            f"{os.fspath(path)}: the file is compressed with {codec}. To read it, install "
            f"{package}: pip install {extra}"
        )
    return InputError(
        path,
        f"is compressed with {codec}, which the installed {package} cannot decode",
        f"Update it (pip install -U {package}), or save the file with another compression.",
    )


def explain(path: Path | str, what: str, error: BaseException) -> UlmError:
    """Explain an exception that a library raised while reading `path` as `what`.

    Parsers raise anything (struct.error, KeyError, OverflowError, ...) on damaged bytes, but the
    same exceptions also occur for files that are locked, not readable by this user, or compressed
    with a codec that is not installed. These causes are distinguished here.
    """
    if isinstance(error, MemoryError):
        return InputError(
            path, f"does not fit in memory ({error})", "Split it, or free some memory."
        )
    for each in _chain(error):
        if isinstance(each, UlmError):
            return each
        found = _of_the_system(path, each) or _of_a_codec(path, each)
        if found is not None:
            return found
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, EOFError) or _CUT_SHORT.search(reason):
        return InputError(path, f"ends too early for {what} ({reason}): it is incomplete", AGAIN)
    return InputError(
        path,
        f"cannot be read as {what} ({reason})",
        "It may be damaged or incomplete: copy it again from the original.",
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_the_system(path: Path | str, error: BaseException) -> UlmError | None:
    """Locks, permissions, folders and disk errors."""
    text = str(error)
    if "unable to lock file" in text or isinstance(error, BlockingIOError):
        return InputError(
            path,
            "is locked by another program that has it open",
            "Close it there, or wait until the recording has ended. On a network disk that "
            "does not support locks, set the environment variable "
            "HDF5_USE_FILE_LOCKING=FALSE.",
        )
    if "already open for write" in text or "already open for SWMR" in text:
        return InputError(
            path,
            "is still marked as open for writing: it is being recorded, or the program that "
            "wrote it did not close it",
            f"Close it there. If that program no longer runs, use: h5clear -s '{os.fspath(path)}'",
        )
    if isinstance(error, PermissionError):
        return InputError(
            path, "cannot be read: permission denied", "Ask its owner for read permission."
        )
    if isinstance(error, IsADirectoryError):
        return InputError(path, "is a folder, not a file", "Name the files in it.")
    if isinstance(error, FileNotFoundError):
        return InputError(
            path, f"needs a file that is missing ({error.filename or text})", "Copy that file too."
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return InputError(path, "cannot be opened: too many files are open", "Close some programs.")
    if isinstance(error, OSError) and error.errno in _DISK:
        return InputError(
            path,
            f"cannot be read from disk ({error.strerror or text})",
            "Check the disk or the connection to the network share, and try again.",
        )
    return None


def _of_a_codec(path: Path | str, error: BaseException) -> UlmError | None:
    """Missing decoders, recognized by the messages of the libraries."""
    text = str(error)
    asked = re.search(r"(\S.*?) requires the '(\w+)' package", text)
    if asked:
        name = re.sub(r"^<\w+\.(\w+): \d+>$", r"\1", asked[1].strip("'\""))
        return missing_codec(path, name, asked[2])
    if isinstance(error, ImportError) and error.name:
        package = error.name.partition(".")[0]
        if package == "compression":  # Python 3.14's package for Zstandard
            return missing_codec(path, "Zstandard", "imagecodecs")
        return missing_codec(path, f"a codec of {package}", package)
    return None
