"""Presets of settings, for users who know the settings of another program."""

from __future__ import annotations

from typing import Any

from napari_ulm3d.config.pipeline import PipelineConfig
from napari_ulm3d.errors import ConfigError

__all__ = ["PRESETS", "settings_preset"]

PRESETS: dict[str, dict[str, Any]] = {
    # Commun. Eng. 2025, s44172-025-00415-4, Table 1.
    "open-3dulm": {
        "load": {"frames_per_block": 200},
        "calibrate": {"thinning": (1, 1, 1)},
        "clutter": {"method": "svd", "svd_range": (12, 200)},
        "psf": {"source": "analytic", "fwhm_voxels": (3.0, 3.0, 3.0)},
        "localize": {
            "localizer": "radial",
            "min_snr_db": 9.0,
            "max_bubbles": 900,
            "patch_voxels": (7, 7, 7),
            "fwhm_voxels": (3.0, 3.0, 3.0),
            "max_shift_voxels": 1.5,
        },
        "link": {
            "max_speed_mm_s": 30.0,
            "max_gap_frames": 0,
            "prediction": "none",
            "min_length_frames": 9,
            "smoothing_frames": 5,
        },
    },
}
"""Settings that differ from the defaults, or must stay when the defaults change."""


def settings_preset(name: str) -> PipelineConfig:
    """The settings of a preset.

    Raises
    ------
    ConfigError
        There is no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no preset '{name}'. Presets: {', '.join(PRESETS)}.")
    return PipelineConfig.from_dict(PRESETS[name])
