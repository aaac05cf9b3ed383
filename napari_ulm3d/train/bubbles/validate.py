"""Validation of a network on scenes with fixed settings and held-out seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from napari_ulm3d.evaluate import EvaluateConfig, Truth, score_localizations
from napari_ulm3d.localize.network import NetworkConfig, localize_network
from napari_ulm3d.networks.bubblenet import BubbleNet
from napari_ulm3d.tables import POSITION_UM, Localizations
from napari_ulm3d.train.bubbles.windows import Scene, make_scene
from napari_ulm3d.train.config import DataConfig, ValidationConfig
from napari_ulm3d.train.scenes import clutter_for, validation_settings

__all__ = ["ValidationScene", "validate", "validation_scenes"]

_SCORES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class ValidationScene:
    """A scene with its scoring group: the number of bubbles, or the kind of crowd."""

    group: int | str
    scene: Scene


def validation_scenes(config: ValidationConfig, data: DataConfig) -> list[ValidationScene]:
    """The scenes of all groups, each with its own seed.

    Raises
    ------
    ConfigError
        A seed is reserved for the test sets, or there is no such preset.
    """
    scenes = []
    for group, settings in validation_settings(config):
        scene = make_scene(
            settings,
            clutter=clutter_for(settings, data.clutter, data.filter_without_tissue),
            threshold=config.threshold,
            keep_frames=config.frames,
        )
        scenes.append(ValidationScene(group, scene))
    return scenes


def validate(
    model: BubbleNet,
    scenes: list[ValidationScene],
    config: NetworkConfig,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Scores by name, at the score threshold (0.05 to 0.5) with the best mean.

    Returns
    -------
    dict
        ``score``: mean Jaccard index at a quarter of the wavelength over the groups;
        ``min_score``: the score threshold at which it was reached; ``jaccard_G``, ``precision_G``,
        ``recall_G`` and ``rmse_um_G`` for each group G, a number of bubbles or a kind of crowd.
        Ratios without a denominator count as 0.
    """
    low = config.replace(min_score=_SCORES[0])
    found = [
        localize_network(
            model,
            item.scene.block,
            item.scene.grid,
            item.scene.rate_hz,
            item.scene.wavelength_um,
            low,
            device=device,
        )
        for item in scenes
    ]
    best: dict[str, float] = {}
    for least in _SCORES:
        row = _scored(scenes, found, least)
        if not best or row["score"] > best["score"]:
            best = row
    return best


def _scored(
    scenes: list[ValidationScene], found: list[Localizations], least: float
) -> dict[str, float]:
    names = ("jaccard", "precision", "recall", "rmse_um")
    values: dict[int | str, list[list[float]]] = {}
    for item, localizations in zip(scenes, found, strict=True):
        scene, table = item.scene, localizations.table
        kept = Localizations(table[table["score"] >= least].reset_index(drop=True))
        scores = score_localizations(
            kept, _truth(scene), scene.grid, EvaluateConfig().tolerances(scene.wavelength_um)
        )
        values.setdefault(item.group, []).append([getattr(scores, name) for name in names])
    means = {n: np.nan_to_num(np.array(rows, float)).mean(axis=0) for n, rows in values.items()}
    row = {"score": float(np.mean([mean[0] for mean in means.values()])), "min_score": least}
    for n, mean in means.items():
        row |= {f"{name}_{n}": float(value) for name, value in zip(names, mean, strict=True)}
    return row


def _truth(scene: Scene) -> Truth:
    bubbles = scene.bubbles
    table = pd.DataFrame(scene.grid.to_um(bubbles.position), columns=POSITION_UM)
    table["frame"] = bubbles.frame
    # The identity of bubbles across frames does not matter for localization.
    table["bubble_id"] = np.arange(len(table))
    return Truth(table)
