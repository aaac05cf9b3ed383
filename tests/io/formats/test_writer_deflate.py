"""Streams of the sparse encoder, read by zlib."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ulm3d.io.formats.tiff.deflate import deflate_sparse

# Various bit patterns: zero bytes within a value, negative zero, NaN, bytes >= 144.
PATTERNS = st.integers(0, 2**32 - 1) | st.sampled_from(
    [0x3F800000, 0x80000000, 0x00000001, 0x00FF0000, 0x01000000, 0xFFFFFFFF, 0x7FC00000]
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.integers(0, 700), PATTERNS, max_size=40), st.integers(0, 400))
def test_zlib_reads_the_array(held, rest):
    position = np.array(sorted(held), np.int64)
    values = np.array([held[p] for p in sorted(held)], np.uint32).view(np.float32)
    n = (int(position[-1]) + 1 if position.size else 0) + rest
    full = np.zeros(n, np.float32)
    full[position] = values
    assert zlib.decompress(deflate_sparse(position, values, n)) == full.tobytes()


@pytest.mark.parametrize(
    "zero_bytes", list(range(16)) + list(range(256, 272)) + list(range(512, 532))
)
def test_zero_runs_around_the_longest_match(zero_bytes):
    # A value without zero bytes after a run of this many zero bytes.
    n_zero, rest = divmod(zero_bytes, 4)
    first = np.array([0xFFFFFFFF << (8 * rest) & 0xFFFFFFFF], np.uint32).view(np.float32)
    full = np.zeros(n_zero + 2, np.float32)
    full[n_zero] = first[0]
    position = np.array([n_zero], np.int64)
    assert zlib.decompress(deflate_sparse(position, full[[n_zero]], full.size)) == full.tobytes()


def test_a_large_empty_plane_is_small_with_correct_checksum():
    n = 5_000_000
    stream = deflate_sparse(np.array([n - 1]), np.array([2.5], np.float32), n)
    assert len(stream) < n * 4 / 150
    full = np.frombuffer(zlib.decompress(stream), np.float32)
    assert full.size == n
    assert full[-1] == 2.5
    assert not full[:-1].any()


def test_a_full_plane():
    values = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    stream = deflate_sparse(np.arange(values.size), values, values.size)
    assert zlib.decompress(stream) == values.tobytes()
