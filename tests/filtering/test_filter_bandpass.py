"""Bandpass, power Doppler and the clutter filter as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfiltfilt

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.filtering import bandpass_filter, clutter_filter, power_doppler, svd_filter


def noise(rng, shape, real=False):
    values = rng.standard_normal(shape) + (0 if real else 1j * rng.standard_normal(shape))
    return values.astype(np.float32 if real else np.complex64)


@given(
    t=st.integers(40, 80),
    order=st.integers(1, 4),
    low=st.floats(5, 100),
    width=st.floats(20, 300),
    real=st.booleans(),
    y=st.sampled_from([1, 3]),
)
@settings(deadline=None, max_examples=40)
def test_equals_sosfiltfilt(t, order, low, width, real, y):
    block = noise(np.random.default_rng(t), (t, 4, y, 5), real)
    cutoffs = (low, low + width)
    config = ClutterConfig(method="bandpass", bandpass_hz=cutoffs, bandpass_order=order)
    result = bandpass_filter(block, 1000.0, config)
    sections = butter(order, cutoffs, btype="bandpass", fs=1000.0, output="sos")
    np.testing.assert_allclose(
        result, sosfiltfilt(sections, block.astype(complex), axis=0), atol=5e-5
    )
    assert result.dtype == block.dtype


def test_passes_and_stops_tones_without_delay():
    t = np.arange(400) / 1000
    config = ClutterConfig(method="bandpass", bandpass_hz=(50, 150))
    for hz, gain in ((100, 1), (-100, 1), (2, 0), (400, 0), (0, 0)):
        block = np.exp(2j * np.pi * hz * t).astype(np.complex64)[:, None, None, None]
        result = bandpass_filter(block, 1000.0, config)[100:-100]
        np.testing.assert_allclose(result, gain * block[100:-100], atol=0.02)


def test_bandpass_in_place_short_blocks_and_threads(use_threads):
    config = ClutterConfig(method="bandpass", bandpass_hz=(50, 150))
    block = noise(np.random.default_rng(0), (33, 40, 30, 20))
    use_threads(1)
    expected = bandpass_filter(block, 1000.0, config)
    use_threads(3)
    assert bandpass_filter(block, 1000.0, config, out=block) is block
    np.testing.assert_array_equal(block, expected)
    for t in (2, 5):  # shorter than scipy's own padding
        assert np.isfinite(bandpass_filter(block[:t], 1000.0, config)).all()
    with pytest.raises(ConfigError, match="at least 2 frames"):
        bandpass_filter(block[:1], 1000.0, config)


@pytest.mark.parametrize("rate", [240.0, 200.0])
def test_a_cut_off_at_nyquist_names_both_frequencies(rate):
    block = noise(np.random.default_rng(0), (20, 2, 2, 2))
    before = block.copy()
    with pytest.raises(ConfigError, match=rf"120 Hz.*{rate:g} Hz.*{rate / 2:g} Hz"):
        clutter_filter(block, rate, ClutterConfig(method="svd+bandpass", svd_range=(2, 20)))
    np.testing.assert_array_equal(block, before)


@pytest.mark.parametrize("kept", [(5, 40), (5, 31)])
@pytest.mark.parametrize("decomposition", ["auto", "full"])
def test_the_vectors_removed_are_what_the_filter_takes_off(kept, decomposition):
    block = noise(np.random.default_rng(2), (40, 5, 3, 6))
    block += 30 * np.linspace(-1, 1, 40)[:, None, None, None].astype(np.complex64)
    config = ClutterConfig(method="svd", svd_range=kept, decomposition=decomposition)
    found = clutter_filter(block.copy(), 500.0, config)
    basis = found.removed
    n = 40 - (kept[1] - kept[0] + 1)
    assert basis.shape == (40, n)
    np.testing.assert_allclose(basis.conj().T @ basis, np.eye(n), atol=1e-5)
    flat = block.reshape(40, -1)
    again = flat - basis @ (basis.conj().T @ flat)
    np.testing.assert_allclose(found.frames.reshape(40, -1), again, atol=2e-4)
    some = found.part(3, 9)
    np.testing.assert_array_equal(some.frames, found.frames[3:9])
    assert some.removed is None
    after = config.replace(method="svd+bandpass", bandpass_hz=(20, 100))
    assert clutter_filter(block.copy(), 500.0, after).removed is None


def test_clutter_filter_methods():
    block = noise(np.random.default_rng(1), (40, 5, 1, 6))
    config = ClutterConfig(method="none", svd_range=(3, 40), bandpass_hz=(20, 100))
    none = clutter_filter(block.copy(), 500.0, config)
    np.testing.assert_array_equal(none.frames, block)
    assert none.components is None
    assert none.summary == "no clutter filter"

    svd = clutter_filter(block.copy(), 500.0, config.replace(method="svd"))
    np.testing.assert_array_equal(svd.frames, svd_filter(block, config)[0])
    assert svd.components == (3, 40)
    assert svd.singular_values.shape == (40,)
    assert "3 to 40 of 40" in svd.summary
    assert none.removed is None

    both = clutter_filter(block.copy(), 500.0, config.replace(method="svd+bandpass"))
    np.testing.assert_array_equal(both.frames, bandpass_filter(svd.frames, 500.0, config))
    assert both.bandpass_hz == (20, 100)


def test_clutter_filter_works_in_place():
    block = noise(np.random.default_rng(1), (30, 5, 4, 6))
    result = clutter_filter(block, 500.0, ClutterConfig(svd_range=(3, 40)))
    assert np.shares_memory(result.frames, block)


@pytest.mark.parametrize("real", [True, False])
def test_power_doppler(real):
    frames = noise(np.random.default_rng(2), (11, 4, 3, 5), real)
    result = power_doppler(frames)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.mean(np.abs(frames) ** 2, axis=0), rtol=1e-6)
