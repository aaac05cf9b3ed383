"""Damage done to small files, always the same for the same seed.

A file, or a folder of files, is a mapping of names to bytes. Most of the damage is done
where a file describes itself: a byte of a voxel says nothing about a reader.
"""

from __future__ import annotations

import gzip
import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable

Files = dict[str, bytes]

#: Numbers that readers of headers trip over.
_EXTREMES = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
_EXTREMES += (2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_WRITTEN = (b"0", b"-1", b"1", b"7", b"999999999", b"4294967296", b"9223372036854775807")
_WRITTEN += (b"1e308", b"NaN", b"-0.5", b"1e-300", b"null", b"[]", b"99999999999999999999999")


def mutate(files: Files, seed: str) -> tuple[Files, str]:
    """A damaged copy of the files, and the name of what was done to them."""
    rng = random.Random(seed)
    damaged = dict(files)
    if len(files) > 1 and rng.random() < 0.08:
        del damaged[rng.choice(sorted(files))]
        return damaged, "remove"
    name = rng.choice(sorted(files))
    while True:
        kind = rng.choice(sorted(_KINDS))
        # Behind a checksum or a compressor most damage ends at once: half is done inside.
        opened = _inner(files[name]) if kind != "truncate" and rng.random() < 0.5 else None
        if opened is None:
            after = _KINDS[kind](files[name], rng)
        else:
            content, close = opened
            after = close(_KINDS[kind](content, rng))
        if after != files[name]:
            damaged[name] = after
            return damaged, kind


def _place(data: bytes, rng: random.Random) -> int:
    """Somewhere in the data: mostly in its first kilobyte, or its last."""
    n = max(1, len(data))
    where = rng.random()
    if where < 0.5:
        return rng.randrange(min(n, 1024))
    if where < 0.65:
        return n - 1 - rng.randrange(min(n, 512))
    return rng.randrange(n)


def _flip(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if out:
            out[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _run(data: bytes, rng: random.Random) -> bytes:
    start, n = _place(data, rng), rng.choice((1, 4, 16, 64, 512))
    fill = rng.choice((b"\0", b"\xff", b"", b" "))
    run = fill * n if fill else rng.randbytes(n)
    return data[:start] + run[: len(data) - start] + data[start + n :]


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _insert(data: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    return data[:start] + rng.randbytes(rng.choice((1, 2, 8, 100))) + data[start:]


def _delete(data: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    return data[:start] + data[start + rng.choice((1, 2, 8, 100)) :]


def _swap(data: bytes, rng: random.Random) -> bytes:
    n = rng.choice((4, 16, 128, 512))
    a, b = sorted((_place(data, rng), _place(data, rng)))
    if a + n > b:
        return data
    return data[:a] + data[b : b + n] + data[a + n : b] + data[a : a + n] + data[b + n :]


def _number(data: bytes, rng: random.Random) -> bytes:
    size, order = rng.choice((1, 2, 4, 8)), rng.choice("<>")
    start = _place(data, rng)
    start -= start % rng.choice((1, size))
    value = rng.choice(_EXTREMES) % 256**size
    packed = struct.pack(f"{order}Q", value)
    packed = packed[:size] if order == "<" else packed[-size:]
    return data[:start] + packed[: len(data) - start] + data[start + size :]


def _written_number(data: bytes, rng: random.Random) -> bytes:
    numbers = list(re.finditer(rb"\d+(\.\d+)?", data[:4096]))
    if not numbers:
        return _number(data, rng)
    chosen = rng.choice(numbers)
    return data[: chosen.start()] + rng.choice(_WRITTEN) + data[chosen.end() :]


_KINDS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flip": _flip,
    "run": _run,
    "truncate": _truncate,
    "insert": _insert,
    "delete": _delete,
    "swap": _swap,
    "number": _number,
    "written number": _written_number,
}


def _inner(data: bytes) -> tuple[bytes, Callable[[bytes], bytes]] | None:
    """What is compressed in a file, and how to compress it again; None where nothing is."""
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data), lambda content: gzip.compress(content, 1, mtime=0)
    if data[:2] == b"PK":
        return _first_member(data)
    if data[:10] == b"MATLAB 5.0" and data[128:132] == b"\x0f\0\0\0":
        (size,) = struct.unpack("<I", data[132:136])
        rest = data[136 + size :]

        def close(content: bytes) -> bytes:
            packed = zlib.compress(content, 1)
            return data[:132] + struct.pack("<I", len(packed)) + packed + rest

        return zlib.decompress(data[136 : 136 + size]), close
    return None


def _first_member(data: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    first = next(iter(members))

    def close(content: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for info, old in members.items():
                archive.writestr(info.filename, content if info is first else old, 8)
        return buffer.getvalue()

    return members[first], close
