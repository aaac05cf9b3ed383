"""Scores against a ground truth, and measurements on maps and tracks."""

from __future__ import annotations

from napari_ulm3d.evaluate.centerline import cl_dice
from napari_ulm3d.evaluate.comparison import (
    map_difference,
    score_rows,
    tracks_dice,
    truth_localizations,
    truth_tracks,
)
from napari_ulm3d.evaluate.config import EvaluateConfig, Tolerances
from napari_ulm3d.evaluate.linking import LinkScores, score_links
from napari_ulm3d.evaluate.localization import LocalizationScores, score_localizations
from napari_ulm3d.evaluate.maps import MapScores, dice, map_dice, set_dice
from napari_ulm3d.evaluate.profile import (
    FEWEST_IN_A_WIDTH,
    PlaneImage,
    Profile,
    Width,
    full_width_at_half_maximum,
    line_profile,
    plane,
    tracks_in_peak,
)
from napari_ulm3d.evaluate.region import Region, RegionNumbers, region_numbers, tracks_crossing
from napari_ulm3d.evaluate.report import Scores, evaluate
from napari_ulm3d.evaluate.survival import bubbles_kept, survival
from napari_ulm3d.evaluate.truth import Truth, read_truth

__all__ = [
    "FEWEST_IN_A_WIDTH",
    "EvaluateConfig",
    "LinkScores",
    "LocalizationScores",
    "MapScores",
    "PlaneImage",
    "Profile",
    "Region",
    "RegionNumbers",
    "Scores",
    "Tolerances",
    "Truth",
    "Width",
    "bubbles_kept",
    "cl_dice",
    "dice",
    "evaluate",
    "full_width_at_half_maximum",
    "line_profile",
    "map_dice",
    "map_difference",
    "plane",
    "read_truth",
    "region_numbers",
    "score_links",
    "score_localizations",
    "score_rows",
    "set_dice",
    "survival",
    "tracks_crossing",
    "tracks_dice",
    "tracks_in_peak",
    "truth_localizations",
    "truth_tracks",
]
