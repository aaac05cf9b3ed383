"""The randomized range finder compared with numpy's full decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.filtering import svd_filter
from napari_ulm3d.filtering.randomized import leading_components, pays_off


def block_of(values, n_frames, n_voxels, seed, real=False):
    """A block (t, v) with exactly these singular values."""
    rng = np.random.default_rng(seed)

    def unitary(n):
        draw = rng.standard_normal((n, len(values)))
        if not real:
            draw = draw + 1j * rng.standard_normal((n, len(values)))
        return np.linalg.qr(draw)[0]

    u, v = unitary(n_frames), unitary(n_voxels)
    exact = (u * values) @ v.conj().T
    return exact.astype(np.float32 if real else np.complex64), u


@given(
    n_tissue=st.integers(1, 8),
    gap_db=st.floats(10, 60),
    real=st.booleans(),
    seed=st.integers(0, 10_000),
)
@settings(deadline=None, max_examples=12)
def test_well_separated_tissue_is_found_exactly(n_tissue, gap_db, real, seed):
    n_frames = 100
    tissue = 10 ** (gap_db / 20) * np.linspace(3.0, 1.0, n_tissue)
    rest = np.linspace(0.3, 0.1, n_frames - n_tissue)
    block, u = block_of(np.concatenate([tissue, rest]), n_frames, 1500, seed, real)
    values, vectors = leading_components(block, n_tissue)
    np.testing.assert_allclose(values, tissue, rtol=1e-3)
    np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(n_tissue), atol=1e-6)
    # Cosines of the principal angles between the two subspaces.
    cosines = np.linalg.svd(u[:, :n_tissue].conj().T @ vectors, compute_uv=False)
    assert cosines.min() > 1 - 1e-3


def test_energy_is_correct_for_close_singular_values():
    """As for bubbles and noise after the tissue: vectors mix, but their energy does not change."""
    values = np.concatenate([[3000.0, 400.0, 90.0], np.linspace(4.0, 2.0, 197)])
    block, _ = block_of(values, 200, 6000, 1)
    found, vectors = leading_components(block, 11)
    held = np.sum(np.abs(vectors.conj().T @ block.astype(complex)) ** 2)
    lost = np.sum(values[:11] ** 2) - held
    assert 0 <= lost < 0.5 * 8 * values[11] ** 2
    np.testing.assert_allclose(found[:3], values[:3], rtol=1e-5)


def test_the_filter_agrees_with_the_full_decomposition():
    values = np.concatenate([[3000.0, 900.0, 400.0, 200.0, 120.0], np.linspace(4.0, 2.0, 145)])
    block, _ = block_of(values, 150, 12 * 10 * 14, 2)
    block = block.reshape(150, 12, 10, 14)
    filtered = {}
    for decomposition in ("randomized", "full"):
        config = ClutterConfig(svd_range=(6, 150), decomposition=decomposition)
        filtered[decomposition], kept, singular = svd_filter(block, config)
        assert kept == (6, 150)
        np.testing.assert_allclose(singular[:5], values[:5], rtol=1e-5)
    scale = np.abs(filtered["full"]).max()
    np.testing.assert_allclose(filtered["randomized"], filtered["full"], atol=0.02 * scale)


def test_results_are_bit_identical_for_any_number_of_threads(use_threads):
    block, _ = block_of(np.linspace(50, 1, 80), 80, 20_000, 3)
    results = []
    for threads in (1, 2, 3):
        use_threads(threads)
        with threadpool_limits(limits=threads):
            results.append(leading_components(block, 5))
    for values, vectors in results[1:]:
        np.testing.assert_array_equal(values, results[0][0])
        np.testing.assert_array_equal(vectors, results[0][1])


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (5, 2), (60, 3)])
def test_fewer_voxels_than_components(shape):
    rng = np.random.default_rng(4)
    block = rng.standard_normal(shape).astype(np.float32)
    values, vectors = leading_components(block, min(shape))
    np.testing.assert_allclose(
        values, np.linalg.svd(block, compute_uv=False)[: min(shape)], rtol=1e-4, atol=1e-5
    )
    assert np.isfinite(vectors).all()


def test_it_is_used_if_faster_and_applicable():
    assert pays_off(11, 200)
    assert not pays_off(11, 60)
    rng = np.random.default_rng(5)
    block = rng.standard_normal((120, 4, 5, 6)).astype(np.float32)
    few, _, values = svd_filter(block, ClutterConfig(svd_range=(4, 200)))
    assert len(values) == 3
    _, _, values = svd_filter(block, ClutterConfig(svd_range=(4, 100)))
    assert len(values) == 120, "weak components are dropped too: all are needed"
    assert few.shape == block.shape
    with pytest.raises(ConfigError, match=r"clutter\.decomposition to full"):
        svd_filter(block, ClutterConfig(svd_range=(4, 100), decomposition="randomized"))
    with pytest.raises(ConfigError, match=r"clutter\.decomposition"):
        svd_filter(block, ClutterConfig(svd_automatic=True, decomposition="randomized"))
