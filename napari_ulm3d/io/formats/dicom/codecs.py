"""DICOM transfer syntaxes that cannot be decoded here, each refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_ulm3d.errors import InputError, UlmError
from napari_ulm3d.io.stored.causes import missing_codec

if TYPE_CHECKING:
    import pydicom

__all__ = ["refuse_undecodable"]

_VIDEO = ("MPEG", "HEVC", "H.26", "SMPTE", "Video")
_EXPORT = "Export the loop again from the scanner or viewer, with uncompressed, RLE or JPEG frames."


def refuse_undecodable(path: Path, data: pydicom.Dataset) -> None:
    """Refuse frames that no installed decoder can read.

    Raises
    ------
    InputError
        The frames are a video (MPEG-2, H.264, HEVC), or in a syntax that has no decoder.
    BackendError
        A package that could decode them is not installed.
    """
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    syntax = data.file_meta.get("TransferSyntaxUID") if hasattr(data, "file_meta") else None
    if not syntax:
        return
    syntax = UID(syntax)
    if not syntax.is_private and any(word in syntax.name for word in _VIDEO):
        raise InputError(path, f"contains a video ({syntax.name}), not separate frames", _EXPORT)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise InputError(
            path, f"contains frames in {syntax.name}, for which no decoder is installed", _EXPORT
        ) from error
    if not decoder.is_available:
        raise _missing(path, syntax.name)


def _missing(path: Path, name: str) -> UlmError:
    return missing_codec(path, name, "pylibjpeg")
