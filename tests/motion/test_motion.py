"""Tissue motion: recovered from scatterers that are displaced before imaging."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import fourier_shift

from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.config import MotionConfig, PipelineConfig
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.motion import BlockMotion, estimate_motion, gains, moved_back, offset_um
from napari_ulm3d.pipeline import BlockFinished, run, run_events
from napari_ulm3d.tables import Localizations

SHAPE, SPACING = (24, 20, 18), (100.0, 150.0, 150.0)
RATE = 260.0
RIGID = MotionConfig(method="rigid")
GRID = Grid(SHAPE, SPACING)


def breathing(n: int, rms_um: float = 50.0) -> np.ndarray:
    """Breathing at 1.5 Hz with its first overtone and a drift, (n, 3), from the first frame."""
    time = np.arange(n) / RATE
    wave = np.sin(2 * np.pi * 1.5 * time + 0.3) + 0.3 * np.sin(6 * np.pi * time)
    path = wave[:, None] * [0.8, 0.5, 0.3] + time[:, None] * [0.3, -0.2, 0.1]
    path -= path.mean(axis=0)
    path *= rms_um / np.sqrt((path**2).sum(axis=1).mean())
    return path - path[0]


def speckle(path_um: np.ndarray, seed: int = 0, noise: float = 0.05) -> np.ndarray:
    """Frames of displaced scatterers, each with a Gaussian image and a carrier."""
    rng = np.random.default_rng(seed)
    size = np.array(SHAPE) * SPACING
    place = rng.uniform(-0.15, 1.15, (600, 3)) * size
    weight = rng.normal(size=len(place))
    axes = [np.arange(n) * step for n, step in zip(SHAPE, SPACING, strict=True)]
    out = np.empty((len(path_um), *SHAPE), np.complex64)
    for k, moved in enumerate(path_um):
        lines = [
            np.exp(-0.5 * ((axis - at[:, None]) / width) ** 2)
            for axis, at, width in zip(axes, (place + moved).T, (70.0, 130.0, 130.0), strict=True)
        ]
        along = lines[0] * np.exp(4j * np.pi * (axes[0] - (place + moved)[:, :1]) / 100.0)
        flat = (lines[1][:, :, None] * lines[2][:, None, :]).reshape(len(place), -1)
        out[k] = ((along * weight[:, None]).T @ flat).reshape(SHAPE)
    scale = np.sqrt((np.abs(out[0]) ** 2).mean())
    shape = (*out.shape, 2)
    return (out / scale + noise * (rng.normal(size=shape) @ [1, 1j])).astype(np.complex64)


@pytest.fixture(scope="module")
def breath() -> tuple[np.ndarray, np.ndarray]:
    path = breathing(130)
    return speckle(path), path


def residual_um(motion: BlockMotion, path: np.ndarray, use: np.ndarray | None = None) -> float:
    use = ~motion.broken if use is None else use
    error = (motion.displacement_um - path)[use]
    return float(np.sqrt(((error - error.mean(axis=0)) ** 2).sum(axis=1).mean()))


def test_breathing_and_drift_are_found_to_a_few_micrometres(breath) -> None:
    frames, path = breath
    before = frames.copy()
    motion = estimate_motion(frames, SPACING, RATE, RIGID)
    np.testing.assert_array_equal(frames, before)
    assert residual_um(motion, path) < 5.0
    assert not motion.broken.any()
    assert motion.correlation.mean() > motion.before.mean() + 0.1
    assert gains([motion], [np.zeros(3)], SPACING)


def test_frames_shifted_in_fourier_space_are_found(breath) -> None:
    frame = np.abs(breath[0][0])
    shifts = np.array([[0, 0, 0], [0.4, -0.3, 0.2], [1.3, 0.7, -0.9], [-0.6, 0, 0.35]])
    for shift in shifts:
        moved = np.fft.ifftn(fourier_shift(np.fft.fftn(frame), shift)).real.astype(np.float32)
        found, correlation = offset_um(frame, moved, SPACING)
        np.testing.assert_allclose(found / SPACING, shift, atol=0.06)
        assert correlation > 0.95


def test_a_plane_moves_in_its_plane_alone(breath) -> None:
    frames, path = breath
    flat = np.ascontiguousarray(frames[:60, :, 10:11])
    motion = estimate_motion(flat, SPACING, RATE, RIGID)
    assert (motion.displacement_um[:, 1] == 0).all()
    error = (motion.displacement_um - path[:60])[:, [0, 2]]
    assert np.abs(error - error.mean(axis=0)).max() < 25


def test_jerks_in_a_tenth_of_the_frames_are_found_to_the_frame() -> None:
    path, jerk = breathing(240), np.zeros(240, bool)
    for start, stop, far in ((40, 52, 220.0), (150, 162, -260.0)):
        inside = np.arange(start, stop)
        bump = np.sin(np.pi * (inside - start + 0.5) / (stop - start))
        path[inside] += far * bump[:, None] * [0.8, 0.4, 0.4]
        jerk[inside] = True
    motion = estimate_motion(speckle(path, seed=3), SPACING, RATE, RIGID)
    hits = (motion.broken & jerk).sum()
    assert hits / motion.broken.sum() > 0.95
    assert hits / jerk.sum() > 0.95
    assert residual_um(motion, path, ~jerk) < 5.0


def test_frames_that_do_not_resemble_the_others_are_left_out(breath) -> None:
    frames = breath[0].copy()
    frames[60:66] = speckle(np.zeros((6, 3)), seed=99)
    motion = estimate_motion(frames, SPACING, RATE, RIGID)
    assert motion.broken[60:66].all()
    assert motion.broken.sum() <= 8


def test_noise_alone_gains_nothing() -> None:
    rng = np.random.default_rng(0)
    frames = (rng.normal(size=(40, *SHAPE, 2)) @ [1, 1j]).astype(np.complex64)
    assert not gains([estimate_motion(frames, SPACING, RATE, RIGID)], [np.zeros(3)], SPACING)


def test_the_offset_between_blocks_is_found(breath) -> None:
    frames, _ = breath
    first = estimate_motion(frames[:20], SPACING, RATE, RIGID)
    far = np.array([40.0, -60.0, 30.0])
    moved = speckle(np.broadcast_to(far, (20, 3)))
    second = estimate_motion(moved, SPACING, RATE, RIGID)
    found, correlation = offset_um(first.image, second.image, SPACING)
    np.testing.assert_allclose(found, far, atol=8)
    assert correlation > 0.9


def test_localizations_are_moved_and_those_of_broken_frames_left_out() -> None:
    motion = BlockMotion(
        np.arange(12.0).reshape(4, 3), np.ones(4), np.ones(4), np.array([0, 0, 1, 0], bool)
    )
    frame = np.array([10, 11, 12, 13])
    found = Localizations.from_arrays(frame, np.full((4, 3), 100.0), np.ones(4), np.ones(4), RATE)
    moved = moved_back(found, motion, 10, RATE, RIGID, GRID)
    assert moved.frames.tolist() == [10, 11, 13]
    np.testing.assert_array_equal(moved.positions_um, 100 - motion.displacement_um[[0, 1, 3]])
    kept = moved_back(found, motion, 10, RATE, RIGID.replace(leave_out=False), GRID)
    assert len(kept) == 4


def bubbles_in_tissue(path: np.ndarray) -> tuple[Acquisition, np.ndarray]:
    """Bubbles that move on straight lines through tissue that carries them along."""
    rng = np.random.default_rng(5)
    n, frames = len(path), 8.0 * speckle(path, noise=0.01)
    start = rng.uniform(0.2, 0.8, (6, 3)) * np.array(SHAPE) * SPACING
    pace = rng.normal(0, 4.0, (6, 3))
    axes = [np.arange(m) * step for m, step in zip(SHAPE, SPACING, strict=True)]
    for k in range(n):
        place = start + pace * (k % 60) + path[k]
        lines = [
            np.exp(-0.5 * ((axis - at[:, None]) / width) ** 2)
            for axis, at, width in zip(axes, place.T, (70.0, 130.0, 130.0), strict=True)
        ]
        along = lines[0] * np.exp(4j * np.pi * (axes[0] - place[:, :1]) / 100.0)
        frames[k] += np.einsum("nz,ny,nx->zyx", along, lines[1], lines[2])
    return Acquisition.from_array(frames, SPACING, RATE, wavelength_um=100.0), start


CONFIG = [
    "load.frames_per_block=60",
    "calibrate.blocks=2",
    "link.min_length_frames=5",
    "maps.fsc=false",
]


@pytest.mark.slow
def test_a_run_moves_localizations_and_keeps_the_curve(tmp_path: Path) -> None:
    acquisition, _ = bubbles_in_tissue(breathing(120, 80.0))
    config = PipelineConfig().with_settings([*CONFIG, "motion.method=auto"])
    out = tmp_path / "moved"
    result = run(acquisition, config, out)
    assert result.motion is not None
    written = pd.read_csv(out / "motion.csv")
    pd.testing.assert_frame_equal(written, result.motion, check_exact=False)
    assert written["frame"].tolist() == list(range(120))
    assert result.report.motion_rms_um == pytest.approx(80, abs=8)
    again = run(acquisition, config, out, resume=True)
    assert again.localizations.table.equals(result.localizations.table)
    pd.testing.assert_frame_equal(again.motion, result.motion)


@pytest.mark.slow
def test_workers_and_a_resumed_run_move_as_one_process_does(tmp_path: Path) -> None:
    path = breathing(120, 60.0)
    path[70:78] += 200 * np.sin(np.pi * (np.arange(8) + 0.5) / 8)[:, None] * [0.8, 0.4, 0.4]
    acquisition, _ = bubbles_in_tissue(path)
    frames = acquisition.read(0, 120)
    np.save(tmp_path / "IQ1.npy", frames[:60])
    np.save(tmp_path / "IQ2.npy", frames[60:])
    config = PipelineConfig().with_settings(
        [*CONFIG, "load.frames_per_block=30", "motion.method=auto", "motion.across=break"]
    )
    load = config.load.replace(axes="tzyx", voxel_um=SPACING, rate_hz=RATE, wavelength_um=100.0)
    files = [tmp_path / "IQ1.npy", tmp_path / "IQ2.npy"]
    acquisition = open_acquisition(files, load)
    alone, many, resumed = (tmp_path / name for name in ("alone", "many", "resumed"))
    run(acquisition, config, alone)
    run(acquisition, config, many, execution=Execution(workers=2))
    for event in run_events(acquisition, config, resumed):
        if isinstance(event, BlockFinished) and event.index == 1:
            break
    assert not ResultsFolder.open(resumed).complete
    reused = [
        event.reused
        for event in run_events(acquisition, config, resumed, resume=True)
        if isinstance(event, BlockFinished)
    ]
    assert reused[0]
    assert not reused[-1]
    moved = pd.read_csv(alone / "motion.csv")
    assert moved["broken"][70:78].all()
    assert not moved["broken"][:60].any()
    for name in ("localizations.parquet", "tracks.parquet", "motion.csv"):
        whole = (alone / name).read_bytes()
        assert (many / name).read_bytes() == whole
        assert (resumed / name).read_bytes() == whole


@pytest.mark.slow
def test_acquisitions_of_one_animal_opened_together_share_one_frame(tmp_path: Path) -> None:
    far = np.array([60.0, -80.0, 50.0])  # the probe was set down again
    load = PipelineConfig().load.replace(
        axes="tzyx", voxel_um=SPACING, rate_hz=RATE, wavelength_um=100.0
    )
    for day, offset in enumerate((np.zeros(3), far), start=1):
        acquisition, _ = bubbles_in_tissue(np.broadcast_to(offset, (40, 3)))
        np.save(tmp_path / f"day{day}.npy", acquisition.read(0, 40))
    files = [tmp_path / "day1.npy", tmp_path / "day2.npy"]
    settings = ["motion.method=auto", "link.breaks=files", "link.min_length_frames=5"]
    config = PipelineConfig().with_settings([*settings, "maps.fsc=false"])
    result = run(open_acquisition(files, load), config)
    assert result.motion is not None
    path = result.motion[["z_um", "y_um", "x_um"]].to_numpy()
    np.testing.assert_allclose(path[40:].mean(axis=0) - path[:40].mean(axis=0), far, atol=8)
    # The same bubbles on both days: their mean positions agree after the correction.
    table = result.localizations.table
    columns = ["z_um", "y_um", "x_um"]
    days = [table[table["frame"] // 40 == day][columns].mean().to_numpy() for day in (0, 1)]
    np.testing.assert_allclose(days[0], days[1], atol=20)


@pytest.mark.slow
def test_a_still_acquisition_is_left_as_it_is_to_the_bit() -> None:
    acquisition, _ = bubbles_in_tissue(np.zeros((120, 3)))
    results = [
        run(acquisition, PipelineConfig().with_settings([*CONFIG, f"motion.method={method}"]))
        for method in ("none", "auto")
    ]
    assert results[1].motion is None
    assert len(results[0].localizations)
    assert results[0].localizations.table.equals(results[1].localizations.table)
    assert results[0].tracks.table.equals(results[1].tracks.table)
