"""Crowds: distances and speeds as drawn, streams that meet, reproducibility."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate import RandomizationConfig, randomize, simulate
from napari_ulm3d.simulate.config import CrowdConfig, GridConfig, SimulationConfig
from napari_ulm3d.simulate.crowds import crowd_bubbles
from napari_ulm3d.simulate.randomization import WorldShares
from napari_ulm3d.simulate.standard import TEST_SEEDS

BASE = SimulationConfig(grid=GridConfig(shape=(32, 28, 28)), n_frames=40)
ALL_CROWDS = RandomizationConfig(
    base=BASE, worlds=WorldShares(vessels=0, crowds=1), n_bubbles=(10, 160)
)


def crowded(seed: int = 1, **crowd) -> SimulationConfig:
    travel = BASE.travel.replace(max_speed_mm_s=40.0)
    return BASE.replace(crowd=CrowdConfig(**crowd), seed=seed, travel=travel)


def nearest_wavelengths(config: SimulationConfig, every: int = 20) -> np.ndarray:
    found = [np.zeros(0)]
    for seen in list(crowd_bubbles(config))[::every]:
        places = seen.position_um[config.grid.grid.contains(seen.position_um)]
        if len(places) > 1:
            found.append(cKDTree(places).query(places, 2)[0][:, 1] / config.wavelength_um)
    return np.concatenate(found)


@pytest.mark.parametrize("paired", [0.0, 1.0])
@pytest.mark.parametrize("apart", [0.6, 1.5, 3.0])
def test_bubbles_have_the_requested_distances(apart, paired):
    crowd = {"nearest_wavelengths": (apart, apart), "paired_share": paired, "streams": 4}
    seen = [nearest_wavelengths(crowded(seed, **crowd)) for seed in range(8)]
    # Crossing streams come closer than bubbles within each one, and tubes are sparser at the ends.
    assert np.median(np.concatenate(seen)) == pytest.approx(apart, rel=0.35)


def test_distances_and_speeds_of_crowds_are_log_uniform():
    near, speed = [], []
    for seed in range(60):
        config = randomize(seed, ALL_CROWDS)
        assert 100 <= config.rate_hz <= 1000
        near.append(nearest_wavelengths(config))
        truth = simulate(config).truth
        speed.append(np.linalg.norm(truth[["vz_mm_s", "vy_mm_s", "vx_mm_s"]], axis=1))
    shares = np.histogram(np.concatenate(near), [0.2, 0.5, 1.2, 3.0, 8.0])[0]
    assert (shares / shares.sum() > 0.1).all()
    speeds = np.concatenate(speed)
    assert speeds.max() <= 40.0
    decades = np.histogram(speeds, [0.1, 0.45, 2.0, 9.0, 40.0])[0]
    assert (decades / decades.sum() > 0.1).all()


def test_positions_follow_the_velocities():
    config = crowded(3, speed_mm_s=(5.0, 20.0), streams=6)
    frames = list(crowd_bubbles(config.replace(rate_hz=5000.0)))
    for a, b in pairwise(frames):
        stay = a.bubble_id == b.bubble_id
        assert stay.mean() > 0.9
        moved = (b.position_um - a.position_um)[stay] * 5.0  # um per frame to mm/s
        meant = 0.5 * (a.velocity_mm_s + b.velocity_mm_s)[stay]
        np.testing.assert_allclose(moved, meant, atol=0.05)


def test_a_restarted_bubble_has_a_new_number_and_is_out_of_view():
    config = crowded(5, speed_mm_s=(30.0, 40.0), streams=6).replace(n_frames=200)
    seen: dict[int, int] = {}
    inside = {k: set() for k in range(config.n_frames)}
    for bubbles in crowd_bubbles(config):
        assert len(set(bubbles.bubble_id.tolist())) == len(bubbles)
        view = config.grid.grid.contains(bubbles.position_um)
        inside[bubbles.frame] = set(bubbles.bubble_id[view].tolist())
        for k in bubbles.bubble_id.tolist():
            seen.setdefault(k, bubbles.frame)
    born = [k for k, frame in seen.items() if frame > 0]
    assert born
    assert not any(k in inside[seen[k]] for k in born)


def test_bubbles_of_a_plane_stay_in_it():
    flat = BASE.replace(grid=GridConfig(shape=(40, 1, 60), voxel_um=(98.56, 400.0, 98.56)))
    config = flat.replace(crowd=CrowdConfig(nearest_wavelengths=(2.0, 2.0)))
    frames = list(crowd_bubbles(config))
    assert sum(len(f) for f in frames) > 0
    for seen in frames:
        assert np.isfinite(seen.position_um).all()
        assert np.abs(seen.velocity_mm_s[:, 1]).max(initial=0.0) < 1e-9
        assert np.abs(seen.position_um[:, 1]).max(initial=0.0) <= 200.0


def test_the_same_seed_gives_the_same_crowd_and_images():
    config = crowded(7)
    one, two = simulate(config), simulate(config)
    assert one.truth.equals(two.truth)
    assert not one.truth.equals(simulate(crowded(8)).truth)
    a, b = (s.acquisition.read(0, 2) for s in (one, two))
    np.testing.assert_array_equal(a, b)
    assert SimulationConfig.from_dict(config.to_dict()) == config


def test_the_shares_of_the_worlds_do_not_change_the_vessels():
    half = ALL_CROWDS.replace(worlds=ALL_CROWDS.worlds.replace(vessels=1.0, crowds=1.0))
    none = ALL_CROWDS.replace(worlds=ALL_CROWDS.worlds.replace(vessels=1.0, crowds=0.0))
    made = [randomize(seed, half) for seed in range(100)]
    crowds = [scene.crowd is not None for scene in made]
    assert 30 < sum(crowds) < 70
    for seed, scene in enumerate(made):
        if scene.crowd is None:
            assert scene == randomize(seed, none)


def test_test_seeds_make_no_crowds_and_scenes_without_a_crowd_say_so():
    with pytest.raises(ConfigError, match="test sets"):
        randomize(TEST_SEEDS.start, ALL_CROWDS)
    with pytest.raises(ConfigError, match="no crowd"):
        crowd_bubbles(BASE)
    with pytest.raises(ConfigError, match="ascend"):
        CrowdConfig.from_dict({"speed_mm_s": (3.0, 1.0)})
    with pytest.raises(ConfigError, match="share above 0"):
        RandomizationConfig.from_dict({"worlds": {"vessels": 0.0}})
