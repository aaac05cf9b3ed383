"""Scores against a ground truth: localization, linking, speed, maps."""

from __future__ import annotations

from napari_ulm3d.evaluate.config import EvaluateConfig, Tolerances
from napari_ulm3d.evaluate.linking import LinkScores, score_links
from napari_ulm3d.evaluate.localization import LocalizationScores, score_localizations
from napari_ulm3d.evaluate.maps import MapScores, dice, map_dice, set_dice
from napari_ulm3d.evaluate.report import Scores, evaluate
from napari_ulm3d.evaluate.truth import Truth, read_truth

__all__ = [
    "EvaluateConfig",
    "LinkScores",
    "LocalizationScores",
    "MapScores",
    "Scores",
    "Tolerances",
    "Truth",
    "dice",
    "evaluate",
    "map_dice",
    "read_truth",
    "score_links",
    "score_localizations",
    "set_dice",
]
