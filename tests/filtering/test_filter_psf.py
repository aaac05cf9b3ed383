"""The PSF: analytic, carrier, separability, and estimation from simulated bubbles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, maximum_filter

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PsfConfig, SparsifyConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.filtering import (
    Psf,
    analytic_psf,
    axial_phase_step,
    correlation_map,
    estimate_carrier,
    estimate_psf,
    make_psf,
    patch_of,
)
from napari_ulm3d.filtering._correlation_kernels import maxima_above

GRID = Grid((24, 20, 22), (60.0, 100.0, 100.0))


def bubbles(rng, grid, n_frames, per_frame, fwhm, carrier, noise=0.05, real=False):
    """Frames with widely separated Gaussian bubbles at sub-voxel positions, with their carrier."""
    frames = np.zeros((n_frames, *grid), complex)
    zz, yy, xx = np.mgrid[tuple(slice(0, n) for n in grid)]
    width = 4 * np.log(2) / np.square(fwhm)
    for frame in frames:
        placed = []
        while len(placed) < per_frame:
            place = np.array([rng.uniform(4, n - 5) if n > 1 else 0.0 for n in grid])
            if all(np.abs(place - other).max() > 7.5 for other in placed):
                placed.append(place)
        for z, y, x in placed:
            magnitude = np.exp(
                -width[0] * (zz - z) ** 2 - width[1] * (yy - y) ** 2 - width[2] * (xx - x) ** 2
            )
            phase = 0 if real else carrier * (zz - z) + rng.uniform(0, 6.28)
            frame += rng.uniform(0.6, 1.4) * magnitude * np.exp(1j * phase)
    if real:
        frames = frames.real + noise * rng.standard_normal(frames.shape)
        return frames.astype(np.float32)
    white = rng.standard_normal(frames.shape) + 1j * rng.standard_normal(frames.shape)
    return (frames + noise / np.sqrt(2) * white).astype(np.complex64)


def test_analytic_has_the_requested_widths():
    psf = analytic_psf(PsfConfig(fwhm_voxels=(4, 2, 6), patch_voxels=(7, 5, 9)), GRID, None)
    assert psf.shape == (7, 5, 9)
    assert psf.array[3, 2, 4] == 1
    # Half the maximum at half the width.
    assert abs(psf.array[5, 2, 4]) == pytest.approx(0.5, rel=1e-6)
    assert abs(psf.array[3, 3, 4]) == pytest.approx(0.5, rel=1e-6)
    assert abs(psf.array[3, 2, 7]) == pytest.approx(0.5, rel=1e-6)
    assert psf.carrier_rad == 0


@given(wavelength=st.floats(30, 500), spacing=st.floats(10, 300))
@settings(deadline=None)
def test_carrier_grows_with_depth_as_the_two_way_path(wavelength, spacing):
    grid = Grid((9, 9, 9), (spacing, 50.0, 50.0))
    psf = analytic_psf(PsfConfig(), grid, wavelength)
    depth = spacing * np.arange(-3, 4)
    expected = np.exp(4j * np.pi * depth / wavelength)
    column = psf.array[:, 3, 3]
    np.testing.assert_allclose(column / np.abs(column), expected, atol=1e-4)
    assert -np.pi - 1e-9 < psf.carrier_rad <= np.pi + 1e-9
    np.testing.assert_array_equal(
        analytic_psf(PsfConfig(), grid, wavelength, "envelope").array.imag, 0
    )


def test_carrier_vanishes_on_grids_of_the_wavelength():
    for spacing in (50.0, 100.0, 200.0):
        assert axial_phase_step(spacing, 100.0) == 0
    assert axial_phase_step(25.0, 100.0) == pytest.approx(np.pi)
    assert axial_phase_step(10.0, 100.0) == pytest.approx(0.4 * np.pi)


def test_2d_patch_is_one_voxel_thick():
    grid = Grid((30, 1, 30), (50.0, 100.0, 100.0))
    assert analytic_psf(PsfConfig(), grid, 100.0).shape == (7, 1, 7)


def test_carrier_settings():
    config = PsfConfig(carrier="wavelength")
    with pytest.raises(ConfigError, match=r"psf\.carrier=wavelength.*load\.wavelength_um"):
        analytic_psf(config, GRID, None)
    assert analytic_psf(config, GRID, 150.0).carrier_rad == pytest.approx(-0.4 * np.pi)
    assert analytic_psf(PsfConfig(carrier="none"), GRID, 150.0).carrier_rad == 0
    assert analytic_psf(PsfConfig(), GRID, 150.0, carrier_rad=7.0).carrier_rad == pytest.approx(
        7 - 2 * np.pi
    )


@pytest.mark.parametrize("carrier", [-2.6, -0.4, 0.0, 1.2, 3.0])
def test_carrier_is_measured(carrier):
    frames = bubbles(np.random.default_rng(1), (24, 20, 22), 4, 4, (3, 3, 3), carrier, noise=0.2)
    error = np.angle(np.exp(1j * (estimate_carrier(frames) - carrier)))
    assert abs(error) < 0.1


def test_patch_grows_with_the_psf():
    assert patch_of((1.2, 2.0, 3.0)) == (3, 5, 7)
    assert patch_of((0.8, 9.0, 2.6)) == (3, 11, 7)
    grid = Grid((30, 30, 30), (50.0, 50.0, 50.0))
    assert analytic_psf(PsfConfig(fwhm_voxels=(2.0, 3.0, 4.0)), grid).shape == (5, 7, 9)


def test_the_patch_of_a_measured_psf_fits_its_widths():
    frames = bubbles(np.random.default_rng(2), (24, 20, 22), 40, 3, (2.0, 2.1, 4.0), 1.0)
    psf = estimate_psf(frames, PsfConfig(source="data"))
    assert psf.shape == (5, 5, 9)
    assert psf.fwhm_voxels == pytest.approx((2.0, 2.1, 4.0), rel=0.05)


def test_no_carrier_in_noise_or_real_frames():
    rng = np.random.default_rng(0)
    white = (rng.standard_normal((5, 9, 9, 9)) + 1j * rng.standard_normal((5, 9, 9, 9))).astype(
        np.complex64
    )
    assert estimate_carrier(white) == 0
    assert estimate_carrier(white.real) == 0
    assert estimate_carrier(white[:, :1]) == 0
    assert estimate_carrier(np.zeros_like(white)) == 0


@pytest.mark.parametrize(
    ("grid", "fwhm", "carrier", "real"),
    [
        ((24, 20, 22), (3.0, 3.0, 3.0), 0.0, False),
        ((24, 20, 22), (3.5, 2.8, 4.0), 2.0, False),
        ((40, 1, 44), (3.0, 3.0, 4.0), -2.9, False),
        ((24, 20, 22), (3.0, 3.5, 3.0), 0.0, True),
    ],
)
def test_estimate_finds_the_shape(grid, fwhm, carrier, real):
    frames = bubbles(np.random.default_rng(2), grid, 40, 3, fwhm, carrier, real=real)
    config = PsfConfig(source="data", patch_voxels=(7, 7, 7))
    psf = estimate_psf(frames, config)
    truth = analytic_psf(
        config.replace(fwhm_voxels=fwhm),
        Grid(grid, (50.0, 50.0, 50.0)),
        None,
        "envelope" if real else "iq",
        carrier_rad=carrier,
    )
    assert psf.shape == truth.shape
    overlap = abs(np.vdot(psf.array, truth.array)) / np.sqrt(psf.energy * truth.energy)
    assert overlap > 0.998
    for axis in range(3):
        if grid[axis] > 1:
            assert psf.fwhm_voxels[axis] == pytest.approx(fwhm[axis], rel=0.05)
    made = make_psf(config, frames, Grid(grid, (50.0,) * 3), None, "envelope" if real else "iq")
    assert made.factors is not None
    # It detects bubbles as well as the true PSF does.
    best = np.abs(correlation_map(frames[:3], truth)).reshape(3, -1).max(axis=1)
    own = np.abs(correlation_map(frames[:3], made)).reshape(3, -1).max(axis=1)
    assert (own > best - 0.03).all()


@pytest.mark.parametrize("fwhm", [(2.5, 3.0, 4.5), (3.0, 9.0, 2.5)])
def test_estimated_widths_are_not_blurred_by_the_grid(fwhm):
    """Averaging without shifting bubbles to the voxel centre would widen 2.5 voxels by 4 %."""
    frames = bubbles(np.random.default_rng(7), (24, 26, 22), 40, 2, fwhm, 1.0, noise=0.005)
    psf = estimate_psf(frames, PsfConfig(source="data"))
    np.testing.assert_allclose(psf.fwhm_voxels, fwhm, rtol=0.015)


def test_estimate_finds_a_non_gaussian_shape():
    """Bubbles on voxel centres with a skewed, non-separable image: the shape is recovered."""
    rng = np.random.default_rng(3)
    zz, yy, xx = np.mgrid[-3:4, -3:4, -3:4]
    image = np.exp(-((zz + 0.3 * xx) ** 2 + yy**2 + xx**2) / 3) * np.exp(0.2j * xx * zz)
    frames = np.zeros((60, 24, 24, 24), complex)
    for frame in frames:
        for z in (6, 17):
            y, x = rng.integers(5, 18, 2)
            patch = (slice(z - 3, z + 4), slice(y - 3, y + 4), slice(x - 3, x + 4))
            frame[patch] += np.exp(1j * rng.uniform(0, 6)) * image
    frames += 0.01 * (rng.standard_normal(frames.shape) + 1j * rng.standard_normal(frames.shape))
    config = PsfConfig(source="data", patch_voxels=(5, 5, 5))
    psf = estimate_psf(frames.astype(np.complex64), config)
    inner = image[1:-1, 1:-1, 1:-1]
    overlap = abs(np.vdot(psf.array, inner)) / np.sqrt(psf.energy) / np.linalg.norm(inner)
    assert overlap > 0.99
    assert psf.separable()[1] > 0.05


def test_a_smaller_patch_where_bubbles_are_alone_in_no_large_one():
    """In a volume of two widths, a patch of one width to either side fits in one place."""
    frames = bubbles(np.random.default_rng(7), (13, 13, 13), 200, 1, (3, 3, 3), 0.0)[
        :, :, 3:10, 3:10
    ]
    given = PsfConfig(source="data", fwhm_voxels=(3, 3, 3), patch_voxels=(7, 7, 7))
    with pytest.raises(InputError, match="needs 30 isolated bubbles"):
        estimate_psf(frames, given)
    psf = estimate_psf(frames, given.replace(patch_voxels=None))
    assert psf.n_bubbles >= 30
    assert max(psf.array.shape) < 7
    assert "too few are isolated in a larger one" in psf.source
    np.testing.assert_allclose(psf.fwhm_voxels, 3, rtol=0.1)


def test_too_few_bubbles_are_refused():
    frames = bubbles(np.random.default_rng(4), (24, 20, 22), 3, 2, (3, 3, 3), 0.0)
    with pytest.raises(InputError, match=r"needs 30 isolated bubbles.*psf\.source=analytic"):
        estimate_psf(frames, PsfConfig(source="data"))
    with pytest.raises(InputError, match="only 0"):
        estimate_psf(frames[:, :5], PsfConfig(source="data"))
    noise = np.random.default_rng(0).standard_normal((5, 20, 20, 20)).astype(np.float32)
    with pytest.raises(InputError, match="only 0"):
        estimate_psf(noise, PsfConfig(source="data"))


@pytest.mark.parametrize("carrier", ["data", "wavelength"])
def test_make_psf_uses_the_selected_carrier(carrier):
    frames = bubbles(np.random.default_rng(5), GRID.shape, 4, 3, (3, 3, 3), 1.0)
    psf = make_psf(PsfConfig(carrier=carrier), frames, GRID, 150.0, "iq")
    assert psf.carrier_rad == pytest.approx(1.0 if carrier == "data" else -0.4 * np.pi, abs=0.05)


def test_separable_is_exact_for_an_outer_product():
    psf = analytic_psf(PsfConfig(), GRID, 150.0)
    plain = Psf(psf.array, psf.fwhm_voxels)
    close, error = plain.separable()
    assert error < 1e-3  # float32
    np.testing.assert_allclose(close.array, psf.array, atol=1e-5)
    assert psf.separable()[0] is psf


def test_separable_error_is_the_lost_correlation():
    rng = np.random.default_rng(6)
    array = rng.standard_normal((3, 5, 3)) + 1j * rng.standard_normal((3, 5, 3))
    array /= array[1, 2, 1]
    psf = Psf(array, (3, 3, 3))
    close, error = psf.separable()
    a, b = psf.array.ravel().astype(complex), close.array.ravel().astype(complex)
    gain = np.vdot(b, a) / np.vdot(b, b)
    assert error == pytest.approx(np.linalg.norm(a - gain * b) / np.linalg.norm(a), rel=1e-4)
    assert 0 < error < 1


def test_psf_and_settings_are_checked():
    with pytest.raises(ValueError, match="odd"):
        Psf(np.ones((4, 3, 3), np.complex64), (3, 3, 3))
    with pytest.raises(ValueError, match="centre"):
        Psf(np.full((3, 3, 3), 2, np.complex64), (3, 3, 3))
    ones = np.ones(3, np.complex64)
    with pytest.raises(ValueError, match="outer product"):
        Psf(np.ones((3, 3, 3)) + np.eye(3)[:, ::-1] * [1, 0, 1], (3, 3, 3), factors=(ones,) * 3)
    with pytest.raises(ConfigError, match="must be odd"):
        PsfConfig().replace(patch_voxels=(6, 7, 7))
    with pytest.raises(ConfigError, match="must be odd"):
        SparsifyConfig().replace(patch_voxels=(6, 7, 7))


def test_the_carrier_uses_only_voxels_with_data() -> None:
    rng = np.random.default_rng(2)
    frames = rng.normal(size=(6, 20, 8, 8, 2)) @ [1, 1j]
    carrier = np.exp(0.7j * np.arange(20))[:, None, None]
    valid = np.zeros((20, 8, 8), np.bool_)
    valid[:, 2:5] = True
    wave = (frames[:, :1] * carrier).astype(np.complex64)
    # Outside: filtered constants, strong and with a different carrier.
    seen = np.where(valid, wave, 50 * wave.conj())
    assert estimate_carrier(seen, valid) == pytest.approx(0.7, abs=1e-3)
    assert estimate_carrier(seen, valid) == pytest.approx(estimate_carrier(wave[:, :, 2:5]))
    assert estimate_carrier(seen) < 0


@pytest.mark.parametrize("shape", [(12, 11, 13), (24, 1, 30)], ids=["volume", "plane"])
@pytest.mark.parametrize("real", [False, True], ids=["IQ", "envelope"])
def test_local_maxima_are_those_of_scipy(shape, real) -> None:
    rng = np.random.default_rng(3)
    frame = rng.normal(size=(*shape, 2)) @ [1, 1j]
    image = np.abs(gaussian_filter(frame.real, 1) if real else frame).astype(np.float32)
    image[:3] = np.round(image[:3], 1)  # plateaus
    height = np.empty_like(image)
    for least in (0.0, float(np.median(image))):
        maxima_above(image, least, height)
        peaks = (maximum_filter(image, size=3, mode="constant") == image) & (image > least)
        np.testing.assert_array_equal(height, np.where(peaks, image, 0))
        assert 0 < peaks.sum() < image.size / 4
