"""Safety checks before decoding a Zarr array: no codec that runs code, no truncated chunks."""

from __future__ import annotations

import json
import struct
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ulm3d.errors import InputError

if TYPE_CHECKING:
    import zarr

__all__ = ["refuse_pickles", "refuse_torn_chunks"]


def refuse_pickles(path: Path | str, array: zarr.Array[Any]) -> None:
    """Refuse an array with a codec that unpickles (numcodecs includes one).

    Unpickling can run any code, whatever the array's declared type.
    """
    described = {k: v for k, v in array.metadata.to_dict().items() if k != "attributes"}
    if "pickle" in json.dumps(described, default=str).lower():
        raise InputError(
            path,
            "stores its values as pickles, which can run any program when opened",
            "Save it again as numbers, with a compressor such as zstd.",
        )


def refuse_torn_chunks(
    path: Path | str, array: zarr.Array[Any], axis: int | None, start: int, stop: int
) -> None:
    """Refuse a Blosc-compressed chunk whose length differs from the one in its header.

    The decoder does not check the length: for a truncated chunk it would read memory beyond
    its end. Missing chunks are left to Zarr.
    """
    if not _is_blosc(array):
        return
    home = Path(path, array.path)
    ranges = [range(-(-n // c)) for n, c in zip(array.shape, array.chunks, strict=True)]
    if axis is not None:
        ranges[axis] = range(start // array.chunks[axis], -(-stop // array.chunks[axis]))
    for corner in product(*ranges):
        chunk = home / array.metadata.encode_chunk_key(corner)
        if not chunk.is_file():
            continue
        with chunk.open("rb") as file:
            head = file.read(16)
        length = chunk.stat().st_size
        # Blosc's header: version, version, flags, type size, then three lengths.
        if len(head) < 16 or struct.unpack("<I", head[12:])[0] != length:
            raise InputError(
                path,
                f"has an incomplete chunk {chunk.relative_to(home)}",
                "Copy it again from the original.",
            )


def _is_blosc(array: zarr.Array[Any]) -> bool:
    """Whether each chunk file is one Blosc buffer (sharded files are checked by their index)."""
    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        return getattr(metadata.compressor, "codec_id", "") == "blosc"
    return bool(metadata.codecs) and type(metadata.codecs[-1]).__name__ in ("BloscCodec", "Blosc")
