"""Advice after a run that found nothing, very little or mostly noise."""

from __future__ import annotations

from collections.abc import Mapping

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.methods.subvoxel import subvoxel_modules, subvoxel_with

__all__ = ["verdict"]

_NOISE = 0.5
"""Share of chance tracks above which most tracks are considered noise."""
_FEW = 0.05  # bubbles per frame


def verdict(
    n_frames: int,
    n_localizations: int,
    n_tracks: int,
    share: float | None,
    rejected: Mapping[str, int],
    config: PipelineConfig,
    svd_first: int | None,
    length: int | None = None,
) -> str:
    """The probable cause and what to try; empty if all seems well.

    Parameters
    ----------
    share
        Share of the tracks expected by chance; None without tracks.
    rejected
        Number of rejected candidates, by reason.
    config
        The settings as given.
    svd_first
        First singular component kept; None without SVD.
    length
        Minimum track length; None: as set.
    """
    length = length or config.link.min_length_frames
    if config.localize.localizer == "trajectory" or n_frames == 0:
        return ""  # this localizer draws a map without bubbles
    if n_localizations == 0:
        return (
            f"Nothing was found in {n_frames:,} frames. "
            f"{_why_nothing(rejected, config, svd_first, n_frames)}"
        )
    if n_tracks == 0:
        return (
            f"{n_localizations:,} bubbles were localized, but none could be followed for "
            f"{length} frames. {_why_untracked(n_localizations / n_frames, config)}"
        )
    if share is not None and share > _NOISE:
        return (
            f"Most tracks may be noise: {100 * share:.0f} % of them are expected by chance, judging by "
            f"frames in random order. Try {_sterner(config)}, or link.min_length_frames=auto."
        )
    if n_localizations < _FEW * n_frames:
        return (
            f"Very little was found: {n_localizations:,} bubbles in {n_frames:,} frames. "
            f"{_why_nothing(rejected, config, svd_first, n_frames)}"
        )
    return ""


def _why_nothing(
    rejected: Mapping[str, int], config: PipelineConfig, svd_first: int | None, n_frames: int
) -> str:
    frames = min(config.load.block_frames, n_frames)
    localize = config.localize
    if config.clutter.svd_range is not None and svd_first is not None and svd_first > frames // 4:
        return (
            f"The clutter filter removes {svd_first - 1} of {frames} components and probably "
            "bubbles with them: try clutter.svd_range=auto."
        )
    if localize.localizer not in subvoxel_modules():
        if config.sparsify.strategy == "threshold" and config.sparsify.threshold > 0.1:
            return "Too few voxels reach sparsify.threshold: try sparsify.threshold=0.1."
        return (
            "No prediction of the network reaches the minimum score. Look at the filtered "
            "frames, then try network.min_score=0.1 or localize.localizer=gaussian."
        )
    reason, count = max(rejected.items(), key=lambda item: item[1], default=("", 0))
    if count and reason == "low_correlation":
        return (
            f"{count:,} maxima resemble the PSF too little: try localize.min_correlation=0, "
            "and check psf.fwhm_voxels."
        )
    if count and reason == "faint":
        return f"{count:,} maxima were too faint: try localize.min_fit_snr_db={localize.min_fit_snr_db - 4:g}."
    if count and reason in ("far", "failed"):
        return (
            f"{count:,} fits moved too far from their maximum, so the PSF widths are probably "
            "wrong: try psf.fwhm_voxels=auto, localize.fwhm_voxels=auto and "
            "localize.patch_voxels=auto."
        )
    stern = 2 * (svd_first or 1) + 2
    return (
        f"No maximum exceeds its surroundings by {localize.min_snr_db:g} dB, probably "
        f"because of residual tissue: try clutter.svd_range={stern},{frames}, or "
        f"localize.min_snr_db={localize.min_snr_db - 3:g} if the bubbles are faint."
    )


def _why_untracked(a_frame: float, config: PipelineConfig) -> str:
    if a_frame < 1:
        return f"There are few bubbles per frame: try link.max_gap_frames=2 or {_contrast(config, -1)}."
    return (
        f"Either the localizations are noise (try {_sterner(config)}), or bubbles are "
        "missed in some frames (try link.max_gap_frames=2)."
    )


def _sterner(config: PipelineConfig) -> str:
    if config.localize.localizer == "network":
        least = config.network.min_score or 0.3
        return f"network.min_score={min(least + 0.2, 0.9):.1f}"
    return _contrast(config, +1)


def _contrast(config: PipelineConfig, sign: int) -> str:
    """The contrast setting of the localizer, raised or lowered by one step."""
    localize = config.localize
    if localize.localizer in subvoxel_with("min_fit_snr_db"):
        return f"localize.min_fit_snr_db={localize.min_fit_snr_db + 4 * sign:g}"
    return f"localize.min_snr_db={localize.min_snr_db + 3 * sign:g}"
