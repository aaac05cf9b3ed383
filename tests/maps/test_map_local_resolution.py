"""The resolution from place to place: where it is fine, where it is coarse, where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.maps import local_resolution, resolution
from napari_ulm3d.volumes import VesselMap

VOXEL_UM = 10.0


def halves_of(shape, sigmas_um, seed=0):
    """Signal that both share, blurred by another Gaussian in each half of x, and noise of each."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    white = rng.normal(size=shape)
    middle = shape[2] // 2
    parts = []
    for sigma in sigmas_um:
        blurred = gaussian_filter(white, sigma / VOXEL_UM)
        parts.append(blurred / blurred.std())
    signal = np.concatenate([parts[0][..., :middle], parts[1][..., middle:]], axis=2)
    grid = Grid(shape, (VOXEL_UM,) * 3, (5.0, 6.0, 7.0))
    return tuple(
        VesselMap.from_dense(name, 100 + signal + 0.3 * rng.normal(size=shape), grid)
        for name in "ab"
    )


def test_a_window_is_what_the_whole_measure_finds_in_it() -> None:
    halves = halves_of((32, 32, 32), (10.0, 10.0))
    found = local_resolution(*halves, window_voxels=32)
    assert found.shape == (1, 1, 1)
    assert found.values[0] == pytest.approx(resolution(*halves, tile_voxels=32).resolution_um)
    # In the middle of the map.
    assert found.grid.origin_um == pytest.approx((5 + 155, 6 + 155, 7 + 155))


@pytest.mark.parametrize("shape", [(32, 40, 128), (1, 96, 256)])
def test_fine_and_coarse_places_are_told_apart(shape) -> None:
    found = local_resolution(*halves_of(shape, (9.0, 25.0)), window_voxels=32)
    assert found.unit == "um"
    line = found.dense()
    assert (line > 0).mean() > 0.9
    where = found.grid.origin_um[2] + found.grid.spacing_um[2] * np.arange(found.shape[2])
    middle = 7 + VOXEL_UM * shape[2] / 2
    fine = line[..., where < middle - 160]
    coarse = line[..., where > middle + 160]
    assert fine.size
    assert coarse.size
    whole = [resolution(*halves_of(shape, (s, s))).resolution_um for s in (9.0, 25.0)]
    assert np.median(fine) == pytest.approx(whole[0], rel=0.2)
    assert np.median(coarse) == pytest.approx(whole[1], rel=0.2)
    assert fine.max() < coarse[coarse > 0].min()


def test_noise_has_no_resolution_anywhere() -> None:
    rng = np.random.default_rng(3)
    grid = Grid((48, 48, 96), (VOXEL_UM,) * 3)
    noise = [VesselMap.from_dense(n, rng.poisson(0.2, grid.shape), grid) for n in "ab"]
    found = local_resolution(*noise, window_voxels=24)
    assert found.index.size < 0.2 * found.grid.size


def test_empty_places_stay_empty() -> None:
    rng = np.random.default_rng(4)
    data = np.zeros((24, 24, 96), np.float32)
    data[..., :24] = rng.poisson(1.0, (24, 24, 24))
    same = VesselMap.from_dense("a", data, Grid(data.shape, (VOXEL_UM,) * 3))
    found = local_resolution(same, same, window_voxels=24).dense()[0, 0]
    assert found[0] == 2 * VOXEL_UM  # limited by the voxel
    assert not found[2:].any()


def test_what_cannot_be_measured_is_refused() -> None:
    one, other = (
        VesselMap.from_dense("a", np.ones((16, 16, 16)), Grid((16, 16, 16), (spacing,) * 3))
        for spacing in (10.0, 20.0)
    )
    with pytest.raises(ConfigError, match="share one grid"):
        local_resolution(one, other)
    with pytest.raises(ConfigError, match="8 voxels"):
        local_resolution(one, one, window_voxels=4)
