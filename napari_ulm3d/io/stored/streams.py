"""Arrays that can only be read front to back: compressed or unaligned bytes in a file."""

from __future__ import annotations

import zlib
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.stored.content import frame_chunks
from napari_ulm3d.io.stored.pairs import as_numbers

__all__ = ["ByteStream", "FileBytes", "InflatedBytes", "fill_from_stream"]


class ByteStream(Protocol):
    """Sequential bytes; raises `EOFError` at a premature end."""

    def read_into(self, buffer: memoryview) -> None: ...
    def skip(self, count: int) -> None: ...


class FileBytes:
    """Plain bytes of an open file; a skip is a seek if the file supports it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read_into(self, buffer: memoryview) -> None:
        """Fill the whole buffer."""
        done = 0
        while done < len(buffer):
            count = self._file.readinto(buffer[done:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError("the file ends within the array")
            done += count

    def skip(self, count: int) -> None:
        """Skip `count` bytes."""
        self._file.seek(count, 1)


class InflatedBytes:
    """Bytes of a zlib or gzip stream in an open file, inflated on demand.

    `raw`: deflated data without a zlib header, as in a zip archive.
    """

    def __init__(self, file: IO[bytes], raw: bool = False) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS | 32)
        self._pending = b""

    def _next(self, limit: int) -> bytes:
        while True:
            if not self._pending and not self._inflate.eof:
                self._pending = self._file.read(1 << 18)
            piece = self._inflate.decompress(self._pending, limit)
            self._pending = self._inflate.unconsumed_tail
            if piece:
                return piece
            if self._inflate.eof or not self._file.peek(1):  # type: ignore[attr-defined]
                raise EOFError("the compressed data end within the array")

    def read_into(self, buffer: memoryview) -> None:
        """Fill the whole buffer."""
        done = 0
        while done < len(buffer):
            piece = self._next(len(buffer) - done)
            buffer[done : done + len(piece)] = piece
            done += len(piece)

    def skip(self, count: int) -> None:
        """Skip `count` bytes, which are still inflated."""
        while count:
            count -= len(self._next(min(count, 1 << 18)))


def fill_from_stream(
    stream: ByteStream,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    out: NDArray[Any],
    axis: int | None,
    start: int,
    stop: int,
) -> None:
    """Read a C-ordered array from a stream and fill `out` with start..stop-1 along `axis`.

    Only the selected part, and a few MB of the rest, are ever in memory. Along the first axis,
    nothing after `stop` is read; otherwise the stream is left at the end of the array.

    Parameters
    ----------
    shape
        Shape of the whole array in the stream, slowest axis first.
    out
        View to fill, axes in the order of `shape`; values are cast to its dtype.
    """
    rows = shape[0]
    low, high = (start, stop) if axis == 0 else (0, rows)
    row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    stream.skip(low * row_bytes)
    keep = tuple(slice(start, stop) if i == axis else slice(None) for i in range(1, len(shape)))
    chunks = frame_chunks(low, high, row_bytes)
    buffer = np.empty(max(b - a for a, b in chunks) * row_bytes, np.uint8)
    for a, b in chunks:
        part = buffer[: (b - a) * row_bytes]
        stream.read_into(part.data)
        values = as_numbers(part.view(dtype).reshape(b - a, *shape[1:]))
        out[a - low : b - low] = values[(slice(None), *keep)]
