"""Only what lies in an HDF5 file itself: no link or storage that leads to another file.

HDF5 can point to other files from external links, external storage and virtual datasets.
Following them would let a file that somebody sent show the contents of any other file here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.formats.hdf5.filters import refuse_missing_filter
from napari_ulm3d.io.stored.limits import check_claim

if TYPE_CHECKING:
    import h5py

__all__ = ["dataset_within", "elsewhere", "short_texts", "within"]

_MOST_LINKS = 16
_MOST_TEXT = 1 << 16


def within(group: h5py.Group, name: str, links: int = _MOST_LINKS) -> Any:
    """The group or dataset of this name, or None where there is none in this file.

    Soft links are followed as far as they stay in the file, external ones never.
    """
    import h5py

    item: Any = group.file["/"] if name.startswith("/") else group
    for part in name.split("/"):
        if part in ("", "."):
            continue
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if isinstance(link, h5py.SoftLink) and links > 0:
            item = within(item, link.path, links - 1)
        elif isinstance(link, h5py.HardLink):
            item = item[part]
        else:
            return None
    return item


def dataset_within(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset to be read, which this file holds, and of which it claims no more than it can.

    Raises
    ------
    InputError
        It is not there, its values are in another file, or a chunk of it claims more memory
        than the file can hold.
    BackendError
        It is compressed with a filter that is not installed.
    """
    import h5py

    data = within(file, name)
    if not isinstance(data, h5py.Dataset):
        raise InputError(
            file.filename, f"has no dataset {name} of its own", "Name another dataset."
        )
    if elsewhere(data):
        raise InputError(
            file.filename,
            f"stores the values of {name} in other files, which are not followed",
            "Open those files, or copy everything into one file with h5repack.",
        )
    refuse_missing_filter(data)
    if data.chunks:
        # A chunk is read whole, however little of it is asked for.
        stored = Path(file.filename).stat().st_size
        check_claim(file.filename, f"a chunk of {name}", data.chunks, np.dtype(data.dtype), stored)
    return data


def elsewhere(data: h5py.Dataset) -> bool:
    """Whether a dataset's values are in other files (external storage, a virtual dataset)."""
    return bool(data.external) or data.is_virtual


def short_texts(data: h5py.Dataset) -> bool:
    """Whether a dataset of texts of any length holds short ones.

    HDF5 takes memory for the length that the file says before it looks for the text; here
    the lengths are read first: four bytes at the head of each of 16.
    """
    offset = data.id.get_offset()
    if data.dtype.kind != "O" or offset is None or data.chunks:
        return False
    with open(data.file.filename, "rb") as raw:
        raw.seek(offset)
        lengths = np.frombuffer(raw.read(16 * data.size), "<u4")[::4]
    return lengths.size == data.size and int(lengths.sum()) <= _MOST_TEXT
