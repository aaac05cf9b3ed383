"""Gain and noise over depth, and voxels without data, as they are defined."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.simulate import SimulationConfig, simulate
from napari_ulm3d.simulate.conditions import ConditionsConfig, under_condition
from napari_ulm3d.simulate.config import CrowdConfig, GridConfig, MotionConfig
from napari_ulm3d.simulate.imaging.motion import RigidMotion
from napari_ulm3d.simulate.randomization import RandomizationConfig, randomize

CONFIG = SimulationConfig(
    grid=GridConfig(shape=(24, 20, 22), origin_um=(3000.0, -900.0, -1000.0)),
    crowd=CrowdConfig(streams=12),  # quicker than to grow vessels
    n_frames=8,
    seed=5,
)
DEPTH_MM = 0.09856 * (np.arange(24) - 11.5)  # from half depth


def frames_of(config: SimulationConfig) -> np.ndarray:
    return simulate(config).acquisition.read(0, config.n_frames)


@pytest.mark.parametrize("model", ["regions", "strain"])
def test_gain_multiplies_everything(model: str) -> None:
    plain = CONFIG.replace(clutter=CONFIG.clutter.replace(model=model))
    louder = plain.replace(view={"gain_db_per_mm": 4.0})
    factor = 10 ** (4.0 * DEPTH_MM / 20)
    np.testing.assert_allclose(
        frames_of(louder), frames_of(plain) * factor[:, None, None], rtol=1e-5
    )
    assert simulate(louder).truth.equals(simulate(plain).truth)


def test_noise_grows_and_the_truth_has_its_local_ratio() -> None:
    alone = CONFIG.replace(
        clutter=CONFIG.clutter.replace(level_db=None),
        bubbles=CONFIG.bubbles.replace(n_bubbles=0),
        noise={"snr_db": 15.0, "growth_db_per_mm": 5.0},
        n_frames=60,
    )
    power = np.mean(np.abs(frames_of(alone)) ** 2, axis=(0, 2, 3))
    np.testing.assert_allclose(10 * np.log10(power), -15 + 5 * DEPTH_MM, atol=0.3)
    some = alone.replace(bubbles={"n_bubbles": 30}, n_frames=8)
    even = simulate(some.replace(noise={"snr_db": 15.0})).truth
    uneven = simulate(some).truth
    deep_mm = (even["z_um"] - 3000.0) / 1000 - 0.09856 * 11.5
    np.testing.assert_allclose(uneven["snr_db"], even["snr_db"] - 5 * deep_mm, atol=1e-4)


def test_voxels_outside_the_field_of_view_are_zero_and_their_bubbles_no_truth() -> None:
    plain = CONFIG.replace(bubbles=CONFIG.bubbles.replace(n_bubbles=200))
    masked = plain.replace(view={"radius": (0.4, 0.9)})
    whole, seen = frames_of(plain), frames_of(masked)
    z, y, x = np.meshgrid(*(np.arange(n) for n in (24, 20, 22)), indexing="ij")
    inside = np.hypot((y - 9.5) / 10, (x - 10.5) / 11) <= 0.4 + 0.5 * z / 23
    assert 0.2 < inside.mean() < 0.6
    assert (seen[:, ~inside] == 0).all()
    np.testing.assert_array_equal(seen[:, inside], whole[:, inside])
    truth, every = simulate(masked).truth, simulate(plain).truth
    place = every[["z_um", "y_um", "x_um"]].to_numpy() - np.array(plain.grid.origin_um)
    voxel = np.rint(place / plain.grid.voxel_um).astype(int)
    voxel = np.clip(voxel, 0, np.array(plain.grid.shape) - 1)
    expected = every[inside[tuple(voxel.T)]].reset_index(drop=True)
    assert 0 < len(expected) < len(every)
    assert truth.equals(expected)


def test_a_plane_is_masked_as_a_sector() -> None:
    config = CONFIG.replace(
        grid=GridConfig(shape=(20, 1, 40)), n_frames=1, view={"radius": (0.2, 1.0)}
    )
    widths = (frames_of(config)[0, :, 0] != 0).sum(axis=1)
    assert widths[0] == 8  # a fifth of 40
    assert widths[-1] == 40
    assert (np.diff(widths) >= 0).all()


def test_conditions_leave_all_other_draws_of_a_seed_alone() -> None:
    """Each with its own generator: switching one on does not change another scene or setting."""
    shares = {"strain": "clutter", "uneven": "view noise", "masked": "view", "jumps": "motion"}
    every = RandomizationConfig(
        conditions=ConditionsConfig(strain_share=1, uneven_share=1, masked_share=1, jumps_share=1)
    )
    for seed in range(20, 40):
        plain = randomize(seed).to_dict()
        whole = randomize(seed, every).to_dict()
        for name, changed in shares.items():
            one = ConditionsConfig(**{f"{name}_share": 1.0})
            made = randomize(seed, RandomizationConfig(conditions=one)).to_dict()
            differing = {key for key in plain if made[key] != plain[key]}
            assert differing == set(changed.split())
            for key in differing - {"view"}:
                assert made[key] == whole[key]
        assert whole["view"]["gain_db_per_mm"] != 0
        assert whole["view"]["radius"] != "none"


def test_shares_are_met_and_settings_survive_a_file(tmp_path) -> None:
    ranges = RandomizationConfig(
        conditions=ConditionsConfig(strain_share=0.5, uneven_share=0.3, masked_share=0.2)
    )
    made = [randomize(seed, ranges) for seed in range(300)]
    assert np.mean([one.clutter.model == "strain" for one in made]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([one.view.gain_db_per_mm != 0 for one in made]) == pytest.approx(0.3, abs=0.1)
    assert np.mean([one.view.radius is not None for one in made]) == pytest.approx(0.2, abs=0.1)
    for one in made[:20]:
        assert SimulationConfig.from_dict(one.to_dict()) == one
    strained = under_condition(CONFIG, "strain")
    assert strained.clutter.breathing_um == pytest.approx(0.1 * CONFIG.wavelength_um)
    assert under_condition(CONFIG, "masked").view.radius is not None


def test_jumps_are_a_poisson_process_of_normal_steps() -> None:
    config = MotionConfig(jumps_hz=2.0, jump_um=(10.0, 0.0, 5.0))
    time = np.arange(0, 200, 0.005)
    moved = RigidMotion(config, seed=4).displacement_um(time)
    assert (moved[0] == 0).all()
    assert (moved[:, 1] == 0).all()
    starts = np.flatnonzero(np.diff(np.diff(moved[:, 0]) != 0, prepend=False, append=False))
    assert len(starts) / 2 == pytest.approx(400, rel=0.15)
    # Independent steps: the variance of what is passed in a second is the rate times their square.
    passed = np.diff(moved[::200], axis=0)
    assert passed.std(axis=0) == pytest.approx(np.sqrt(2.0) * np.array([10, 0, 5]), rel=0.15)
    # What a frame shows does not depend on which other frames are asked for.
    np.testing.assert_array_equal(
        RigidMotion(config, seed=4).displacement_um(time[7000]), moved[7000:7001]
    )


def test_ranges_must_ascend() -> None:
    with pytest.raises(ValueError, match="ascending"):
        ConditionsConfig(breathing=(0.2, 0.1))
