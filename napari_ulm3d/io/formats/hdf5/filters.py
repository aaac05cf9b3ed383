"""Compression filters of HDF5 datasets: available, loaded on demand, or reported as missing.

Numbers and names are from the HDF Group's list of registered filters.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.stored.causes import missing_codec

if TYPE_CHECKING:
    import h5py

__all__ = ["can_decode", "refuse_missing_filter"]

#: Filters in the package hdf5plugin.
_PLUGIN = {
    307: "bzip2", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP",
    32015: "Zstandard", 32017: "SZ", 32018: "FCIDECOMP", 32024: "SZ3", 32026: "Blosc2",
    32028: "SPERR",
}  # fmt: skip
#: Filters that need other plugins.
_OTHERS = {
    4: "szip", 305: "LZO", 32000: "LZF", 32002: "MAFISC", 32003: "Snappy", 32005: "APAX",
    32006: "CBF", 32007: "JPEG XR", 32009: "SPDP", 32010: "LPC-Rice", 32011: "CCSDS-123",
    32012: "JPEG-LS", 32014: "fpzip", 32016: "B3D", 32019: "JPEG", 32020: "VBZ",
    32021: "FAPEC", 32022: "BitGroom", 32023: "Granular BitRound", 32025: "Delta-Rice",
    32027: "FLAC", 32029: "TERSE/PROLIX", 32030: "FFmpeg",
}  # fmt: skip


def can_decode(data: h5py.Dataset) -> bool:
    """Whether all filters of a dataset are available, after loading hdf5plugin if necessary."""
    return not _missing(data)


def refuse_missing_filter(data: h5py.Dataset) -> None:
    """Name the package that can decode a dataset whose filter is missing.

    Raises
    ------
    BackendError
        Installing hdf5plugin solves it.
    InputError
        Another plugin is needed.
    """
    for code, name in _missing(data):
        title = f"the HDF5 filter {_PLUGIN.get(code) or _OTHERS.get(code) or name} (id {code})"
        path = data.file.filename
        if code in _PLUGIN:
            raise missing_codec(path, title, "hdf5plugin")
        raise InputError(
            path,
            f"is compressed with {title}, and its plugin is not installed",
            "Install that plugin and set HDF5_PLUGIN_PATH to its folder. Or, on a computer "
            "that can read the file, convert it with: h5repack -f GZIP=1 OLD NEW",
        )


def _missing(data: h5py.Dataset) -> list[tuple[int, str]]:
    from h5py import h5z

    properties = data.id.get_create_plist()
    filters = [properties.get_filter(i) for i in range(properties.get_nfilters())]
    missing = [(f[0], _text(f[3])) for f in filters if not h5z.filter_avail(f[0])]
    if any(code in _PLUGIN for code, _ in missing):
        with suppress(ImportError):
            import hdf5plugin  # noqa: F401  # registers its filters

            missing = [(code, name) for code, name in missing if not h5z.filter_avail(code)]
    return missing


def _text(name: bytes | str) -> str:
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else name
    return text.partition(";")[0].strip() or "without a name"
