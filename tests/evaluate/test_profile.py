"""Profiles along a line and their full width at half maximum, for shapes of known width."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import find_peaks, peak_widths

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate import (
    full_width_at_half_maximum,
    line_profile,
    plane,
    tracks_in_peak,
)
from napari_ulm3d.evaluate.profile import Profile
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

GRID = Grid((60, 7, 80), (10.0, 20.0, 8.0), (100.0, -40.0, 50.0))


def vessel(
    angle_deg: float, fwhm_um: float, centre_um: tuple[float, float] = (400, 370)
) -> VesselMap:
    """A straight vessel with a Gaussian profile in every plane y, at an angle to the z axis."""
    z = GRID.to_um(np.stack([np.arange(60), np.zeros(60), np.zeros(60)], -1))[:, 0]
    x = GRID.to_um(np.stack([np.zeros(80), np.zeros(80), np.arange(80)], -1))[:, 2]
    turn = np.deg2rad(angle_deg)
    away = (x[None] - centre_um[1]) * np.cos(turn) - (z[:, None] - centre_um[0]) * np.sin(turn)
    sigma = fwhm_um / np.sqrt(8 * np.log(2))
    image = 10 * np.exp(-0.5 * (away / sigma) ** 2)
    volume = np.repeat(image[:, None, :], 7, axis=1).astype(np.float32)
    return VesselMap.from_dense("density", volume, GRID, "tracks")


@given(angle=st.floats(-60, 60), fwhm=st.floats(50, 120))
def test_a_gaussian_vessel_has_its_width_at_any_angle(angle: float, fwhm: float) -> None:
    turn = np.deg2rad(angle)
    across = 200 * np.array([-np.sin(turn), np.cos(turn)])
    middle = np.array([400.0, 370.0])
    profile = line_profile(plane(vessel(angle, fwhm), 1, 0.0), middle - across, middle + across)
    found = full_width_at_half_maximum(profile)
    # Linear interpolation adds the variance of a triangle one voxel wide: a sixth of a voxel².
    widest = np.sqrt(fwhm**2 + 8 * np.log(2) * 10.0**2 / 6)
    assert fwhm * 0.995 < found.fwhm_um < widest * 1.005
    assert found.peak_um == pytest.approx(200, abs=3)
    assert found.peak == pytest.approx(10, rel=0.03)
    assert profile.distance_um[-1] == pytest.approx(400)


def test_width_agrees_with_scipy() -> None:
    x = np.linspace(0, 500, 801)
    values = 3 * np.exp(-(((x - 150) / 20) ** 2)) + 5 * np.exp(-(((x - 320) / 35) ** 4))
    found = full_width_at_half_maximum(Profile(x, values))
    peaks, _ = find_peaks(values)
    highest = peaks[np.argmax(values[peaks])]
    prominence = (values[[highest]], np.array([0]), np.array([800]))
    width = peak_widths(values, [highest], 0.5, prominence)[0][0] * (x[1] - x[0])
    assert found.fwhm_um == pytest.approx(width, rel=1e-6)
    assert found.left_um < 320 < found.right_um


def test_background_and_valleys() -> None:
    x = np.linspace(0, 400, 401)
    bump = np.exp(-0.5 * ((x - 200) / 30) ** 2)
    fwhm = 30 * np.sqrt(8 * np.log(2))
    assert full_width_at_half_maximum(Profile(x, bump)).fwhm_um == pytest.approx(fwhm, abs=0.1)
    raised = Profile(x, 4 + bump)
    assert np.isnan(full_width_at_half_maximum(raised).fwhm_um)  # never at half of 5
    assert full_width_at_half_maximum(raised, None).fwhm_um == pytest.approx(fwhm, rel=0.01)
    upwards = full_width_at_half_maximum(Profile(x, -8 * bump))
    assert upwards.fwhm_um == pytest.approx(fwhm, abs=0.1)
    assert (upwards.peak, upwards.half) == (pytest.approx(-8), pytest.approx(-4))
    assert np.isnan(full_width_at_half_maximum(Profile(x, np.zeros(401))).fwhm_um)
    assert np.isnan(full_width_at_half_maximum(Profile(x[:220], bump[:220])).fwhm_um)  # cut off


def test_averaging_across_the_line_takes_the_noise_down() -> None:
    rng = np.random.default_rng(5)
    noisy = vessel(0, 80).dense() + rng.normal(0, 2, GRID.shape).astype(np.float32)
    image = plane(VesselMap.from_dense("density", noisy, GRID), 1, 0.0)
    ends = (400.0, 100.0), (400.0, 640.0)
    clean = line_profile(plane(vessel(0, 80), 1, 0.0), *ends).values
    narrow = line_profile(image, *ends).values - clean
    wide = line_profile(image, *ends, width_um=300.0).values - clean
    assert wide.std() < narrow.std() / 4


def test_the_width_is_a_mean_over_the_band() -> None:
    ramp = np.tile(np.arange(60, dtype=np.float32)[:, None, None], (1, 7, 80))
    image = plane(VesselMap.from_dense("density", ramp, GRID), 1, 0.0)
    for width in (0.0, 55.0, 200.0):  # the mean of a ramp over a band is its middle
        values = line_profile(image, (400.0, 200.0), (400.0, 400.0), width).values
        np.testing.assert_allclose(values, 30.0, rtol=1e-6)


def test_the_tracks_of_a_peak_are_those_between_its_half_heights() -> None:
    image = plane(vessel(0.0, 100.0), 1)
    start, stop = (400.0, 100.0), (400.0, 640.0)
    width = full_width_at_half_maximum(line_profile(image, start, stop))
    # Down z, at these distances from the vessel's axis along x, two of them at another depth y.
    away = np.array([-60.0, -45.0, -20.0, 0.0, 0.0, 45.0, 60.0])
    y = np.array([0.0, 0.0, 0.0, 0.0, 500.0, 0.0, 0.0])
    rows = [
        (k, frame, frame / 100, z, y[k], 370.0 + away[k], 1.0, 1.0, 0.0, 0.0, 1.0)
        for k in range(away.size)
        for frame, z in enumerate((300.0, 500.0))
    ]
    names = "track_id frame time_s z_um y_um x_um speed_mm_s vz_mm_s vy_mm_s vx_mm_s score"
    found = Tracks(pd.DataFrame(rows, columns=names.split()))
    assert tracks_in_peak(found, 1, start, stop, width, 10.0) == 5
    assert tracks_in_peak(found, 1, start, stop, width, 10.0, (-50.0, 50.0)) == 4


def test_a_plane_and_a_slab_are_what_the_viewer_shows() -> None:
    rng = np.random.default_rng(1)
    volume = np.where(rng.random(GRID.shape) < 0.1, rng.normal(size=GRID.shape), 0)
    signed = VesselMap.from_dense("velocity_z", volume.astype(np.float32), GRID, "mm/s", True)
    dense = signed.dense()
    one = plane(signed, 1, 1.0)
    np.testing.assert_array_equal(one.values, dense[:, 2])
    assert one.spacing_um == (10.0, 8.0)
    assert one.origin_um == (100.0, 50.0)
    slab = plane(signed, 1, 0.0, 40.0).values  # y = -20, 0, 20
    part = dense[:, 1:4]
    furthest = np.take_along_axis(part, np.abs(part).argmax(1)[:, None], 1)[:, 0]
    np.testing.assert_array_equal(slab, furthest)
    np.testing.assert_array_equal(plane(signed, 0).values, signed.projection(0))
    np.testing.assert_array_equal(plane(signed, 2, 50.0, 3.0).values, dense[:, :, 0])


def test_a_single_plane_stands_for_every_position() -> None:
    flat = Grid((30, 1, 30), (10.0, 500.0, 10.0))
    volume = np.zeros(flat.shape, np.float32)
    volume[:, 0, 14:16] = 1
    map_2d = VesselMap.from_dense("density", volume, flat)
    image = plane(map_2d, 1, 900.0)
    found = full_width_at_half_maximum(line_profile(image, (150.0, 0.0), (150.0, 290.0)))
    assert found.fwhm_um == pytest.approx(20.0)


def test_what_cannot_be_measured_is_said() -> None:
    image = plane(vessel(0, 80), 1)
    with pytest.raises(ConfigError, match="no length"):
        line_profile(image, (1, 1), (1, 1))
    with pytest.raises(ConfigError, match="width"):
        line_profile(image, (1, 1), (1, 9), -1.0)
    with pytest.raises(ConfigError, match="outside the map"):
        plane(vessel(0, 80), 1, 5000.0)
    with pytest.raises(ConfigError, match="not 3"):
        plane(vessel(0, 80), 3)


def test_the_table_names_its_units() -> None:
    table = line_profile(
        plane(vessel(0, 80), 1), (400, 300), (400, 440), name="speed", unit="mm/s"
    ).to_table()
    assert list(table.columns) == ["distance_um", "speed [mm/s]"]
