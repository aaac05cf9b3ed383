"""Suggestions at the end of a run."""

from __future__ import annotations

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline.advice.before import speed_advice
from napari_ulm3d.pipeline.events import RunReport

__all__ = ["hints"]

_CAPPED = 0.02
"""Acceptable share of bubbles lost to `localize.max_bubbles`."""
_KEPT = 0.2
"""Share of kept voxels above which a sparse network is hardly faster than a dense one."""
_FEW_TRACKS = 50


def hints(
    report: RunReport, kept_share: float | None, acquisition: Acquisition, config: PipelineConfig
) -> tuple[str, ...]:
    """Sentences for the user, each with the setting to check; empty if all seems well.

    Parameters
    ----------
    report
        Summary of the run.
    kept_share
        Mean share of the voxels passed to a network, 0 to 1; None without a network.
    """
    said = []
    capped = report.rejected.get("over_cap", 0)
    if capped > _CAPPED * (report.n_localizations + capped):
        said.append(
            f"{capped:,} candidates were left out because a frame takes {config.localize.max_bubbles}: "
            "raise localize.max_bubbles, or remove more tissue with clutter.svd_range."
        )
    if kept_share is not None and kept_share > _KEPT:
        said.append(
            f"{100 * kept_share:.0f} % of the voxels were kept, which makes the network slow: raise "
            "sparsify.threshold, or remove more tissue with clutter.svd_range."
        )
    if 0 < report.n_tracks < _FEW_TRACKS:
        said.append(
            f"{report.n_tracks} tracks are too few for a map of vessels or a resolution: record "
            "longer, or look at the filtered frames for bubbles that were missed."
        )
    return (*said, *speed_advice(acquisition, config))
