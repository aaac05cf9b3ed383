"""Threshold, top-k and contrast compared with their definitions, in one piece or in chunks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify import STRATEGIES, local_contrast_db, sparsify, sparsify_block
from napari_ulm3d.sparsify.contrast import local_background

# The learned strategy needs weights; see test_sparsify_learned.
UNLEARNED = sorted(set(STRATEGIES) - {"learned"})


def map_of(rng, shape, real=False):
    """A synthetic correlation map with magnitudes up to 1."""
    size = rng.random(shape) ** 2
    return (size if real else size * np.exp(2j * np.pi * rng.random(shape))).astype(
        np.float32 if real else np.complex64
    )


def same(a: SparseFrames, b: SparseFrames) -> None:
    np.testing.assert_array_equal(a.coordinates, b.coordinates)
    np.testing.assert_array_equal(a.values, b.values)
    assert (a.shape, a.first_frame) == (b.shape, b.first_frame)


@given(
    shape=st.tuples(
        st.integers(1, 9), st.integers(1, 5), st.sampled_from([1, 4]), st.integers(1, 6)
    ),
    strategy=st.sampled_from(UNLEARNED),
    real=st.booleans(),
    levels=st.sampled_from([None, 3]),
    top_k=st.integers(1, 300),
    data=st.data(),
)
@settings(deadline=None, max_examples=80)
def test_chunks_do_not_matter(shape, strategy, real, levels, top_k, data):
    frames = map_of(np.random.default_rng(sum(shape)), shape, real)
    if levels:  # many equal voxels
        frames = np.round(frames * levels).astype(frames.dtype) / levels
    config = SparsifyConfig(
        strategy=strategy,
        top_k=top_k,
        min_snr_db=3.0,
        patch_voxels=(3, 3, 5),
        near_threshold=data.draw(st.sampled_from([1.0, 0.03])),
    )
    whole = sparsify(frames, config, first_frame=7)
    cuts = sorted(data.draw(st.lists(st.integers(0, shape[0]), max_size=4)))
    edges = [0, *cuts, shape[0]]
    buffer = np.empty_like(frames)

    def chunks():
        """Chunks in one reused buffer, as in the pipeline."""
        for a, b in pairwise(edges):
            buffer[: b - a] = frames[a:b]
            yield buffer[: b - a]
            buffer[:] = 99

    same(sparsify_block(chunks(), config, first_frame=7), whole)
    assert whole.shape == shape
    assert whole.coordinates.dtype == np.int32
    assert whole.values.dtype == np.complex64
    np.testing.assert_array_equal(frames[tuple(whole.coordinates.T)], whole.values)
    flat = np.ravel_multi_index(tuple(whole.coordinates.T), shape)
    assert (np.diff(flat) > 0).all()
    assert whole.counts.shape == (shape[0],)
    assert whole.counts.sum() == len(whole)


def test_threshold_is_on_the_squared_magnitude_inclusive():
    frames = np.array([0.5, 0.5j, 0.49, -0.5, 0.0], np.complex64).reshape(1, 1, 1, 5)
    kept = sparsify(frames, SparsifyConfig(threshold=0.25))
    assert kept.coordinates[:, 3].tolist() == [0, 1, 3]
    assert len(sparsify(frames, SparsifyConfig(threshold=0.0))) == 5
    assert len(sparsify(frames, SparsifyConfig(threshold=1.0))) == 0


@given(k=st.integers(1, 400), seed=st.integers(0, 50), levels=st.sampled_from([2, 5, 1000]))
@settings(deadline=None)
def test_topk_equals_a_stable_sort(k, seed, levels):
    rng = np.random.default_rng(seed)
    frames = (rng.integers(0, levels, (6, 3, 4, 5)) / levels).astype(np.float32)
    kept = sparsify_block(np.split(frames, 3), SparsifyConfig(strategy="topk", top_k=k))
    order = np.argsort(-frames.ravel(), kind="stable")[:k]
    order = np.sort(order[frames.ravel()[order] > 0])
    np.testing.assert_array_equal(
        np.ravel_multi_index(tuple(kept.coordinates.T), frames.shape), order
    )


def background_by_hand(magnitude, patch):
    """Open-3DULM's background: its explicit kernel over the in-bounds part of the patch."""
    padded = np.pad(magnitude, 1, constant_values=-1)
    rest = magnitude.astype(float).copy()
    for z, y, x in np.ndindex(magnitude.shape):
        if magnitude[z, y, x] >= padded[z : z + 3, y : y + 3, x : x + 3].max():
            rest[z, y, x] = 0
    kernel = np.ones(patch)
    offsets = np.meshgrid(*(np.arange(n) - n // 2 for n in patch), indexing="ij")
    distance = np.sqrt(sum(o**2 for o in offsets))
    kernel[distance < np.sqrt(3) + 0.01] = 0.2
    kernel[distance < 1] = 0
    inside = convolve(np.ones(magnitude.shape), kernel, mode="constant")
    return convolve(rest, kernel, mode="constant") / inside


@pytest.mark.parametrize("shape", [(9, 8, 10), (12, 1, 11)])
@pytest.mark.parametrize("patch", [(7, 7, 7), (3, 5, 7), (3, 3, 3)])
def test_background_is_that_of_open_3dulm(shape, patch):
    magnitude = np.abs(map_of(np.random.default_rng(0), shape)).astype(np.float32)
    expected = background_by_hand(magnitude, patch)
    np.testing.assert_allclose(local_background(magnitude, patch), expected, rtol=1e-6, atol=1e-9)
    with np.errstate(divide="ignore"):
        decibels = 20 * np.log10(magnitude / expected)
    np.testing.assert_allclose(local_contrast_db(magnitude, patch), decibels, rtol=1e-5, atol=1e-4)


def test_contrast_keeps_a_bubble_and_drops_its_surroundings():
    rng = np.random.default_rng(1)
    frame = 0.1 * map_of(rng, (1, 15, 15, 15))
    frame[0, 7, 7, 7] = 0.8j
    kept = sparsify(frame, SparsifyConfig(strategy="contrast", min_snr_db=20.0))
    assert kept.coordinates.tolist() == [[0, 7, 7, 7]]
    assert kept.values[0] == np.complex64(0.8j)


def test_contrast_of_nothing_and_of_a_lone_voxel():
    config = SparsifyConfig(strategy="contrast")
    assert len(sparsify(np.zeros((2, 5, 5, 5), np.complex64), config)) == 0
    lone = np.zeros((1, 5, 5, 5), np.float32)
    lone[0, 2, 2, 2] = 1
    assert len(sparsify(lone, config)) == 1
    assert len(sparsify(np.ones((3, 1, 1, 1), np.float32), config)) == 0  # no surroundings


def test_bad_use_is_named():
    config = SparsifyConfig()
    for strategy in UNLEARNED:
        chosen = config.replace(strategy=strategy)
        with pytest.raises(InputError, match="3 axes"):
            sparsify(np.zeros((3, 3, 3), np.complex64), chosen)
        with pytest.raises(InputError, match="acquisition"):
            sparsify_block([np.zeros((1, 2, 3, 4)), np.zeros((1, 2, 3, 5))], chosen)
        with pytest.raises(ValueError, match="at least one chunk"):
            sparsify_block([], chosen)
    unknown = config.model_copy(update={"strategy": "wish"})
    with pytest.raises(ConfigError, match="threshold, topk, contrast"):
        sparsify(np.zeros((1, 2, 2, 2), np.complex64), unknown)


@pytest.mark.parametrize("shape", [(2, 7, 8, 9), (3, 9, 1, 11), (2, 1, 1, 60)])
def test_fainter_voxels_are_kept_near_bright_ones(shape):
    """Against the definition, voxel by voxel."""
    frames = map_of(np.random.default_rng(3), shape) * np.float32(0.6)
    config = SparsifyConfig(threshold=0.15, near_threshold=0.04)
    power = np.abs(frames.astype(np.complex128)) ** 2
    expected = power >= 0.15
    for t, z, y, x in np.argwhere((power >= 0.04) & ~expected):
        around = power[t, max(z - 2, 0) : z + 3, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        expected[t, z, y, x] = (around >= 0.2).any()
    kept = sparsify(frames, config)
    np.testing.assert_array_equal(kept.coordinates, np.argwhere(expected))
    assert len(kept) > len(sparsify(frames, config.replace(near_threshold=0.15)))
