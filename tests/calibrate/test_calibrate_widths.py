"""The PSF's widths and carrier, measured at any sampling."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.calibrate.noise import noise_by_depth
from napari_ulm3d.calibrate.widths import autocorrelation_widths, measure_widths

FWHM = np.sqrt(8 * np.log(2))


def bubbles(
    shape: tuple[int, int, int],
    width: tuple[float, float, float],
    count: int,
    n_frames: int,
    *,
    carrier: float = 0.0,
    noise: float = 10 ** (-18 / 20),
    seed: int = 0,
) -> NDArray[np.complex64]:
    """Gaussians at places drawn evenly, with random phases, in white noise."""
    rng = np.random.default_rng(seed)
    frames = np.empty((n_frames, *shape), np.complex64)
    for frame in frames:
        place = rng.uniform(-0.5, np.array(shape) - 0.5, (count, 3))
        strength = np.exp(rng.normal(0, 0.3, count) + 2j * np.pi * rng.random(count))
        profiles = []
        for axis, n in enumerate(shape):
            offset = np.arange(n) - place[:, axis, None]
            profile = (
                np.exp(-0.5 * (offset / (width[axis] / FWHM)) ** 2) if n > 1 else offset * 0 + 1
            )
            profiles.append(profile * np.exp(1j * carrier * offset) if axis == 0 else profile)
        z, y, x = profiles
        frame[...] = np.einsum("n,nz,ny,nx->zyx", strength, z, y, x, optimize=True)
        parts = rng.standard_normal((2, *shape)) * noise / np.sqrt(2)
        frame += parts[0] + 1j * parts[1]
    return frames


@pytest.mark.parametrize("carrier", [0.0, 2.5])
@pytest.mark.parametrize("width", [0.8, 1.0, 1.3, 1.7, 2.0, 2.6, 3.5, 5.0, 8.0, 13.0, 20.0])
def test_widths_of_a_plane_at_any_sampling(width: float, carrier: float) -> None:
    side = int(max(32, 6 * width))
    count = int(np.clip(side**2 / (16 * max(width, 1) ** 2), 4, 60))
    frames = bubbles((side, 1, side), (width, 1, 1.2 * width), count, 40, carrier=carrier)
    found = measure_widths(frames, Grid((side, 1, side), (10, 10, 10)), level=10 ** (-18 / 20))
    assert found is not None
    assert found.fwhm_voxels[0] == pytest.approx(width, rel=0.12)
    assert found.fwhm_voxels[1] == 1
    assert found.fwhm_voxels[2] == pytest.approx(1.2 * width, rel=0.12)
    assert abs(np.angle(np.exp(1j * (found.carrier_rad - carrier)))) < 0.1


@pytest.mark.parametrize(
    "width", [(0.8, 1.0, 1.2), (1.5, 2.0, 2.0), (2.0, 3.0, 3.0), (10.0, 4.0, 3.0), (4.2, 9.4, 9.1)]
)
def test_widths_of_a_volume(width: tuple[float, float, float]) -> None:
    count = 8 if max(width) > 1.5 else 80
    frames = bubbles((32, 30, 28), width, count, 24, noise=10 ** (-20 / 20))
    found = measure_widths(frames, Grid((32, 30, 28), (10, 20, 20)), level=10 ** (-20 / 20))
    assert found is not None
    assert found.fwhm_voxels == pytest.approx(width, rel=0.15)


def test_a_thicker_sampling_of_the_same_data_gives_the_same_micrometres() -> None:
    fine = bubbles((90, 1, 90), (9.0, 1, 9.0), 5, 40)
    widths = []
    for step in (1, 2, 3):
        frames = np.ascontiguousarray(fine[:, ::step, :, ::step])
        found = measure_widths(frames, Grid(frames.shape[1:], (step, 1, step)), level=0.126)
        assert found is not None
        widths.append(found.fwhm_voxels[2] * step)
    assert widths == pytest.approx([9.0] * 3, rel=0.1)


def test_noise_alone_has_no_width() -> None:
    frames = bubbles((30, 20, 20), (2, 2, 2), 0, 20)
    assert autocorrelation_widths(frames, None, 0.126) is None
    assert measure_widths(frames, Grid((30, 20, 20), (1, 1, 1)), level=0.126) is None


@pytest.mark.parametrize("error", [-0.002, -0.0005, 0.0, 0.0002, 0.0005, 0.002])
def test_lag_0_is_not_asked_where_it_is_all_noise(error: float) -> None:
    """A level wrong by a fraction of a per cent gave widths of up to the whole volume."""
    noise = 0.2
    frames = bubbles((36, 30, 26), (2.5, 2.5, 2.5), 1, 60, noise=noise, seed=2)
    found = autocorrelation_widths(frames, None, noise * (1 + error))
    assert found == pytest.approx((2.5, 2.5, 2.5), rel=0.15)


def test_noise_by_depth_on_valid_voxels_alone() -> None:
    rng = np.random.default_rng(3)
    level = np.linspace(1, 3, 40)
    parts = rng.standard_normal((2, 30, 40, 16, 16)) / np.sqrt(2)
    frames = ((parts[0] + 1j * parts[1]) * level[:, None, None]).astype(np.complex64)
    valid = np.zeros((40, 16, 16), bool)
    valid[5:, 6:9, 6:9] = True
    frames[:, ~valid] = 0
    found = noise_by_depth(frames, valid)
    assert found[6:-3] == pytest.approx(level[6:-3], rel=0.08)
    assert found[0] == pytest.approx(level[5], rel=0.15), "the nearest depth that holds data"
    assert noise_by_depth(frames, np.zeros_like(valid)).max() == 0
