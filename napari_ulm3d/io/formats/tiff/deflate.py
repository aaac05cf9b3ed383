"""Zlib streams of sparse float arrays, without creating the full array.

A plane of a vessel map is nearly all zeros. Deflate (RFC 1951) can encode "258 more zeros" in
13 bits, so the compressed stream is written directly from the non-empty voxels: its cost
grows with their number, and hardly with the size of the plane. Any zlib can read it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["deflate_sparse"]

# RFC 1951, 3.2.5: lengths 3..258 for codes 257..285; 258 has its own code.
_LENGTH_BASE = np.array(
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31,
     35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258]
)  # fmt: skip
_LENGTH_BITS = np.array(
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
)
_ADLER = 65521


def _fixed_codes() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes (bits reversed, as packed) and lengths of the fixed Huffman table."""
    codes, sizes = np.zeros(288, np.int64), np.zeros(288, np.int64)
    for first, last, size, base in (
        (0, 143, 8, 0x30), (144, 255, 9, 0x190), (256, 279, 7, 0), (280, 287, 8, 0xC0)
    ):  # fmt: skip
        for symbol in range(first, last + 1):
            codes[symbol] = int(f"{base + symbol - first:0{size}b}"[::-1], 2)
            sizes[symbol] = size
    return codes, sizes


def _match_codes() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For lengths 0..258: code for repeating the last byte that often, and its number of bits."""
    codes, sizes = _fixed_codes()
    bits, count = np.zeros(259, np.int64), np.zeros(259, np.int64)
    for length in range(3, 259):
        k = int(np.searchsorted(_LENGTH_BASE, length, side="right")) - 1
        symbol, extra = 257 + k, int(_LENGTH_BITS[k])
        bits[length] = codes[symbol] | ((length - int(_LENGTH_BASE[k])) << int(sizes[symbol]))
        count[length] = sizes[symbol] + extra + 5  # distance 1 is code 0: five zero bits
    return bits, count


_LITERAL_BITS, _LITERAL_SIZE = _fixed_codes()
_MATCH_BITS, _MATCH_SIZE = _match_codes()


def deflate_sparse(
    position: NDArray[np.int64], values: NDArray[np.float32], n_values: int
) -> bytes:
    """Build a zlib stream of `n_values` little-endian float32, zero except at `position`.

    Parameters
    ----------
    position
        (n,) ascending, within 0..n_values - 1.
    values
        (n,) float32.
    n_values
        Length of the full array.
    """
    raw = np.ascontiguousarray(values, "<f4").view(np.uint8).astype(np.uint8, copy=False)
    # A byte costs at most 9 bits; a run of zeros costs 13 bits per 258 and 24 for its ends.
    room = 16 + raw.size * 9 // 8 + (values.size + 1) * 6 + n_values * 4 // 258 * 2
    out = np.empty(room, np.uint8)
    size = _encode(
        np.ascontiguousarray(position, np.int64), raw, n_values, out,
        _LITERAL_BITS, _LITERAL_SIZE, _MATCH_BITS, _MATCH_SIZE,
    )  # fmt: skip
    return out[:size].tobytes()


@njit(cache=True, nogil=True)
def _put(out: Any, size: int, pending: int, n_pending: int, bits: int, n_bits: int) -> Any:
    """Append bits, least significant first; complete bytes are written out."""
    pending |= bits << n_pending
    n_pending += n_bits
    while n_pending >= 8:
        out[size] = pending & 0xFF
        size += 1
        pending >>= 8
        n_pending -= 8
    return size, pending, n_pending


@njit(cache=True, nogil=True)
def _put_zeros(
    out: Any, size: int, pending: int, n_pending: int, n: int,
    literal_bits: Any, literal_size: Any, match_bits: Any, match_size: Any,
) -> Any:  # fmt: skip
    """Append `n` zero bytes: one literal, then repetitions of it."""
    size, pending, n_pending = _put(out, size, pending, n_pending, literal_bits[0], literal_size[0])
    n -= 1
    while n >= 3:
        length = min(n, 258)
        size, pending, n_pending = _put(
            out, size, pending, n_pending, match_bits[length], match_size[length]
        )
        n -= length
    for _ in range(n):
        size, pending, n_pending = _put(
            out, size, pending, n_pending, literal_bits[0], literal_size[0]
        )
    return size, pending, n_pending


@njit(cache=True, nogil=True)
def _encode(
    position: Any, raw: Any, n_values: int, out: Any,
    literal_bits: Any, literal_size: Any, match_bits: Any, match_size: Any,
) -> int:  # fmt: skip
    out[0], out[1] = 0x78, 0x01  # zlib header: 32 KiB window, fastest
    size, pending, n_pending = 2, 0b011, 3  # last block, fixed Huffman codes
    a, b = 1, 0  # Adler-32; n zero bytes leave a and add n * a to b
    zeros = 0
    done = 0  # values written so far
    for k in range(position.size):
        zeros += 4 * (position[k] - done)
        done = position[k] + 1
        for byte in raw[4 * k : 4 * k + 4]:
            if byte == 0:
                zeros += 1
                continue
            if zeros:
                size, pending, n_pending = _put_zeros(
                    out, size, pending, n_pending, zeros,
                    literal_bits, literal_size, match_bits, match_size,
                )  # fmt: skip
                b = (b + zeros % _ADLER * a) % _ADLER
                zeros = 0
            size, pending, n_pending = _put(
                out, size, pending, n_pending, literal_bits[byte], literal_size[byte]
            )
            a = (a + int(byte)) % _ADLER
            b = (b + a) % _ADLER
    zeros += 4 * (n_values - done)
    if zeros:
        size, pending, n_pending = _put_zeros(
            out, size, pending, n_pending, zeros, literal_bits, literal_size, match_bits, match_size
        )
        b = (b + zeros % _ADLER * a) % _ADLER
    size, pending, n_pending = _put(
        out, size, pending, n_pending, literal_bits[256], literal_size[256]
    )
    if n_pending:
        size, pending, n_pending = _put(out, size, pending, n_pending, 0, 8 - n_pending)
    for byte in (b >> 8, b & 0xFF, a >> 8, a & 0xFF):
        out[size] = byte
        size += 1
    return size
