"""Recognize files that are not volumes: web pages saved by a browser, archives, pickles, videos.

Such a file is rarely damaged, just misnamed. Its first bytes identify it (the signatures
are from the specifications of the formats), and each kind has its own remedy.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

__all__ = ["Foreign", "recognize"]


class Foreign(NamedTuple):
    """Kind of a file, as the end of a sentence, and the remedy."""

    what: str
    remedy: str


_UNPACK = "Unpack it first."
_PICTURE = (
    "Volumes are needed: export the beamformed data (RF, IQ or envelope) as TIFF, HDF5, MATLAB or "
    "NIfTI."
)
_OCTAVE = "Save it again in Octave with save('-v7', ...) or save('-hdf5', ...)."
_SIGNATURES: tuple[tuple[bytes, Foreign], ...] = (
    (
        b"version https://git-lfs",
        Foreign("is a Git LFS pointer; the data are not on this computer", "Run: git lfs pull"),
    ),
    (b"# Created by Octave", Foreign("is an Octave text file", _OCTAVE)),
    (b"Octave-1-", Foreign("is an Octave binary file", _OCTAVE)),
    (
        b"NRRD000",
        Foreign(
            "is an NRRD file",
            "Convert it to MetaImage in Python: "
            "SimpleITK.WriteImage(SimpleITK.ReadImage('IN.nrrd'), 'OUT.mha')",
        ),
    ),
    (
        b"# vtk DataFile",
        Foreign(
            "is a VTK file",
            "Convert it to MetaImage in Python: "
            "SimpleITK.WriteImage(SimpleITK.ReadImage('IN.vtk'), 'OUT.mha')",
        ),
    ),
    (b"PK\x03\x04", Foreign("is a ZIP archive", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Foreign("is a 7-Zip archive", _UNPACK)),
    (b"Rar!\x1a\x07", Foreign("is a RAR archive", _UNPACK)),
    (b"\x1f\x8b", Foreign("is compressed with gzip", "Decompress it first (gunzip).")),
    (b"BZh", Foreign("is compressed with bzip2", "Decompress it first (bunzip2).")),
    (b"\xfd7zXZ\x00", Foreign("is compressed with xz", "Decompress it first (unxz).")),
    (b"\x28\xb5\x2f\xfd", Foreign("is compressed with Zstandard", "Decompress it first (unzstd).")),
    (b"\x89PNG\r\n", Foreign("is a PNG picture", _PICTURE)),
    (b"\xff\xd8\xff", Foreign("is a JPEG picture", _PICTURE)),
    (b"GIF8", Foreign("is a GIF picture", _PICTURE)),
    (b"\x1a\x45\xdf\xa3", Foreign("is a video (Matroska or WebM)", _PICTURE)),
    (b"%PDF-", Foreign("is a PDF document", _PICTURE)),
    (
        b"\x00\x05\x16\x07",
        Foreign(
            "is a companion file that macOS writes beside a file (its name begins with ._)",
            "Open the file of the same name without ._ instead.",
        ),
    ),
)
_HTML = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)
#: Protocol opcode of a pickle, then a frame (from protocol 4) or another opcode.
_PICKLE = re.compile(rb"\x80[\x02-\x05]")


def recognize(head: bytes) -> Foreign | None:
    """Identify a file of no readable format by its first bytes; None if unknown.

    Parameters
    ----------
    head
        The first bytes of the file; 512 are enough for all kinds.
    """
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return found
    if _HTML.match(head):
        return Foreign(
            "is a web page: the download saved a page in place of the file",
            "Download it again; the site may ask you to log in first.",
        )
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Foreign("is a video (AVI)", _PICTURE)
    if head[4:8] == b"ftyp":
        return Foreign("is a video (MP4 or MOV)", _PICTURE)
    if head[257:262] == b"ustar":
        return Foreign("is a tar archive", _UNPACK)
    if _is_matlab_4(head):
        return Foreign(
            "is a MATLAB file of version 4, which holds matrices of two axes only",
            "Save it again in MATLAB with save(..., '-v7.3').",
        )
    if _PICKLE.match(head):
        return Foreign(
            "is a Python pickle, which could run code when it is opened",
            "Open it where it was made, and save the array with numpy.save.",
        )
    return None


def _is_matlab_4(head: bytes) -> bool:
    """Five 4-byte integers and a name ("MAT-File Format", MathWorks, level 4)."""
    if len(head) < 22:
        return False
    for order in "<>":
        kind, rows, columns, imaginary, length = struct.unpack(f"{order}5i", head[:20])
        machine, rest = divmod(kind, 1000)
        name = head[20 : 20 + length] if 2 <= length <= 64 else b""
        if (
            machine == (order == ">")
            and rest // 100 == 0
            and rest // 10 <= 5
            and rest % 10 <= 2
            and rows > 0
            and columns > 0
            and imaginary in (0, 1)
            and name.endswith(b"\0")
            and name[:-1].decode("latin-1").isidentifier()
        ):
            return True
    return False
