"""Data for networks on whole volumes: lumens, scenes without ultrasound, windows, a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.maps import accumulate
from napari_ulm3d.networks.volumes.completion import VolumePrediction
from napari_ulm3d.refinement.tensor import finer
from napari_ulm3d.simulate.vasculature import VesselNetwork
from napari_ulm3d.simulate.vasculature.lumen import lumen_voxels
from napari_ulm3d.sparse import Coordinates, SparseTensor
from napari_ulm3d.train.loop import new_state, train_step
from napari_ulm3d.train.registry import make_task
from napari_ulm3d.train.volumes.bank import scene_windows
from napari_ulm3d.train.volumes.config import (
    CompletionTrainConfig,
    SegmentationTrainConfig,
    SuperResolutionTrainConfig,
    VolumeDataConfig,
)
from napari_ulm3d.train.volumes.scenes import draw_flow_scene, turned, turning
from napari_ulm3d.train.volumes.windows import cropped, cut_window, varied, volume_windows

DATA = VolumeDataConfig(
    positions=(1500.0, 2000.0),
    field_um=(300.0, 320.0),
    window=16,
    windows_per_scene=2,
    acquired=(0.6, 1.0),
)


@pytest.fixture(scope="module")
def scene():
    return draw_flow_scene(5, DATA)


@pytest.mark.parametrize("seed", range(4))
def test_lumens_are_the_voxels_within_a_radius_of_an_axis(seed):
    rng = np.random.default_rng(seed)
    nodes, radius = rng.uniform(-20, 120, (6, 3)), rng.uniform(1, 25, 4)
    segments = np.array([[0, 1], [1, 2], [3, 4], [4, 5]])
    grid = Grid((9, 7, 11), (10.0, 12.0, 8.0), (3.0, -5.0, 2.0))
    network = VesselNetwork(nodes, segments, radius)
    index, owner = lumen_voxels(network, grid)
    centres = grid.to_um(np.stack(np.unravel_index(np.arange(grid.size), grid.shape), 1))
    # Reference: the nearest of many points along each axis, and the voxels that contain them.
    steps = np.linspace(0, 1, 4001)[:, None]
    depth = np.full(grid.size, -np.inf)
    for (a, b), r in zip(segments, radius, strict=True):
        points = nodes[a] + steps * (nodes[b] - nodes[a])
        distance = np.sqrt(((centres[:, None] - points[::20]) ** 2).sum(2)).min(1)
        crossed = np.rint(grid.to_index(points)).astype(int)
        crossed = crossed[((crossed >= 0) & (crossed < grid.shape)).all(1)]
        inside = distance <= r
        inside[np.ravel_multi_index(tuple(crossed.T), grid.shape)] = True
        depth = np.maximum(depth, np.where(inside, r - distance, -np.inf))
    true = np.isfinite(depth)
    found = np.zeros(grid.size, bool)
    found[index] = True
    # At the border, sampled points decide differently in a voxel or two.
    assert (found ^ true).sum() <= 0.01 * true.sum() + 2
    of_owner = radius[owner] - np.array(
        [
            np.sqrt(
                ((centres[i] - (nodes[segments[s, 0]] + steps * network.vector_um[s])) ** 2).sum(1)
            ).min()
            for i, s in zip(index, owner, strict=True)
        ]
    )
    both = true[index]
    np.testing.assert_allclose(of_owner[both], depth[index][both], atol=0.5)


def test_a_scene_is_the_same_for_the_same_seed(scene):
    again, other = draw_flow_scene(5, DATA), draw_flow_scene(6, DATA)
    assert again.tracks.table.equals(scene.tracks.table)
    assert not other.paths.table.equals(scene.paths.table)


def test_a_share_of_the_acquisition_holds_only_what_had_ended(scene):
    tracks, paths = scene.until(0.4)
    assert tracks.table["time_s"].max() <= 0.4 * scene.duration_s
    assert paths.table["time_s"].max() <= 0.4 * scene.duration_s
    assert 0 < tracks.n_tracks < scene.tracks.n_tracks
    lengths = tracks.table.groupby("track_id").size()
    whole = scene.tracks.table.groupby("track_id").size()
    assert (lengths == whole[lengths.index]).all()


def test_geometry_is_turned_with_its_velocities(scene):
    matrix = turning(np.random.default_rng(3), upright=False)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    moved = turned(scene.tracks, matrix)
    np.testing.assert_allclose(moved.positions_um, scene.tracks.positions_um @ matrix.T)
    speed = np.linalg.norm(moved.velocities_mm_s, axis=1)
    np.testing.assert_allclose(
        speed, np.linalg.norm(scene.tracks.velocities_mm_s, axis=1), rtol=1e-4, atol=1e-5
    )
    upright = turning(np.random.default_rng(3), upright=True)
    np.testing.assert_allclose(upright[0], [1, 0, 0], atol=1e-12)


def test_a_mirrored_scene_gives_the_mirrored_map_with_the_axial_speed_reversed(scene):
    side = 24
    grid = Grid((side,) * 3, (12.0,) * 3, (-(side - 1) * 6.0,) * 3)
    config = MapConfig(resolution_factor=1.0, fsc=False)
    maps = accumulate(scene.tracks, grid, config)
    mirrored = accumulate(turned(scene.tracks, np.diag([-1.0, 1.0, 1.0])), grid, config)
    for name, sign in (("density", 1), ("speed", 1), ("velocity_z", -1), ("direction", -1)):
        np.testing.assert_allclose(
            mirrored[name].dense(), sign * maps[name].dense()[::-1], atol=1e-5
        )


def test_windows_hold_maps_and_their_truth():
    windows = volume_windows(3, DATA.replace(flat_share=0.0), doublings=1)
    assert len(windows) == 2
    for window in windows:
        assert window.features.grid.shape == (16, 16, 16)
        assert window.fine.shape == (32, 32, 32)
        assert window.vessel.shape == window.kind.shape == (len(window.features),)
        assert (window.target[1:] > window.target[:-1]).all()
        assert not window.kind[~window.vessel].clip(0).any()
    again = volume_windows(3, DATA.replace(flat_share=0.0), doublings=1)
    assert all(
        np.array_equal(a.features.values, b.features.values)
        for a, b in zip(windows, again, strict=True)
    )


def test_a_slab_becomes_a_plane():
    for window in volume_windows(4, DATA.replace(flat_share=1.0)):
        assert window.features.grid.shape == (16, 1, 16)
        assert window.fine.shape == (16, 1, 16)


def test_true_paths_are_vessel_and_tracks_far_from_them_are_noise(scene):
    grid = Grid((30,) * 3, (10.0,) * 3, (-145.0,) * 3)
    window = cut_window(scene.network, scene.paths, scene.paths, grid)
    assert window.vessel.all()
    empty = type(scene.paths).empty()
    assert not cut_window(scene.network, scene.paths, empty, grid).vessel.any()


def test_where_bubbles_passed_is_vessel_in_the_full_acquisition(scene):
    """The truth must hold what a short acquisition shows, else completion would be punished."""
    from scipy.spatial import cKDTree

    paths = scene.paths.table
    fast = scene.paths.positions_um[paths["speed_mm_s"].to_numpy() > 0.8]
    network = scene.network
    steps = np.linspace(0, 1, 5)[:, None, None]
    points = network.nodes_um[network.segments[:, 0]] + steps * network.vector_um
    distance = cKDTree(points.reshape(-1, 3)).query(fast)[0]
    assert np.mean(distance <= 30) > 0.99


def test_mirrored_windows_keep_voxels_values_and_truth_together():
    window = next(w for w in volume_windows(3, DATA.replace(flat_share=0.0)) if len(w.features))
    fine = finer(window.grid, 0)

    def filled(w):
        volumes = np.zeros((4, *w.grid.shape))
        volumes[:, *w.features.index.T] = [
            w.features.values[:, 1], w.features.values[:, 4], w.vessel, w.kind + 2.0
        ]  # fmt: skip
        truth = np.zeros(w.fine.shape)
        truth.ravel()[w.target] = 1
        return volumes, truth

    ours, truth = filled(window)
    seen = set()
    for seed in range(12):
        other = varied(window, DATA.replace(speed_share=1.0), np.random.default_rng(seed))
        got, true = filled(other)
        for flips in np.ndindex(2, 2, 2, 2):
            axes = [a for a in range(3) if flips[a]]
            turn = (0, 2, 1) if flips[3] else (0, 1, 2)
            there = np.flip(ours, [a + 1 for a in axes]).transpose(0, *(t + 1 for t in turn)).copy()
            there[1] *= -1 if flips[0] else 1
            if np.allclose(there, got) and np.array_equal(
                np.flip(truth, axes).transpose(turn), true
            ):
                seen.add(flips)
                break
        else:
            raise AssertionError("no mirroring gives this window")
    assert len(seen) > 4
    assert window.fine == fine


def test_a_crop_is_a_part_of_its_window():
    window = max(volume_windows(3, DATA.replace(flat_share=0.0), 1), key=lambda w: len(w.features))
    part = cropped(window, 8, np.random.default_rng(0))
    assert part.grid.shape == (8, 8, 8)
    assert part.fine.shape == (16, 16, 16)
    assert 0 < len(part.features) <= len(window.features)
    at = window.grid.to_index(part.grid.to_um(part.features.index)).round().astype(int)
    known = {
        tuple(i): tuple(v)
        for i, v in zip(window.features.index, window.features.values, strict=True)
    }
    assert all(known[tuple(i)] == tuple(v) for i, v in zip(at, part.features.values, strict=True))
    where = np.stack(np.unravel_index(part.target, part.fine.shape), 1)
    there = window.fine.to_index(part.fine.to_um(where)).round().astype(int)
    assert np.isin(np.ravel_multi_index(tuple(there.T), window.fine.shape), window.target).all()


def test_a_bank_gives_again_what_was_simulated(tmp_path, monkeypatch):
    data = DATA.replace(bank=str(tmp_path), bank_scenes=1, flat_share=0.5)
    new = scene_windows(1, data)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr("napari_ulm3d.train.volumes.bank.volume_windows", None)  # no more scenes
    for a, b in zip(new, scene_windows(1, data), strict=True):
        for name in ("index", "values"):
            np.testing.assert_array_equal(getattr(a.features, name), getattr(b.features, name))
        assert a.grid == b.grid
        np.testing.assert_array_equal(a.target, b.target)
        np.testing.assert_array_equal(a.kind, b.kind)
    later = scene_windows(2, data)  # the same scene, mirrored in another way
    assert [len(w.target) for w in later] == [len(w.target) for w in new]
    assert any(not np.array_equal(a.target, b.target) for a, b in zip(later, new, strict=True))


def test_the_finer_grid_covers_the_same_extent():
    grid = Grid((3, 1, 4), (10.0, 80.0, 10.0), (5.0, 1.0, 2.0))
    fine = finer(grid, 2)
    assert fine.shape == (12, 4, 16)
    np.testing.assert_allclose(fine.extent_um, grid.extent_um)
    low = np.array(grid.origin_um) - np.array(grid.spacing_um) / 2
    np.testing.assert_allclose(np.array(fine.origin_um) - np.array(fine.spacing_um) / 2, low)


SMALL = {"channels": (4, 6), "convolutions": 0}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        CompletionTrainConfig(data=DATA, network={**SMALL, "keep": 0.02}),
        SuperResolutionTrainConfig(
            data=DATA.replace(window=8, voxel_um=(20.0, 30.0)),
            network={**SMALL, "fine_channels": (4,), "keep": 0.02},
        ),
        SegmentationTrainConfig(data=DATA, network=SMALL),
    ],
    ids=lambda config: config.task,
)
def test_a_task_learns_its_window_by_heart(config):
    torch.manual_seed(0)
    config = config.replace(
        optimizer={"learning_rate": 2e-2, "warmup_steps": 0},
        validation={"windows": 1, "shares": (0.5,), "first_seed": 8_500_000_000},
    )
    task = make_task(config)
    state = new_state(task)
    windows = [max(task.windows(9), key=lambda window: len(window.features))]
    assert len(windows[0].features) > 20
    rows = [train_step(state, windows, task) for _ in range(70)]
    assert rows[-1]["loss"] < 0.75 * rows[0]["loss"]
    scores = task.validate(state.average.eval(), 1, "cpu")
    assert 0.0 <= scores["score"] <= 1.0


class Oracle(torch.nn.Module):
    """Half of the true voxels at 0.9, and all voxels beside them at 0.3, on every grid."""

    def __init__(self, truth: dict[int, np.ndarray]) -> None:
        super().__init__()
        self.truth = truth

    def forward(self, x: SparseTensor, doublings: int) -> VolumePrediction:
        true = self.truth[doublings]
        p = np.where(ndimage.binary_dilation(true), 0.3, 0.0)
        sure = np.flatnonzero(true)[::2]
        p.ravel()[sure] = 0.9
        at = np.argwhere(p > 0).astype(np.int32)
        coordinates, _ = Coordinates.create(
            torch.from_numpy(np.pad(at, ((0, 0), (1, 0)))), true.shape
        )
        logit = torch.logit(torch.tensor(p[tuple(at.T)], dtype=torch.float32))[:, None]
        out = SparseTensor(logit, coordinates)
        return VolumePrediction((out,), out)


def test_each_factor_has_the_threshold_of_its_own_best_dice():
    config = SuperResolutionTrainConfig(
        data=DATA.replace(window=8, voxel_um=(20.0, 30.0)),
        network={**SMALL, "fine_channels": (4, 4)},
        validation={"windows": 1, "shares": (0.5,), "first_seed": 8_500_000_000},
    )
    task = make_task(config)
    ((_, window),) = task.scenes()
    finest = np.zeros(window.fine.shape, bool)
    finest.ravel()[window.target] = True
    n = finest.shape[0] // 2
    half = finest.reshape(n, 2, n, 2, n, 2).any(axis=(1, 3, 5))
    scores = task.validate(Oracle({1: half, 2: finest}), 1, "cpu")
    for factor, true in ((2, half), (4, finest)):
        sure = -(-true.sum() // 2)
        near = ndimage.binary_dilation(true).sum()
        at_sure, at_near = (2 * sure / (sure + true.sum()), 2 * true.sum() / (near + true.sum()))
        assert scores[f"dice_x{factor}_0.5"] == pytest.approx(max(at_sure, at_near))
        assert (scores[f"least_x{factor}"] > 0.3) == (at_sure > at_near)


def test_a_tree_serves_either_training_or_validation():
    with pytest.raises(ConfigError, match="training and validation"):
        CompletionTrainConfig.from_dict(
            {"data": {"trees": ("a.swc",)}, "validation": {"trees": ("a.swc",)}}
        )
