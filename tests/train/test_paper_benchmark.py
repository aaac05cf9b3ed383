"""`benchmarks.paper`: its trainings, its scores, and a complete run at tiny sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ulm3d.networks.weights import read_card
from napari_ulm3d.sparse import SparseTensor
from napari_ulm3d.train.registry import make_task
from napari_ulm3d.train.trajectory.targets import Trajectories

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks" / "paper").is_dir(),
    reason="an installed package has no benchmarks",
)


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_network_of_every_scale_has_valid_settings(tmp_path):
    from benchmarks.paper.variants import SCALES, variants

    for scale in SCALES.values():
        made = variants(scale, tmp_path)
        names = [variant.name for variant in made]
        assert len(set(names)) == len(names) > 15
        for variant in made:
            variant.config.check_seeds()
            assert variant.config.name == variant.name
    cascaded = [v for v in made if "cascade" in v.name]
    assert [len(v.config.phase_steps) for v in cascaded] == [3, 3]
    # The full scale is the published sizes.
    counts = {
        v.name: sum(p.numel() for p in make_task(v.config).network().parameters())
        for v in made
        if v.name in ("dense-2d", "sparse-2d-threshold-0.25", "sparse-3d")
    }
    assert counts == {
        "dense-2d": 1_044_945,
        "sparse-2d-threshold-0.25": 1_046_244,
        "sparse-3d": 3_120_772,
    }


def test_the_released_code_teaches_heads_every_second_half():
    from benchmarks.paper.variants import released_target

    # A head of 4 frames a step over 8 frames: its targets have 2 frames a step, 4 bins.
    frames = np.arange(8.0)
    truth = Trajectories(np.column_stack([frames, frames + 0.5, np.full(8, 0.5)]), (8, 8, 8))
    every = torch.tensor([(0, t, z, x) for t in range(2) for z in range(8) for x in range(8)])
    head = SparseTensor.create(every, torch.ones(len(every), 1), (2, 8, 8), stride=(4, 1, 1))
    target, unreachable = released_target([truth], head, True)
    # Frames 0, 1 and 4, 5 meet the head's bins; 2, 3 and 6, 7 fall between them.
    assert target.indices.tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 4, 0], [0, 1, 5, 0]]
    assert unreachable.tolist() == [4]
    right, nothing = released_target([truth], head, False)
    assert len(right.indices) == 8
    assert nothing is None


def test_one_coefficient_for_a_set():
    from benchmarks.paper.scores import TestScene, pooled

    def scene(volumes) -> TestScene:
        truth = [np.array(v, bool) for v in volumes]
        return TestScene(5, 0, None, [0, 1], 1, truth)  # type: ignore[arg-type]

    scenes = [scene([[1, 0, 0, 0], [0, 1, 0, 0]]), scene([[0, 0, 0, 0], [1, 1, 0, 0]])]
    found = {id(scenes[0]): [[1, 0, 0, 0], [1, 0, 0, 0]], id(scenes[1]): [[1, 1, 1, 0], [0] * 4]}

    def predict(test):
        return [(np.array(v, bool), 0.5) for v in found[id(test)]]

    score = pooled(predict, scenes)
    # Found: {0} and {0, 1, 2}; true: {0, 1} and {0, 1}.
    assert score.dice == pytest.approx(2 * 3 / (4 + 4))
    assert score.precision == pytest.approx(3 / 4)
    assert score.recall == pytest.approx(3 / 4)
    assert score.share_kept == 0.5


@pytest.mark.slow
def test_conventional_ulm_on_its_own_ground():
    from dataclasses import replace

    from benchmarks.paper.scores import conventional, pooled, scene_of
    from benchmarks.paper.variants import SCALES

    scale = replace(SCALES["small"], test_2d=24, test_frames=64, window_frames=32)
    test = scene_of(2, 1, 0, scale, up=2)
    assert [volume.shape for volume in test.truth] == [(1, 48, 48)] * 2
    assert test.scene.config.seed >= 9_000_000_000
    score = pooled(conventional(2, 2), [test])
    assert score.precision > 0.6


@pytest.mark.long
@pytest.mark.slow
def test_train_stop_go_on_and_score(tmp_path, capsys):
    from benchmarks.paper.__main__ import main

    words = ["--quick", "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    few = ["mask-2d", "dense-2d", "sparse-2d-mask", "sparse-3d"]
    main([*words, "--only", *few, "--minutes-each", "0"])
    first = capsys.readouterr().out
    assert "Run again" in first
    assert "sparse-2d-mask: waits" in first
    main([*words, "--only", *few, "--plot", str(tmp_path / "figures")])
    text = capsys.readouterr().out
    for heading in ("2-D", "3-D", "From dense to sparse"):
        assert heading in text
    assert text.count("conventional ULM") == 2
    assert (tmp_path / "figures" / "paper_dice.png").stat().st_size > 5000
    assert (tmp_path / "figures" / "paper_strategies.png").stat().st_size > 5000
    # The better of the best and the last weights on validation are scored.
    card = read_card(tmp_path / "cache" / "dense-2d" / "chosen.safetensors")
    assert set(card.scores) == {"best", "last"}
    assert (card.steps == 3) or card.scores["best"] > card.scores["last"]
    # Scores are cached: nothing is computed again.
    main([*words, "--only", *few, "--evaluate"])
    again = capsys.readouterr().out
    assert "Dice 0." not in again
    assert again.partition("\n##")[2] == text.partition("\n##")[2]
    main([*words, "--list", "--only", "dense-2d"])
    assert capsys.readouterr().out.strip() == "dense-2d: 3 of 3 steps"
