"""Smooth deformation of the tissue: recovered from scatterers that a field of another form displaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MotionConfig, PipelineConfig
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.motion import (
    BlockMotion,
    bends,
    deformation_between,
    estimate_motion,
    moved_back,
)
from napari_ulm3d.motion.deformation import (
    Deformation,
    Deformed,
    control_points,
    spline_weights,
)
from napari_ulm3d.pipeline import BlockFinished, run, run_events
from napari_ulm3d.tables import Localizations

SHAPE, SPACING = (24, 20, 20), (100.0, 150.0, 150.0)
SIZE = np.array(SHAPE) * SPACING
RATE = 65.0  # one estimate per frame
GRID = Grid(SHAPE, SPACING)
DEFORMABLE = MotionConfig(method="deformable")


def swelling(place: np.ndarray, amount_um: float) -> np.ndarray:
    """Displacement away from a point, which fades with the distance: no spline."""
    away = (place - SIZE * [0.4, 0.6, 0.4]) / (0.35 * SIZE.mean())
    return amount_um * away * np.exp(-0.5 * (away**2).sum(axis=1, keepdims=True))


def breath(n: int) -> np.ndarray:
    return np.sin(2 * np.pi * 1.5 * np.arange(n) / RATE + 0.4)


def speckle(amounts: np.ndarray, path: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Frames of scatterers that are displaced by `swelling` and a path."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-0.1, 1.1, (500, 3)) * SIZE
    weight = rng.normal(size=len(place))
    out = np.empty((len(amounts), *SHAPE), np.complex64)
    for k, amount in enumerate(amounts):
        at = place + swelling(place, amount) + (0.0 if path is None else path[k])
        out[k] = imaged(at, weight)
    scale = np.sqrt((np.abs(out[0]) ** 2).mean())
    return (out / scale + 0.05 * (rng.normal(size=(*out.shape, 2)) @ [1, 1j])).astype(np.complex64)


def imaged(place: np.ndarray, weight: np.ndarray) -> np.ndarray:
    axes = [np.arange(n) * step for n, step in zip(SHAPE, SPACING, strict=True)]
    lines = [
        np.exp(-0.5 * ((axis - at[:, None]) / width) ** 2)
        for axis, at, width in zip(axes, place.T, (80.0, 130.0, 130.0), strict=True)
    ]
    along = lines[0] * np.exp(4j * np.pi * (axes[0] - place[:, :1]) / 100.0) * weight[:, None]
    flat = (lines[1][:, :, None] * lines[2][:, None, :]).reshape(len(place), -1)
    return (along.T @ flat).reshape(SHAPE)


@pytest.fixture(scope="module")
def swollen() -> tuple[BlockMotion, np.ndarray]:
    """The motion found in tissue that swells, and the amounts."""
    amounts = 80.0 * breath(44)
    return estimate_motion(speckle(amounts), SPACING, RATE, DEFORMABLE), amounts


def residual_um(motion: BlockMotion, amounts: np.ndarray, *, bent: bool) -> float:
    """Rms distance of points of the tissue from their mean position, after correction."""
    inside = np.random.default_rng(1).uniform(0.1, 0.9, (150, 3)) * (SIZE - SPACING)
    n, m = len(amounts), len(inside)
    frame = np.repeat(np.arange(n), m)
    place = np.concatenate([inside + swelling(inside, amount) for amount in amounts])
    found = Localizations.from_arrays(frame, place, np.ones(n * m), np.ones(n * m), RATE)
    if not bent:
        motion = BlockMotion(
            motion.displacement_um, motion.correlation, motion.before, motion.broken
        )
    kept = moved_back(found, motion, 0, RATE, DEFORMABLE.replace(leave_out=False), GRID)
    at = kept.positions_um.reshape(n, m, 3)
    return float(np.sqrt(((at - at.mean(axis=0)) ** 2).sum(axis=2).mean()))


def test_swelling_tissue_is_brought_to_rest(swollen) -> None:
    motion, amounts = swollen
    rigid = residual_um(motion, amounts, bent=False)
    assert rigid > 20
    assert residual_um(motion, amounts, bent=True) < 0.4 * rigid
    assert bends([motion], SPACING)
    table = motion.to_table(0, RATE)
    assert table["deformation_um"].to_numpy() == pytest.approx(motion.deformed.deformation.rms_um())


def test_the_method_rigid_estimates_no_deformation() -> None:
    motion = estimate_motion(speckle(np.zeros(4)), SPACING, RATE, MotionConfig(method="rigid"))
    assert motion.deformed is None
    assert "deformation_um" not in motion.to_table(0, RATE)


@pytest.mark.parametrize("path_um", [0.0, 60.0])
def test_tissue_that_moves_as_a_whole_is_not_bent(path_um: float) -> None:
    path = path_um * breath(24)[:, None] * [0.8, 0.5, 0.3]
    motion = estimate_motion(speckle(np.zeros(24), path, seed=2), SPACING, RATE, DEFORMABLE)
    assert not bends([motion], SPACING)
    assert motion.deformed.deformation.rms_um().max() < 8


def test_noise_is_not_bent() -> None:
    rng = np.random.default_rng(0)
    frames = (rng.normal(size=(12, *SHAPE, 2)) @ [1, 1j]).astype(np.complex64)
    assert not bends([estimate_motion(frames, SPACING, RATE, DEFORMABLE)], SPACING)


def test_frames_that_are_left_out_do_not_bend_the_others(swollen) -> None:
    motion, amounts = swollen
    frames = speckle(amounts)
    frames[20:22] = speckle(np.zeros(2), seed=9)
    found = estimate_motion(frames, SPACING, RATE, DEFORMABLE)
    assert found.broken[20:22].all()
    apart = found.deformed.deformation.control_um - motion.deformed.deformation.control_um
    centre = apart[:, 1, 1, 1]
    assert np.abs(centre).max() < 15


def test_a_plane_bends_in_its_plane_alone() -> None:
    frames = speckle(80.0 * breath(16))[:, :, 10:11]
    motion = estimate_motion(frames, SPACING, RATE, DEFORMABLE)
    control = motion.deformed.deformation.control_um
    assert control.shape[1:] == (3, 1, 3, 3)
    assert (control[..., 1] == 0).all()
    assert np.abs(control[..., 0]).max() > 10


def test_the_deformation_between_two_blocks_is_found() -> None:
    first, second = (np.abs(speckle(np.array([a]))[0]) for a in (0.0, 70.0))
    control = deformation_between(first, second, np.zeros(3), SPACING)
    field = Deformation(SHAPE, control[None].astype(np.float32))
    inside = np.random.default_rng(1).uniform(0.15, 0.85, (200, 3)) * SIZE
    found = field.at(inside / SPACING, np.zeros(200, int))
    wanted = swelling(inside, 70.0)
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.5 * np.sqrt((wanted**2).mean())


@pytest.mark.parametrize("n_points", [1, 2, 3, 4])
def test_affine_fields_are_exact_and_weights_sum_to_one(n_points: int) -> None:
    index = np.linspace(-0.5, 29.5, 31)
    weights = spline_weights(index, 30, n_points)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights >= 0).all()
    if n_points > 1:  # control points of a line lie on it at even steps, while there is one span
        line = weights @ np.linspace(0, 1, n_points)
        np.testing.assert_allclose(line, (index + 0.5) / 30, atol=1e-12)
    np.testing.assert_array_equal(spline_weights(np.array([-9.0]), 30, n_points), weights[:1])


def test_long_axes_have_more_control_points() -> None:
    assert control_points((1, 7, 8)) == (1, 1, 2)
    assert control_points((20, 59, 400)) == (3, 3, 4)


def test_points_return_to_rest_and_lose_the_velocity_of_the_tissue() -> None:
    rng = np.random.default_rng(4)
    control = np.cumsum(rng.normal(0, 6, (5, 3, 3, 3, 3)), axis=0).astype(np.float32)
    field = Deformation(SHAPE, control)
    motion = BlockMotion(
        np.zeros((5, 3)), np.ones(5), np.ones(5), np.zeros(5, bool),
        deformed=Deformed(field, None, 0.9, 1.0, 0.1),
    )  # fmt: skip
    rest = np.array(GRID.origin_um) + rng.uniform(0.1, 0.9, (40, 3)) * (SIZE - SPACING)
    row = np.full(40, 2)
    index = GRID.to_index(rest)
    seen = rest + field.at(index, row)
    pace = (field.at(index, row + 1) - field.at(index, row - 1)) / 2 * RATE / 1000
    table = Localizations.from_arrays(10 + row, seen, np.ones(40), np.ones(40), RATE).table
    table[["vz_mm_s", "vy_mm_s", "vx_mm_s"]] = pace
    moved = moved_back(Localizations(table), motion, 10, RATE, DEFORMABLE, GRID)
    np.testing.assert_allclose(moved.positions_um, rest, atol=0.5)
    np.testing.assert_allclose(moved.table[["vz_mm_s", "vy_mm_s", "vx_mm_s"]], 0, atol=0.05)


@pytest.mark.long
@pytest.mark.slow
def test_a_run_chooses_the_deformation_and_is_the_same_with_workers_and_resumed(
    tmp_path: Path,
) -> None:
    amounts = 80.0 * breath(120)
    frames = 8.0 * speckle(amounts)
    rng = np.random.default_rng(5)
    start = rng.uniform(0.25, 0.75, (5, 3)) * SIZE
    for k, amount in enumerate(amounts):
        place = start + rng.normal(0, 1, 3) + 8.0 * (k % 40)
        frames[k] += imaged(place + swelling(place, amount), np.ones(len(place)))
    np.save(tmp_path / "IQ1.npy", frames[:60])
    np.save(tmp_path / "IQ2.npy", frames[60:])
    config = PipelineConfig().with_settings(
        ["motion.method=auto", "load.frames_per_block=60", "calibrate.blocks=2",
         "link.min_length_frames=5", "maps.fsc=false"]
    )  # fmt: skip
    load = config.load.replace(axes="tzyx", voxel_um=SPACING, rate_hz=RATE, wavelength_um=100.0)
    acquisition = open_acquisition([tmp_path / "IQ1.npy", tmp_path / "IQ2.npy"], load)
    alone, many, resumed = (tmp_path / name for name in ("alone", "many", "resumed"))
    result = run(acquisition, config, alone)
    assert result.motion is not None
    assert result.motion["deformation_um"].max() > 10
    run(acquisition, config, many, execution=Execution(workers=2))
    for event in run_events(acquisition, config, resumed):
        if isinstance(event, BlockFinished):
            break
    run(acquisition, config, resumed, resume=True)
    written = pd.read_csv(alone / "motion.csv")
    assert "deformation_um" in written
    for name in ("localizations.parquet", "motion.csv"):
        whole = (alone / name).read_bytes()
        assert (many / name).read_bytes() == whole
        assert (resumed / name).read_bytes() == whole


def test_an_acquisition_of_one_frame_has_no_motion() -> None:
    motion = estimate_motion(speckle(np.zeros(1)), SPACING, RATE, DEFORMABLE)
    assert np.abs(motion.displacement_um).max() == 0
