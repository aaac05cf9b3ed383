"""Simulated frames compared with the definition of the model, evaluated with plain numpy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from napari_ulm3d.simulate import Simulation, SimulationConfig
from napari_ulm3d.simulate.config import (
    ClutterModelConfig,
    GridConfig,
    MicrobubbleConfig,
    MotionConfig,
    NoiseConfig,
    PsfModelConfig,
)
from napari_ulm3d.simulate.flow.bubbles import BubbleFrame
from napari_ulm3d.simulate.imaging.render import Renderer
from napari_ulm3d.simulate.vasculature import VesselNetwork

TUBE = VesselNetwork(
    nodes_um=np.array([[0.0, 500.0, 500.0], [2000.0, 500.0, 500.0]]),
    segments=np.array([[0, 1]]),
    radius_um=np.array([20.0]),
    flow_nl_min=np.array([100.0]),
)
PLAIN = SimulationConfig(
    grid=GridConfig(shape=(20, 12, 14), voxel_um=(60.0, 90.0, 80.0), origin_um=(10.0, -20.0, 30.0)),
    wavelength_um=100.0,
    rate_hz=500.0,
    n_frames=30,
    psf=PsfModelConfig(fwhm_um=(150.0, 200.0, 220.0), widening_per_mm=0.1, side_lobe_db=None),
    noise=NoiseConfig(snr_db=None),
    clutter=ClutterModelConfig(level_db=None),
    bubbles=MicrobubbleConfig(n_bubbles=2, amplitude_sd_db=0.0, drift_sd_db=0.0),
)


def with_bubbles(config: SimulationConfig, *positions_um: tuple[float, float, float]) -> Simulation:
    """A simulation of stationary bubbles."""
    position = np.array(positions_um, float).reshape(-1, 3)
    n = len(position)

    def stream() -> Iterator[BubbleFrame]:
        for frame in range(config.n_frames):
            yield BubbleFrame(
                frame, np.arange(n), position, np.ones((n, 3)), np.full(n, 5.0)
            )  # fmt: skip

    return Simulation(config, TUBE, stream)


def test_a_bubble_is_a_gaussian_with_the_two_way_phase() -> None:
    bubble = np.array([507.0, 431.0, 555.0])
    frame = with_bubbles(PLAIN, tuple(bubble)).acquisition.read(3, 4)[0]
    grid = PLAIN.grid.grid
    z, y, x = np.meshgrid(*(o + s * np.arange(n) for n, s, o in zip(
        grid.shape, grid.spacing_um, grid.origin_um, strict=True)), indexing="ij")  # fmt: skip
    top = 10.0 - 30.0
    wide = 1 + 0.1 * (507.0 - top) / 1000
    w = (150.0, 200.0 * wide, 220.0 * wide)
    exponent = ((z - 507) / w[0]) ** 2 + ((y - 431) / w[1]) ** 2 + ((x - 555) / w[2]) ** 2
    expected = np.exp(-4 * np.log(2) * exponent) * np.exp(4j * np.pi * (z - 507.0) / 100.0)
    np.testing.assert_allclose(frame, expected, atol=1.5e-3)  # truncated at -60 dB


def test_two_bubbles_interfere_by_their_depths() -> None:
    one = (500.0, 431.0, 555.0)
    quarter = (525.0, 431.0, 555.0)  # a quarter wave deeper: half a wave there and back
    both = with_bubbles(PLAIN, one, quarter).acquisition.read(0, 1)[0]
    alone = [with_bubbles(PLAIN, p).acquisition.read(0, 1)[0] for p in (one, quarter)]
    np.testing.assert_allclose(both, alone[0] + alone[1], atol=1e-6)
    assert np.abs(both).max() < 0.4 * np.abs(alone[0]).max()


def test_side_lobes_have_their_position_and_level() -> None:
    psf = PsfModelConfig(
        fwhm_um=(150.0, 160.0, 160.0), widening_per_mm=0.0, side_lobe_db=-20.0, side_lobe_offset=2.0
    )
    grid = GridConfig(shape=(9, 9, 17), voxel_um=(50.0, 80.0, 80.0))
    config = PLAIN.replace(psf=psf, grid=grid)
    frame = with_bubbles(config, (200.0, 320.0, 640.0)).acquisition.read(0, 1)[0]
    row = np.abs(frame[4, 4])
    assert row[8] == pytest.approx(1.0, abs=1e-3)
    assert 20 * np.log10(row[[4, 12]]) == pytest.approx([-20.0, -20.0], abs=0.05)
    assert np.abs(frame[4, 0, 8]) == pytest.approx(0.1, rel=0.01)


def test_bubbles_out_of_view_are_visible_at_the_border_but_not_in_the_truth() -> None:
    simulation = with_bubbles(PLAIN, (-40.0, 400.0, 500.0), (400.0, 400.0, 500.0))
    assert set(simulation.truth["bubble_id"]) == {1}
    lone = with_bubbles(PLAIN, (-40.0, 400.0, 500.0)).acquisition.read(0, 1)
    assert np.abs(lone[0, 0]).max() > 0.3


def test_noise_has_the_configured_level_and_is_white_and_circular() -> None:
    config = PLAIN.replace(noise=NoiseConfig(snr_db=14.0))
    frames = with_bubbles(config).acquisition.read(0, 30).astype(np.complex128)
    power = np.mean(np.abs(frames) ** 2)
    assert -10 * np.log10(power) == pytest.approx(14.0, abs=0.1)
    assert abs(np.mean(frames**2)) < 0.02 * power
    for axis in range(4):
        shifted = np.roll(frames, 1, axis)
        assert abs(np.mean(frames * shifted.conj())) < 0.02 * power


def test_grain_correlates_the_noise_sideways_and_keeps_its_level() -> None:
    config = PLAIN.replace(noise=NoiseConfig(snr_db=14.0, grain_um=240.0))
    frames = with_bubbles(config).acquisition.read(0, 30).astype(np.complex128)
    power = np.mean(np.abs(frames) ** 2)
    assert -10 * np.log10(power) == pytest.approx(14.0, abs=0.2)
    for axis, spacing in ((2, 90.0), (3, 80.0)):
        beside = np.mean(frames * np.roll(frames, 1, axis).conj()).real / power
        assert beside == pytest.approx(np.exp(-4 * np.log(2) * (spacing / 240) ** 2), abs=0.05)
    assert abs(np.mean(frames * np.roll(frames, 1, 1).conj())) < 0.03 * power


def test_truth_snr_is_that_of_the_bubble() -> None:
    config = PLAIN.replace(
        noise=NoiseConfig(snr_db=12.0),
        bubbles=MicrobubbleConfig(amplitude_sd_db=3.0, drift_sd_db=1.0),
        n_frames=3,
    )
    grid = PLAIN.grid.grid
    centre = tuple(grid.to_um((10, 6, 7)))
    noisy = with_bubbles(config, centre)
    clean = with_bubbles(config.replace(noise=NoiseConfig(snr_db=None)), centre)
    peaks = np.abs(clean.acquisition.read(0, 3)[:, 10, 6, 7])
    rms = 10 ** (-12 / 20)
    np.testing.assert_allclose(noisy.truth["snr_db"], 20 * np.log10(peaks / rms), atol=1e-3)
    assert np.isinf(clean.truth["snr_db"]).all()


def test_frames_do_not_depend_on_blocks_or_threads() -> None:
    config = PLAIN.replace(noise=NoiseConfig(), clutter=ClutterModelConfig(), n_frames=23)
    simulation = Simulation(config, TUBE)
    whole = simulation.acquisition.read(0, 23)
    for size in (1, 7, 23):
        blocks = [frames for frames, _ in simulation.blocks(size)]
        np.testing.assert_array_equal(np.concatenate(blocks), whole)
    scene = list(simulation.scene())
    np.testing.assert_array_equal(Renderer(config, workers=1).render(scene), whole)
    np.testing.assert_array_equal(Renderer(config, workers=5).render(scene), whole)


def test_reading_in_any_order_gives_the_same_frames() -> None:
    source = Simulation(PLAIN.replace(noise=NoiseConfig()), TUBE).acquisition.sources[0]
    whole = source.read(0, 30)
    for start, stop in ((20, 25), (3, 9), (9, 12), (0, 1), (29, 30)):
        np.testing.assert_array_equal(source.read(start, stop), whole[start:stop])
    with pytest.raises(IndexError):
        source.read(29, 31)


def test_truth_of_blocks_is_the_whole_truth() -> None:
    simulation = Simulation(PLAIN, TUBE)
    parts = [truth for _, truth in simulation.blocks(8)]
    assert sum(len(part) for part in parts) == len(simulation.truth)
    for column in simulation.truth:
        joined = np.concatenate([part[column] for part in parts])
        np.testing.assert_array_equal(joined, simulation.truth[column])
    assert simulation.truth["frame"].max() == 29
    speed = np.linalg.norm(simulation.truth[["vz_mm_s", "vy_mm_s", "vx_mm_s"]], axis=1)
    assert speed.max() <= 2 * TUBE.mean_speed_mm_s[0] + 1e-3


def test_another_seed_gives_other_noise_and_other_tissue() -> None:
    config = PLAIN.replace(noise=NoiseConfig(), clutter=ClutterModelConfig(), n_frames=2)
    first = with_bubbles(config).acquisition.read(0, 2)
    second = with_bubbles(config.replace(seed=1)).acquisition.read(0, 2)
    again = with_bubbles(config).acquisition.read(0, 2)
    np.testing.assert_array_equal(first, again)
    assert abs(np.vdot(first, second)) < 0.5 * np.vdot(first, first).real


def test_rigid_motion_moves_truth_and_image_together() -> None:
    config = PLAIN.replace(motion=MotionConfig(drift_um_s=(2000.0, 0.0, 1500.0)))
    simulation = with_bubbles(config, (400.0, 431.0, 470.0))
    truth = simulation.truth
    np.testing.assert_allclose(truth["z_um"], 400 + 2000 * truth["frame"] / 500, atol=1e-9)
    np.testing.assert_allclose(truth["x_um"], 470 + 1500 * truth["frame"] / 500, atol=1e-9)
    frames = np.abs(simulation.acquisition.read(0, 30)) ** 2
    x = config.grid.origin_um[2] + 80.0 * np.arange(14)
    centre = (frames.sum(axis=(1, 2)) * x).sum(axis=1) / frames.sum(axis=(1, 2, 3))
    assert centre[20] - centre[0] == pytest.approx(60.0, rel=0.05)


def test_rigid_motion_has_the_configured_rms() -> None:
    config = PLAIN.replace(motion=MotionConfig(rms_um=(10.0, 5.0, 0.0), rate_hz=2.0))
    moved = Simulation(config, TUBE).motion.displacement_um(np.arange(20000) / 100)
    np.testing.assert_allclose(moved.std(axis=0), (10.0, 5.0, 0.0), rtol=0.05)
    np.testing.assert_array_equal(moved[0], 0.0)


def test_a_plane_is_a_volume_of_one_voxel_across() -> None:
    grid = GridConfig(shape=(20, 1, 14), voxel_um=(60.0, 400.0, 80.0))
    config = PLAIN.replace(grid=grid, clutter=ClutterModelConfig(), noise=NoiseConfig())
    simulation = with_bubbles(config, (500.0, 0.0, 500.0), (500.0, 120.0, 900.0))
    assert simulation.acquisition.read(0, 2).shape == (2, 20, 1, 14)
    bare = with_bubbles(PLAIN.replace(grid=grid), (500.0, 100.0, 500.0)).acquisition.read(0, 1)
    wide = 200 * (1 + 0.1 * 530 / 1000)
    assert np.abs(bare).max() == pytest.approx(np.exp(-4 * np.log(2) * (100 / wide) ** 2), rel=0.1)
