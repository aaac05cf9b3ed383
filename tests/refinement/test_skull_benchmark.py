"""The parts of the skull's benchmark: holes, rivals, scores, and a training step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from benchmarks.vessels.skull.rivals import closed, mirror_image, symmetry_plane
from benchmarks.vessels.skull.scores import hole_scores
from benchmarks.vessels.skull.task import SkullTask, settings
from benchmarks.vessels.skull.volume import EDGE_MM, LATERAL, Hole, draw_holes, without
from napari_ulm3d.train.loop import new_state, train_step


@pytest.fixture(scope="module")
def shell():
    """An ellipsoid of bone, 8 voxels thick, with a knob on one side."""
    z, y, x = np.ogrid[:96, :90, :100]
    r = np.sqrt(((z - 48) / 44) ** 2 + ((y - 45) / 38) ** 2 + ((x - 50) / 46) ** 2)
    return (r < 1) & (r > 0.8)


def test_holes_lie_within_their_side_and_apart(shell):
    drawn = draw_holes(shell, (0, 40), (6.0, 9.0), 3, 4.0)
    holes = [hole for _, hole in zip(range(5), drawn, strict=False)]
    assert len(holes) == 5
    again = draw_holes(shell, (0, 40), (6.0, 9.0), 3, 4.0)
    assert [h for _, h in zip(range(5), again, strict=False)] == holes
    cut = without(shell, holes)
    gone = np.argwhere(shell & ~cut)
    assert gone[:, LATERAL].max() < 40
    centres = np.array([h.centre for h in holes])
    distance = cdist(gone, centres)
    nearest = distance.argmin(axis=1)
    radii = np.array([h.radius for h in holes])
    assert (distance.min(axis=1) <= radii[nearest]).all()
    gaps = cdist(centres, centres) - radii[:, None] - radii
    assert gaps[~np.eye(5, dtype=bool)].min() >= 4.0
    assert (shell[tuple(centres.T)]).all()


def test_closing_fills_what_is_narrower_than_its_ball():
    plate = np.zeros((20, 30, 30), bool)
    plate[8:12] = True
    plate[:, 14:17] = False
    assert (closed(plate, 4.0)[9:11, 14:17, 5:25]).all()
    assert not closed(plate, 0.9)[:, 15].any()
    assert (closed(plate, 4.0) | ~plate).all()


def test_the_plane_of_symmetry_is_found_and_restores_a_hole(shell):
    normal = np.array([0.04, 1.0, -0.06])
    normal /= np.linalg.norm(normal)
    plane = np.append(normal, normal @ (48.0, 46.0, 50.0))
    half = shell.copy()
    side = np.indices(shell.shape).reshape(3, -1).T @ normal < plane[3]
    half &= side.reshape(shell.shape)
    whole = half | mirror_image(half, plane)
    # An ellipsoid has many planes; two knobs leave one.
    knob = np.zeros_like(whole)
    knob[18:34, 20:32, 70:86] = True
    whole |= knob | mirror_image(knob, plane)
    hole = Hole((48, 83, 50), 9.0)
    cut = without(whole, [hole])
    found = symmetry_plane(cut)
    assert found[:3] @ normal > np.cos(np.deg2rad(1.0))
    image = mirror_image(cut, found)
    where, ball = hole.ball(whole.shape)
    missing = whole[where] & ball
    assert hole_scores(image[where] & ball, missing)[0] > 0.9


def test_scores_equal_those_of_all_pairs_of_border_voxels():
    rng = np.random.default_rng(0)
    true, found = np.zeros((2, 24, 22, 20), bool)
    true[6:16, 5:14, 4:12] = True
    found[7:18, 5:15, 4:11] = True
    found &= rng.random(found.shape) < 0.97

    def border(mask):
        places = np.argwhere(mask)
        steps = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
        inner = np.all([mask[tuple((places + s).T)] for s in steps], axis=0)
        return places[~inner]

    a, b = border(found), border(true)
    d = cdist(a, b)
    away = d.min(axis=1), d.min(axis=0)
    scores = hole_scores(found, true)
    assert scores[0] == pytest.approx(2 * (found & true).sum() / (found.sum() + true.sum()))
    assert scores[1] == pytest.approx(np.concatenate(away).__le__(1).mean())
    assert scores[2] == pytest.approx(EDGE_MM * max(np.percentile(v, 95) for v in away))
    assert hole_scores(true, true).tolist() == [1.0, 1.0, 0.0]
    assert hole_scores(np.zeros_like(true), true)[0] == 0.0


@pytest.mark.slow
def test_the_training_counts_only_what_the_crop_lacks(shell):
    torch.manual_seed(0)
    config = settings(3)
    config = config.replace(
        data=config.data.replace(windows_per_scene=1, scenes_per_group=1),
        network=config.network.replace(channels=(4, 6, 8)),
    )
    task = SkullTask(config, shell, (0, 45))
    window = task.windows(1)[0]
    assert np.array_equal(window.target, task.windows(1)[0].target)
    missing = len(window.target) - len(window.features)
    assert missing >= 200
    state = new_state(task)
    row = train_step(state, [window], task)
    assert np.isfinite(row["loss"])
    assert "new_scale_1" in row
    with torch.no_grad():
        counts = task.counts(state.model, window, "cpu")
    assert (counts[:, 2] == missing).all()
    assert (counts[:, 0] <= counts[:, 1]).all()
