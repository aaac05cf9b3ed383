"""Correlation map compared with brute force, and its invariances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate
from scipy.signal import correlate as signal_correlate

from napari_ulm3d.errors import InputError
from napari_ulm3d.filtering import Psf, correlation_map


def noise(rng, shape, real=False):
    values = rng.standard_normal(shape) + (0 if real else 1j * rng.standard_normal(shape))
    return values.astype(np.float32 if real else np.complex64)


def profile(rng, size, real=False):
    factor = noise(rng, size, real).astype(complex)
    return factor / factor[size // 2]


def random_psf(rng, sizes, real=False):
    return Psf.from_factors(*(profile(rng, n, real) for n in sizes), fwhm_voxels=(3, 3, 3))


def brute_force(frames, psf):
    """Voxel-wise evaluation of the definition in the docstring."""
    real = frames.dtype == np.float32
    half = [n // 2 for n in psf.shape]
    out = np.zeros(frames.shape, complex)
    for t, z, y, x in np.ndindex(frames.shape):
        at, of = [], []
        for p, h, n in zip((z, y, x), half, frames.shape[1:], strict=True):
            low, high = max(0, p - h), min(n, p + h + 1)
            at.append(slice(low, high))
            of.append(slice(low - p + h, high - p + h))
        patch = frames[t][tuple(at)].astype(complex).ravel()
        model = psf.array[tuple(of)].astype(complex).ravel()
        if real:
            patch, model = patch - patch.mean(), model - model.mean()
        product = np.vdot(model, patch)
        norm = np.linalg.norm(model) * np.linalg.norm(patch)
        out[t, z, y, x] = product / norm if norm > 1e-12 else 0
    return out if not real else out.real


@given(
    grid=st.tuples(st.integers(1, 7), st.sampled_from([1, 2, 5]), st.integers(2, 9)),
    sizes=st.tuples(*[st.sampled_from([1, 3, 5, 7])] * 3),
    real=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_equals_brute_force_separable_and_not(grid, sizes, real, seed):
    rng = np.random.default_rng(seed)
    frames = noise(rng, (2, *grid), real)
    psf = random_psf(rng, sizes, real)
    if real and np.prod(np.minimum(sizes, grid)) < 2:
        assert not correlation_map(frames, psf).any()  # one voxel minus its mean is zero
        return
    expected = brute_force(frames, psf)
    for variant in (psf, replace(psf, factors=None)):
        result = correlation_map(frames, variant)
        assert result.dtype == frames.dtype
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_general_psf_equals_brute_force():
    rng = np.random.default_rng(0)
    array = noise(rng, (3, 5, 3))
    array /= array[1, 2, 1]
    psf = Psf(array, (3, 3, 3))
    frames = noise(rng, (2, 6, 7, 5))
    np.testing.assert_allclose(correlation_map(frames, psf), brute_force(frames, psf), atol=1e-5)


def test_equals_scipy_inside_the_frame():
    rng = np.random.default_rng(1)
    psf = random_psf(rng, (5, 3, 7))
    frames = noise(rng, (1, 12, 9, 14))
    expected = signal_correlate(frames[0].astype(complex), psf.array.astype(complex), "same")
    inner = (slice(2, -2), slice(1, -1), slice(3, -3))
    energy = correlate(np.abs(frames[0]).astype(float) ** 2, np.ones(psf.shape), mode="constant")
    c = correlation_map(frames, psf)[0]
    np.testing.assert_allclose(
        c[inner], (expected / np.sqrt(energy * psf.energy))[inner], atol=1e-5
    )


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("factored", [True, False])
@pytest.mark.parametrize("place", [(6, 5, 7), (0, 0, 0), (11, 9, 1)])
def test_noiseless_bubble_gives_one_anywhere(real, factored, place):
    rng = np.random.default_rng(2)
    psf = random_psf(rng, (7, 5, 7), real)
    psf = psf if factored else replace(psf, factors=None)
    amplitude = -3.5 if real else 3.5 * np.exp(2.1j)
    frame = np.zeros((12 + 6, 10 + 4, 14 + 6), complex)
    z, y, x = place
    frame[z : z + 7, y : y + 5, x : x + 7] = amplitude * psf.array
    frames = frame[None, 3:-3, 2:-2, 3:-3].astype(np.complex64)
    if real:
        frames = frames.real + np.float32(40)  # the offset of an envelope does not matter
    c = correlation_map(frames, psf)[0, z, y, x]
    assert abs(c) == pytest.approx(1, abs=2e-6)
    np.testing.assert_allclose(c, amplitude / abs(amplitude), atol=1e-5)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("factored", [True, False])
@pytest.mark.parametrize("factor", [1e-12, 3.0, 2.0**60, 1e18])
def test_scale_and_phase_do_not_matter(real, factored, factor):
    rng = np.random.default_rng(3)
    psf = random_psf(rng, (5, 5, 5), real)
    psf = psf if factored else replace(psf, factors=None)
    frames = noise(rng, (3, 8, 1, 9), real)
    c = correlation_map(frames, psf)
    assert np.abs(c).max() <= 1
    phase = 1 if real else np.exp(1j)
    scaled = (frames.astype(complex) * factor * phase).astype(np.complex64)
    scaled = scaled.real.copy() if real else scaled
    np.testing.assert_allclose(np.abs(correlation_map(scaled, psf)), np.abs(c), atol=2e-6)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("factored", [True, False])
def test_empty_patches_give_zero(real, factored):
    psf = random_psf(np.random.default_rng(0), (3, 3, 3), real)
    psf = psf if factored else replace(psf, factors=None)
    frames = np.zeros((2, 9, 9, 9), np.float32 if real else np.complex64)
    frames[1, 4, 4, 4] = 5
    c = correlation_map(frames, psf)
    assert np.isfinite(c).all()
    assert not c[0].any()
    assert not c[1, 7:].any()
    assert c[1, 4, 4, 4] != 0
    if real:
        assert not correlation_map(np.full((1, 5, 5, 5), 1234.5, np.float32), psf).any()


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("factored", [True, False])
def test_weak_bubble_beside_a_strong_one(real, factored):
    """80 dB below another bubble in the same frame, c is still exact: rounding does not leak."""
    rng = np.random.default_rng(6)
    psf = random_psf(rng, (3, 3, 3), real)
    frames = np.zeros((1, 7, 7, 24), complex)
    frames[0, 2:5, 2:5, 2:5] = 1e4 * psf.array
    frames[0, 2:5, 2:5, 17:20] = psf.array
    frames = frames.real.astype(np.float32) if real else frames.astype(np.complex64)
    c = correlation_map(frames, psf if factored else replace(psf, factors=None))
    assert c[0, 3, 3, 18] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("factored", [True, False])
def test_threads_chunks_and_in_place_are_bit_identical(use_threads, real, factored):
    rng = np.random.default_rng(4)
    psf = random_psf(rng, (5, 3, 5), real)
    psf = psf if factored else replace(psf, factors=None)
    frames = noise(rng, (7, 6, 5, 8), real)
    use_threads(1)
    expected = correlation_map(frames, psf)
    use_threads(3)
    np.testing.assert_array_equal(correlation_map(frames, psf), expected)
    parts = [correlation_map(frames[a : a + 2], psf) for a in range(0, 7, 2)]
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    frames.setflags(write=False)  # as for a memory map
    np.testing.assert_array_equal(correlation_map(frames, psf), expected)
    buffer = frames.copy()
    assert correlation_map(buffer, psf, out=buffer) is buffer
    np.testing.assert_array_equal(buffer, expected)


def test_bad_input_is_named_in_the_error():
    psf = random_psf(np.random.default_rng(0), (3, 3, 3))
    with pytest.raises(InputError, match="complex128"):
        correlation_map(np.zeros((1, 3, 3, 3), complex), psf)
    with pytest.raises(InputError, match="3 axes"):
        correlation_map(np.zeros((3, 3, 3), np.complex64), psf)
    with pytest.raises(ValueError, match="real PSF"):
        correlation_map(np.zeros((1, 3, 3, 3), np.float32), psf)
