"""Test scenes of `benchmarks.paper`, conventional ULM on them, and Dice by the paper's protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.paper.variants import Scale
from napari_ulm3d.config import ClutterConfig, LinkConfig, LocalizeConfig
from napari_ulm3d.link import link
from napari_ulm3d.localize import localize
from napari_ulm3d.simulate import standard_config
from napari_ulm3d.tables import Tracks
from napari_ulm3d.train.scenes import CorrelatedScene, correlate_scene
from napari_ulm3d.train.trajectory.targets import sample_trajectories, trajectory_volume

__all__ = ["Score", "TestScene", "conventional", "drawn", "pooled", "scene_of"]


@dataclass(frozen=True)
class TestScene:
    """A test scene, divided into samples.

    Attributes
    ----------
    bubbles
        Number of bubbles in the published field of view, as in the name of the set.
    sample
        Number of the vasculature.
    starts
        First frame of each sample.
    truth
        Trajectories of each sample on the fine grid.
    """

    __test__ = False

    bubbles: int
    sample: int
    scene: CorrelatedScene
    starts: list[int]
    size: int
    truth: list[NDArray[np.bool_]]


@dataclass(frozen=True)
class Score:
    """Scores of a method at one concentration, pooled over the scenes."""

    dice: float
    precision: float
    recall: float
    share_kept: float
    seconds_per_sample: float


def scene_of(axes: int, bubbles: int, sample: int, scale: Scale, up: int) -> TestScene:
    """A scene with the settings and seeds of the sets paper2d-N or paper3d-N, but other lengths.

    If the sides differ from the published 32 voxels, the density of bubbles is the same.
    """
    settings = standard_config(f"paper{axes}d-{bubbles}", sample)
    side = scale.test_3d if axes == 3 else scale.test_2d
    shape = (side, side if axes == 3 else 1, side)
    count = max(1, round(bubbles * (side / 32) ** axes))
    settings = settings.replace(
        n_frames=scale.test_frames,
        grid=settings.grid.replace(shape=shape),
        bubbles=settings.bubbles.replace(n_bubbles=count),
    )
    scene = correlate_scene(settings, clutter=ClutterConfig(method="none"))
    size = scale.window_frames
    starts = list(range(0, scale.test_frames - size + 1, size))
    truth = []
    for start in starts:
        points = sample_trajectories(scene.truth, scene.grid, start, size, up, axes == 2)
        truth.append(trajectory_volume(points, up))
    return TestScene(bubbles, sample, scene, starts, size, truth)


Predict = Callable[[TestScene], list[tuple[NDArray[np.bool_], float]]]
"""For every sample of a scene: binary volume, and share of kept voxels."""


def pooled(predict: Predict, scenes: list[TestScene]) -> Score:
    """Dice coefficient of a method.

    The binarized outputs of all samples of a scene (one vasculature) are summed, and so is the
    ground truth. Intersections and sizes are summed over scenes before the coefficient is
    computed.
    """
    common = found_size = true_size = 0
    shares: list[float] = []
    began = time.perf_counter()
    for scene in scenes:
        parts = predict(scene)
        shares += [share for _, share in parts]
        found = np.logical_or.reduce([volume for volume, _ in parts])
        true = np.logical_or.reduce(scene.truth)
        common += int((found & true).sum())
        found_size += int(found.sum())
        true_size += int(true.sum())
    seconds = (time.perf_counter() - began) / max(1, len(shares))
    return Score(
        dice=2 * common / max(1, found_size + true_size),
        precision=common / max(1, found_size),
        recall=common / max(1, true_size),
        share_kept=float(np.mean(shares)),
        seconds_per_sample=seconds,
    )


def conventional(axes: int, up: int) -> Predict:
    """Conventional ULM: our Gaussian fit, linking and smoothing with their default settings.

    The whole scene is localized and linked; tracks are drawn as lines on the fine grid.
    """

    def predict(test: TestScene) -> list[tuple[NDArray[np.bool_], float]]:
        scene = test.scene
        rate = scene.config.rate_hz
        found = localize(
            scene.frames,
            scene.grid,
            LocalizeConfig(),
            rate_hz=rate,
            correlation=scene.correlation,
        )
        return drawn(link(found.localizations, rate, LinkConfig()), test, up, axes == 2)

    return predict


def drawn(
    tracks: Tracks, test: TestScene, up: int, plane: bool
) -> list[tuple[NDArray[np.bool_], float]]:
    """Tracks as lines on the fine grid, for every sample of the scene; all voxels count as kept."""
    table = tracks.table.rename(columns={"track_id": "bubble_id"})
    volumes = []
    for start in test.starts:
        points = sample_trajectories(table, test.scene.grid, start, test.size, up, plane)
        volumes.append((trajectory_volume(points, up), 1.0))
    return volumes
