"""What a run that found nothing, hardly anything or mostly noise says at its end."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.link import link
from napari_ulm3d.localize.subvoxel.registry import LOCALIZERS as SUBVOXEL
from napari_ulm3d.tables import Localizations

__all__ = ["Sample", "shuffled_share", "verdict"]

_MOST_ROWS = 60_000
"""Localizations that the control is made on: enough to count tracks, little time."""
_NOISE = 0.5
"""Share of the tracks that frames in random order give as well, from which most are chance."""
_FEW = 0.05  # bubbles a frame


class Sample:
    """The first localizations of a run, kept for the control."""

    def __init__(self) -> None:
        self._parts: list[Localizations] = []
        self._rows = 0

    def add(self, found: Localizations) -> None:
        """Keep a block's, while there is room."""
        if self._rows < _MOST_ROWS and len(found):
            self._parts.append(Localizations(found.table.head(_MOST_ROWS - self._rows)))
            self._rows += len(self._parts[-1])

    def localizations(self) -> Localizations:
        """All that were kept."""
        return Localizations.concat(self._parts) if self._parts else Localizations.empty()


def shuffled_share(found: Localizations, rate_hz: float, config: PipelineConfig) -> float | None:
    """Track points that frames in random order give, over those of the frames in order.

    Bubbles move along from frame to frame, noise does not care for the order: near 0 where
    tracks are bubbles, near 1 where they are chance.

    Returns
    -------
    None where no tracks come out in order.
    """
    frames = found.table["frame"].to_numpy()
    before = len(link(found, rate_hz, config.link)) if len(found) else 0
    if not before:
        return None
    first, last = int(frames.min()), int(frames.max())
    order = np.random.default_rng(config.seed).permutation(last - first + 1) + first
    table: pd.DataFrame = found.table.assign(frame=order[frames - first])
    table = table.assign(time_s=table["frame"] / rate_hz)
    table = table.sort_values("frame", kind="stable", ignore_index=True)
    return len(link(Localizations(table), rate_hz, config.link)) / before


def verdict(
    n_frames: int,
    n_localizations: int,
    n_tracks: int,
    share: float | None,
    rejected: Mapping[str, int],
    config: PipelineConfig,
    svd_first: int | None,
) -> str:
    """One sentence with the probable cause and what to try; empty where all seems well.

    Parameters
    ----------
    share
        `shuffled_share`; None where it is not known.
    rejected
        How many candidates were rejected, by reason.
    config
        The settings as they were given.
    svd_first
        First singular component kept, None without SVD.
    """
    if config.localize.localizer == "trajectory" or n_frames == 0:
        return ""  # it draws a map and finds no bubbles
    if n_localizations == 0:
        return f"Nothing was found in {n_frames:,} frames. {_why_nothing(rejected, config, svd_first, n_frames)}"
    if n_tracks == 0:
        length = config.link.min_length_frames
        return (
            f"{n_localizations:,} bubbles were localized, and no track of {length} frames came of "
            f"them. {_why_untracked(n_localizations / n_frames, config)}"
        )
    if share is not None and share > _NOISE:
        return (
            f"Most tracks may be noise: frames in random order give {100 * share:.0f} % as many track "
            f"points. Try {_sterner(config)}."
        )
    if n_localizations < _FEW * n_frames:
        return (
            f"Hardly anything was found: {n_localizations:,} bubbles in {n_frames:,} frames. "
            f"{_why_nothing(rejected, config, svd_first, n_frames)}"
        )
    return ""


def _why_nothing(
    rejected: Mapping[str, int], config: PipelineConfig, svd_first: int | None, n_frames: int
) -> str:
    frames = min(config.load.frames_per_block, n_frames)
    localize = config.localize
    if config.clutter.svd_range is not None and svd_first is not None and svd_first > frames // 4:
        return (
            f"The clutter filter removes {svd_first - 1} of {frames} components, bubbles among them: "
            "try clutter.svd_range=auto."
        )
    if localize.localizer not in SUBVOXEL:
        if config.sparsify.strategy == "threshold" and config.sparsify.threshold > 0.1:
            return "Few voxels reach sparsify.threshold: try sparsify.threshold=0.1."
        return (
            "The network is sure of no bubble: look at the filtered frames, then try "
            "network.min_score=0.1, or localize.localizer=gaussian."
        )
    reason, count = max(rejected.items(), key=lambda item: item[1], default=("", 0))
    if count and reason == "low_correlation":
        return (
            f"{count:,} maxima resemble the PSF too little: try localize.min_correlation=0, and "
            "look at psf.fwhm_voxels."
        )
    if count and reason == "faint":
        return (
            f"{count:,} maxima were too faint: try "
            f"localize.min_fit_snr_db={localize.min_fit_snr_db - 4:g}."
        )
    if count and reason in ("far", "failed"):
        return (
            f"{count:,} fits did not stay at their maximum, so the PSF's widths are probably wrong: try "
            "psf.fwhm_voxels=auto, localize.fwhm_voxels=auto and localize.patch_voxels=auto."
        )
    stern = 2 * (svd_first or 1) + 2
    return (
        f"No maximum stands {localize.min_snr_db:g} dB over its surroundings, probably for tissue that "
        f"is left: try clutter.svd_range={stern},{frames}, or localize.min_snr_db="
        f"{localize.min_snr_db - 3:g} if the bubbles are faint."
    )


def _why_untracked(a_frame: float, config: PipelineConfig) -> str:
    if a_frame < 1:
        return (
            "They are few and far between: try link.max_gap_frames=2, or "
            f"localize.min_fit_snr_db={config.localize.min_fit_snr_db - 4:g}."
        )
    return (
        f"Either they are noise (try {_sterner(config)}), or bubbles are lost between frames: try "
        "link.max_gap_frames=2."
    )


def _sterner(config: PipelineConfig) -> str:
    if config.localize.localizer == "network":
        least = config.network.min_score or 0.3
        return f"network.min_score={min(least + 0.2, 0.9):.1f}"
    if config.localize.localizer == "gaussian":
        return f"localize.min_fit_snr_db={config.localize.min_fit_snr_db + 4:g}"
    return f"localize.min_snr_db={config.localize.min_snr_db + 3:g}"
