"""Restrict reading to the contents of the HDF5 file itself: no links to or storage in other files.

HDF5 can refer to other files through external links, external storage and virtual datasets.
Following these would let a file from somebody else expose the contents of any other file here.
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

__all__ = ["dataset_within", "elsewhere", "refuse_links_only", "short_texts", "within"]

_MOST_LINKS = 16
_MOST_TEXT = 1 << 16


def within(group: h5py.Group, name: str, links: int = _MOST_LINKS) -> Any:
    """The group or dataset of this name; None if there is none in this file.

    Soft links are followed while they stay within the file, external links never.
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
    """Return a dataset that this file really contains and whose claimed size is possible.

    Raises
    ------
    InputError
        It does not exist, its values are in another file, or one of its chunks claims more
        memory than the file can hold.
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
        # A chunk is always read whole, even for a small part of it.
        stored = Path(file.filename).stat().st_size
        check_claim(file.filename, f"a chunk of {name}", data.chunks, np.dtype(data.dtype), stored)
    return data


def refuse_links_only(file: h5py.File) -> None:
    """Name the links of a file that has no arrays of its own.

    Raises
    ------
    InputError
        It has links to other files, or to nothing.
    """
    import h5py

    for name in file:
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise InputError(
                file.filename,
                f"has no arrays of its own: {name} is a link to {link.path} in {link.filename}",
                f"Open {link.filename} with --variable {link.path.lstrip('/')}.",
            )
        if isinstance(link, h5py.SoftLink) and within(file, name) is None:
            raise InputError(
                file.filename,
                f"has no arrays: {name} is a link to {link.path}, which it does not contain",
                "Copy it again from the original.",
            )


def elsewhere(data: h5py.Dataset) -> bool:
    """Whether a dataset stores its values in other files (external storage, virtual dataset)."""
    return bool(data.external) or data.is_virtual


def short_texts(data: h5py.Dataset) -> bool:
    """Whether all texts in a dataset of variable-length strings are short.

    HDF5 allocates the length claimed by the file before it reads the text. Here the lengths
    are checked first: the first four bytes of each 16-byte entry.
    """
    offset = data.id.get_offset()
    if data.dtype.kind != "O" or offset is None or data.chunks:
        return False
    with open(data.file.filename, "rb") as raw:
        raw.seek(offset)
        lengths = np.frombuffer(raw.read(16 * data.size), "<u4")[::4]
    return lengths.size == data.size and int(lengths.sum()) <= _MOST_TEXT
