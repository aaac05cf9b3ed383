"""The settings: one frozen model per stage, collected in `PipelineConfig`, stored as TOML.

Python, the command line, the widgets and the files all use these models: names, units,
defaults, ranges and descriptions are defined here and nowhere else. Names and defaults follow
Open-3DULM (Commun. Eng. 2025, s44172-025-00415-4, Table 1) and PALA (Heiles et al., Nat. Biomed.
Eng. 2022) where they are sound.
"""

from __future__ import annotations

from napari_ulm3d.config.base import (
    Device,
    OddTriple,
    Positive,
    PositiveTriple,
    StageConfig,
    setting,
)
from napari_ulm3d.config.calibrate import CalibrateConfig
from napari_ulm3d.config.conditions import Condition, conditions_of, shown_unit, unit_of
from napari_ulm3d.config.filtering import ClutterConfig, PsfConfig, SparsifyConfig
from napari_ulm3d.config.limits import LIMITS, Limits, implausible
from napari_ulm3d.config.load import LoadConfig
from napari_ulm3d.config.localize import LocalizeConfig, Localizer, NetworkConfig
from napari_ulm3d.config.mapping import LinkConfig, MapConfig, MotionConfig
from napari_ulm3d.config.pipeline import PipelineConfig
from napari_ulm3d.config.presets import PRESETS, settings_preset
from napari_ulm3d.config.vessels import VesselConfig

__all__ = [
    "LIMITS",
    "PRESETS",
    "CalibrateConfig",
    "ClutterConfig",
    "Condition",
    "Device",
    "Limits",
    "LinkConfig",
    "LoadConfig",
    "LocalizeConfig",
    "Localizer",
    "MapConfig",
    "MotionConfig",
    "NetworkConfig",
    "OddTriple",
    "PipelineConfig",
    "Positive",
    "PositiveTriple",
    "PsfConfig",
    "SparsifyConfig",
    "StageConfig",
    "VesselConfig",
    "conditions_of",
    "implausible",
    "setting",
    "settings_preset",
    "shown_unit",
    "unit_of",
]
