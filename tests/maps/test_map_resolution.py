"""Fourier shell correlation: crossings predicted by theory, and limits."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.maps import spectra
from napari_ulm3d.maps.resolution import resolution
from napari_ulm3d.maps.spectra import half_bit_threshold
from napari_ulm3d.volumes import VesselMap

VOXEL_UM = 10.0


def halves_of(shape, sigma_um, snr_at_zero, seed=0):
    """Two halves: one Gaussian-filtered white signal, and white noise of each its own.

    The signal's power falls as exp(-(2 pi f sigma)^2), so that the correlation is
    1 / (1 + exp((2 pi f sigma)^2) / snr_at_zero).
    """
    rng = np.random.default_rng(seed)
    grid = Grid(shape, (VOXEL_UM,) * 3)
    frequencies = np.meshgrid(*[np.fft.fftfreq(n, VOXEL_UM) for n in shape], indexing="ij")
    square = sum(f**2 for f in frequencies)
    transfer = np.exp(-0.5 * (2 * np.pi * sigma_um) ** 2 * square)
    signal = np.fft.ifftn(np.fft.fftn(rng.normal(size=shape)) * transfer).real * np.sqrt(
        snr_at_zero
    )
    return tuple(
        VesselMap.from_dense(name, 1000 + signal + rng.normal(size=shape), grid) for name in "ab"
    )


def period_at(correlation, sigma_um, snr_at_zero):
    """Frequency at which the theoretical curve takes a value."""
    argument = np.log(snr_at_zero * (1 / correlation - 1))
    return 2 * np.pi * sigma_um / np.sqrt(argument)


@pytest.mark.parametrize(
    "shape", [(96, 96, 96), (150, 60, 96), (400, 1, 300)], ids=["cube", "tiles", "ring"]
)
def test_crossings_are_where_theory_puts_them(shape):
    sigma, snr = 12.0, 400.0
    found = resolution(*halves_of(shape, sigma, snr))
    # The theoretical curve crosses the 1/2-bit curve at this frequency.
    theory = 1 / (1 + np.exp((2 * np.pi * found.frequency_per_um * sigma) ** 2) / snr)
    crossing = np.flatnonzero(theory < found.half_bit)
    crossing = 1 / found.frequency_per_um[crossing[crossing > 3][0]]
    assert found.resolution_um == pytest.approx(crossing, rel=0.06)
    assert found.resolution_fixed_um == pytest.approx(period_at(1 / 7, sigma, snr), rel=0.06)
    assert not found.limited_by_voxel


def test_the_whole_curve_follows_theory():
    sigma, snr = 12.0, 100.0
    found = resolution(*halves_of((192, 96, 96), sigma, snr))
    theory = 1 / (1 + np.exp((2 * np.pi * found.frequency_per_um * sigma) ** 2) / snr)
    many = found.n_independent > 500
    assert many.sum() > 30
    # The standard deviation of a correlation over n coefficients is about 1 / sqrt(n).
    off = (found.correlation - theory)[many] * np.sqrt(found.n_independent[many])
    assert np.sqrt(np.mean(off**2)) < 1.5


def test_independent_noise_has_no_resolution():
    spreads = []
    for seed in range(4):
        found = resolution(*halves_of((64, 64, 64), 12.0, 0.0, seed))
        assert np.isnan(found.resolution_um)
        assert "too few tracks" in found.notes[-1]
        spreads.append(found.correlation * np.sqrt(found.n_independent))
    # The stated number of coefficients explains the spread of pure noise.
    assert np.std(spreads) == pytest.approx(1.0, abs=0.25)


def test_few_tracks_have_a_curve_and_no_resolution():
    halves = halves_of((64, 64, 64), 12.0, 10.0)
    enough = resolution(*halves, n_tracks=500)
    few = resolution(*halves, n_tracks=499)
    assert enough.resolution_um == resolution(*halves).resolution_um > 0
    assert enough.text == f"{enough.resolution_um:.1f} um"
    np.testing.assert_array_equal(few.correlation, enough.correlation)
    assert np.isnan([few.resolution_um, few.resolution_fixed_um, *few.axes_um]).all()
    assert few.text == "too few tracks to measure (499; at least 500)"
    assert "at least 500 are needed" in few.notes[-1]


def test_identical_halves_are_limited_by_the_voxel():
    one, _ = halves_of((64, 64, 64), 8.0, 10.0)
    found = resolution(one, one)
    assert found.resolution_um == found.resolution_fixed_um == 2 * VOXEL_UM
    assert found.limited_by_voxel
    assert found.correlation == pytest.approx(1.0)


def test_frequencies_run_to_nyquist():
    one, other = halves_of((50, 64, 40), 8.0, 10.0)
    found = resolution(one, other)
    assert found.frequency_per_um[-1] == pytest.approx(1 / (2 * VOXEL_UM))
    assert found.frequency_per_um[0] == pytest.approx(1 / (64 * VOXEL_UM))
    # All coefficients in the ball within Nyquist, reduced by the taper (Hann: 0.51 per axis).
    ball = 4 / 3 * np.pi * 0.5**3 * 50 * 64 * 40
    assert 0.51**2 * ball < found.n_independent.sum() < ball


def test_empty_halves():
    empty = VesselMap(
        "a", Grid((40, 40, 40), (10.0,) * 3), np.zeros(0, np.int64), np.zeros(0, np.float32)
    )
    found = resolution(empty, empty)
    assert np.isnan(found.resolution_um)
    assert "No tile" in found.notes[-1]


def test_table_of_the_curve():
    found = resolution(*halves_of((32, 32, 32), 8.0, 10.0))
    table = found.to_table()
    assert list(table.columns) == [
        "frequency_per_um",
        "correlation",
        "half_bit",
        "fixed",
        "n_independent",
        "correlation_z",
        "correlation_y",
        "correlation_x",
    ]
    assert table["correlation"].to_numpy() == pytest.approx(found.correlation)
    assert (table["fixed"] == 1 / 7).all()


def test_grids_must_agree():
    one, _ = halves_of((20, 20, 20), 8.0, 1.0)
    other, _ = halves_of((20, 20, 21), 8.0, 1.0)
    with pytest.raises(ConfigError, match="grid"):
        resolution(one, other)


def test_half_bit_threshold_as_published():
    # van Heel & Schatz 2005: 1 for a single coefficient, 0.1716 for very many.
    assert half_bit_threshold(np.array([1.0, 1e12])) == pytest.approx(
        [1.0, 0.2071 / 1.2071], rel=1e-4
    )


@pytest.mark.parametrize("n", [1, 2, 3, 8, 31, 64])
def test_the_taper_is_that_of_scipy(n: int) -> None:
    from scipy.signal.windows import tukey

    expected = tukey(n + 1, spectra.TAPER)[:-1] if n > 1 else [1.0]
    np.testing.assert_allclose(spectra.tukey(n), expected, atol=1e-6)


def test_blur_along_one_axis_is_told_from_the_others() -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    grid = Grid((48, 48, 48), (5.0, 5.0, 5.0))
    scene = gaussian_filter(rng.random((48, 48, 48)) ** 8, (3.0, 0.5, 0.5))
    halves = [
        VesselMap.from_dense("half", rng.poisson(60 * scene).astype(np.float32), grid)
        for _ in range(2)
    ]
    found = resolution(*halves)
    z, y, x = found.axes_um
    assert z > 1.5 * max(y, x)
    assert min(y, x) <= found.resolution_um <= z
    table = found.to_table()
    low = slice(0, 3)
    assert table["correlation_z"][low].mean() > 0.3
    assert {"correlation_z", "correlation_y", "correlation_x"} <= set(table.columns)


def test_along_an_axis_of_one_voxel_nothing_is_said() -> None:
    rng = np.random.default_rng(0)
    grid = Grid((40, 1, 40), (5.0, 5.0, 5.0))
    scene = rng.random((40, 1, 40)) ** 4
    halves = [
        VesselMap.from_dense("half", rng.poisson(90 * scene).astype(np.float32), grid)
        for _ in range(2)
    ]
    z, y, x = resolution(*halves).axes_um
    assert np.isnan(y)
    assert np.isfinite([z, x]).all()
