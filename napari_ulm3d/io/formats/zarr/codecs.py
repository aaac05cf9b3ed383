"""Codecs of Zarr arrays: registered if their package is installed, or reported as missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_ulm3d.errors import InputError, UlmError
from napari_ulm3d.io.stored.causes import missing_codec

__all__ = ["known_codecs"]

#: Optional codecs by id, with their package; all others in numcodecs are always available.
_PACKAGES = {
    "zfpy": "zfpy", "pcodec": "pcodec", "msgpack2": "msgpack", "crc32c": "crc32c",
    "bitshuffle": "bitshuffle", "wavpack": "wavpack_numcodecs", "flac": "flac_numcodecs",
}  # fmt: skip


@contextmanager
def known_codecs(path: Path | str) -> Iterator[None]:
    """Register optional codecs, and name the missing package if a codec is unknown.

    Raises
    ------
    BackendError
        Installing the named package solves it.
    InputError
        No known package provides the codec.
    """
    _register()
    try:
        yield
    except (KeyError, ValueError, ImportError) as error:
        named = _unknown(error)
        if named is None:
            raise
        raise _error(path, named) from error


def _register() -> None:
    with suppress(ImportError):
        from imagecodecs.numcodecs import register_codecs

        register_codecs(verbose=False)


def _unknown(error: BaseException) -> str | None:
    """Extract the codec id from the error of zarr or numcodecs for an unregistered codec."""
    text = str(error)
    told = re.search(r"(?:codec not available|[Uu]nknown codec)\W*([\w.\-/:]+)", text)
    return told[1] if told else None


def _error(path: Path | str, codec: str) -> UlmError:
    name = codec.removeprefix("numcodecs.")
    if name.startswith("imagecodecs"):
        return missing_codec(path, f"the codec {codec}", "imagecodecs")
    if name in _PACKAGES:
        return missing_codec(path, f"the codec {codec}", _PACKAGES[name])
    return InputError(
        path,
        f"is compressed with the codec {codec}, which neither zarr nor numcodecs provides",
        "Install the package that wrote it, or save the array with zstd.",
    )
