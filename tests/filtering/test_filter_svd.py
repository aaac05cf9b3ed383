"""SVD clutter filter compared with numpy's SVD, and the automatic cut-off for known clutter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.filtering import spatial_similarity, svd_filter, svd_spectrum, tissue_components
from napari_ulm3d.filtering.similarity import two_squares


def noise(rng, shape, dtype=np.complex64):
    values = rng.standard_normal(shape)
    if dtype == np.complex64:
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def oracle(block, first, last):
    """The filter by full decomposition, in double precision."""
    casorati = block.reshape(len(block), -1).astype(np.complex128)
    u, s, vh = np.linalg.svd(casorati, full_matrices=False)
    kept = slice(first - 1, last)
    return ((u[:, kept] * s[kept]) @ vh[kept]).reshape(block.shape)


def tissue_and_bubbles(rng, shape, rank, tissue_db, noise_db=-20.0):
    """Tissue with exactly `rank` components on one echogenicity map; bubbles in three vessels."""
    t, z, y, x = shape
    echo = np.exp(4 * gaussian_filter(rng.standard_normal((z, y, x)), 2))
    speckle = noise(rng, (z, y, x)) * echo
    time = np.arange(t) / t
    tissue = np.zeros(shape, complex)
    for k in range(rank):
        modulation = noise(rng, (z, y, x))
        smooth = gaussian_filter(modulation.real, 4) + 1j * gaussian_filter(modulation.imag, 4)
        course = np.exp(2j * np.pi * rng.uniform(-3, 3) * time)
        course *= 1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0, 3) * time)
        strength = 10 ** (-k * 1.5 / 20) / np.abs(smooth).mean()
        tissue += strength * course[:, None, None, None] * (speckle * smooth)
    tissue *= 10 ** (tissue_db / 20) / np.sqrt(np.mean(np.abs(tissue) ** 2))
    zz, yy, xx = np.mgrid[:z, :y, :x]
    bubbles = np.zeros(shape, complex)
    vessels = [(rng.uniform(2, z - 2), rng.uniform(2, y - 2)) for _ in range(3)]
    for i in range(24):
        (vz, vy), speed, start = vessels[i % 3], rng.uniform(-0.3, 0.3), rng.uniform(0, x)
        for frame in range(t):
            distance = (zz - vz) ** 2 + (yy - vy) ** 2 + (xx - (start + speed * frame) % x) ** 2
            bubbles[frame] += np.exp(-distance / 3.2) * np.exp(2j * np.pi * speed * frame)
    bubbles /= np.sqrt(np.mean(np.abs(bubbles) ** 2))
    rest = bubbles + noise(rng, shape) / np.sqrt(2) * 10 ** (noise_db / 20)
    return (tissue + rest).astype(np.complex64), rest


@given(
    t=st.integers(1, 12),
    z=st.integers(1, 6),
    y=st.integers(1, 4),
    x=st.integers(1, 6),
    real=st.booleans(),
    data=st.data(),
)
@settings(deadline=None, max_examples=60)
def test_equals_full_svd(t, z, y, x, real, data):
    first = data.draw(st.integers(1, t))
    last = data.draw(st.integers(first, t + 3))
    dtype = np.float32 if real else np.complex64
    block = noise(np.random.default_rng(t * 1000 + z * 100 + y * 10 + x), (t, z, y, x), dtype)
    filtered, kept, values = svd_filter(block, ClutterConfig(svd_range=(first, last)))
    assert kept == (first, min(last, t))
    assert filtered.dtype == dtype
    scale = np.abs(block).max()
    # With fewer voxels than frames, the null space may be kept or not: it has no energy.
    np.testing.assert_allclose(filtered, oracle(block, first, last), atol=2e-5 * scale)
    expected = np.linalg.svd(block.reshape(t, -1).astype(complex), compute_uv=False)
    np.testing.assert_allclose(values[: expected.size], expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("tissue_db", [25.0, 60.0])
@pytest.mark.parametrize("last", [60, 40])
def test_precision_under_strong_tissue(tissue_db, last):
    """The squared ratio of 120 dB in the Gram matrix does not affect the bubbles' accuracy."""
    rng = np.random.default_rng(3)
    block, rest = tissue_and_bubbles(rng, (60, 14, 10, 12), 6, tissue_db)
    filtered, _, values = svd_filter(block, ClutterConfig(svd_range=(7, last)))
    expected = oracle(block, 7, last)
    level = np.sqrt(np.mean(np.abs(rest) ** 2))
    # Rounding error of float32 samples of this tissue.
    rounding = 10 ** (tissue_db / 20) * 6e-8
    error = np.sqrt(np.mean(np.abs(filtered - expected) ** 2))
    assert error < level * 1e-5 + 10 * rounding
    singular = np.linalg.svd(block.reshape(60, -1).astype(complex), compute_uv=False)
    np.testing.assert_allclose(values, singular, rtol=1e-6)


def test_in_place_and_whole_range():
    block = noise(np.random.default_rng(0), (20, 6, 5, 4))
    config = ClutterConfig(svd_range=(4, 15))
    expected, _, _ = svd_filter(block.copy(), config)
    again = block.copy()
    result, _, _ = svd_filter(again, config, out=again)
    assert result is again
    np.testing.assert_array_equal(again, expected)
    everything, _, _ = svd_filter(block, ClutterConfig(svd_range=(1, 200)))
    np.testing.assert_allclose(everything, block, atol=1e-6)


def test_projection_is_idempotent_and_removes_rank_one_tissue():
    rng = np.random.default_rng(5)
    tissue = noise(rng, (30, 1, 1, 1)) * noise(rng, (1, 8, 1, 9)) * 1000
    bubbles = noise(rng, (30, 8, 1, 9)) * np.float32(0.1)
    config = ClutterConfig(svd_range=(2, 30))
    once, _, _ = svd_filter(tissue + bubbles, config)
    assert np.abs(once).max() < 2
    vectors = svd_spectrum(tissue)[1]
    tissue_course = vectors[:, 0].conj() @ once.reshape(30, -1)
    assert np.abs(tissue_course).max() < 0.05


def test_spectrum_is_orthonormal_and_descending():
    block = noise(np.random.default_rng(1), (15, 3, 4, 5))
    values, vectors = svd_spectrum(block)
    assert (np.diff(values) <= 0).all()
    np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(15), atol=1e-12)
    # Column k is the left singular vector of the Casorati matrix, up to a phase.
    u = np.linalg.svd(block.reshape(15, -1).astype(complex), full_matrices=False)[0]
    np.testing.assert_allclose(np.abs(np.sum(u.conj() * vectors, axis=0)), 1, atol=1e-6)


def test_threads_are_bit_identical(use_threads):
    block = noise(np.random.default_rng(2), (64, 30, 24, 20))
    config = ClutterConfig(svd_range=(5, 50), svd_automatic=True)
    results = []
    for threads in (1, 2, 5):
        use_threads(threads)
        with threadpool_limits(limits=threads, user_api="blas"):
            results.append(svd_filter(block, config))
    for filtered, kept, values in results[1:]:
        np.testing.assert_array_equal(filtered, results[0][0])
        np.testing.assert_array_equal(values, results[0][2])
        assert kept == results[0][1]


def test_a_short_block_has_a_remedy():
    block = noise(np.random.default_rng(0), (8, 3, 3, 3))
    with pytest.raises(ConfigError, match=r"12 to 200.*8 frames.*Lower clutter\.svd_range"):
        svd_filter(block, ClutterConfig(svd_range=(12, 200)))
    with pytest.raises(InputError, match="complex128"):
        svd_filter(block.astype(complex), ClutterConfig(svd_range=(2, 8)))
    with pytest.raises(ConfigError, match="at least 4 frames"):
        svd_filter(block[:3], ClutterConfig(svd_range=(1, 3), svd_automatic=True))


@pytest.mark.parametrize("rank", [3, 6, 9])
@pytest.mark.parametrize("tissue_db", [30.0, 45.0])
@pytest.mark.parametrize("noise_db", [-20.0, 0.0])
def test_automatic_cut_finds_the_rank(rank, tissue_db, noise_db):
    rng = np.random.default_rng(rank)
    block, rest = tissue_and_bubbles(rng, (80, 16, 14, 14), rank, tissue_db, noise_db)
    values, vectors = svd_spectrum(block)
    assert abs(tissue_components(block, values, vectors) - rank) <= 2
    filtered, kept, _ = svd_filter(block, ClutterConfig(svd_automatic=True))
    assert kept == (tissue_components(block, values, vectors) + 1, 80)
    if kept[0] - 1 >= rank:
        error = np.linalg.norm(filtered - rest) / np.linalg.norm(rest)
        assert error < 0.6  # all tissue is removed, with some of the bubbles


def test_similarity_is_the_correlation_of_magnitudes():
    block = noise(np.random.default_rng(4), (10, 5, 4, 6))
    values, vectors = svd_spectrum(block)
    spatial = np.abs(vectors.conj().T @ block.reshape(10, -1)) / values[:, None]
    np.testing.assert_allclose(
        spatial_similarity(block, values, vectors), np.corrcoef(spatial), atol=1e-5
    )


@given(st.integers(4, 30), st.data())
@settings(deadline=None)
def test_two_squares_are_recovered(n, data):
    a = data.draw(st.integers(2, n - 2))
    b = data.draw(st.integers(a + 2, n))
    matrix = np.full((n, n), 0.1)
    matrix[:a, :a] = 0.8
    matrix[a:b, a:b] = 0.8
    np.fill_diagonal(matrix, 1)
    assert two_squares(matrix) == (a, b)


@pytest.mark.parametrize("seed", range(8))
def test_two_squares_equals_brute_force(seed):
    matrix = np.random.default_rng(seed).random((9, 9))
    matrix += matrix.T
    np.fill_diagonal(matrix, 20 * np.random.default_rng(seed).random(9))  # must be ignored
    off = ~np.eye(9, dtype=bool)

    def score(a, b):
        model = np.zeros((9, 9))
        model[:a, :a] = 1
        model[a:b, a:b] = 1
        return np.corrcoef(matrix[off], model[off])[0, 1]

    pairs = [(a, b) for a in range(1, 9) for b in range(a + 2, 10)]
    assert two_squares(matrix) == max(pairs, key=lambda pair: score(*pair))
