"""The clutter cut of an acquisition from those of its blocks."""

from __future__ import annotations

from collections.abc import Sequence

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate.calibration import Finding
from napari_ulm3d.calibrate.measurement import BlockMeasurement
from napari_ulm3d.calibrate.trial import best_shift
from napari_ulm3d.config import PipelineConfig

__all__ = ["common_cut"]


def common_cut(
    measured: Sequence[BlockMeasurement],
    acquisition: Acquisition,
    config: PipelineConfig,
    findings: list[Finding],
    warnings: list[str],
    said: str,
) -> int | None:
    """First component kept in all blocks; adds what was found, and doubts."""
    cuts = [one.cut for one in measured if one.cut is not None]
    if not cuts:
        clutter = config.clutter
        if "svd" not in clutter.method:
            return None
        if clutter.svd_range is not None:
            first = clutter.svd_range[0]
            findings.append(Finding("first component kept", str(first), "given"))
            return first
        if clutter.regions is not None:
            count = " x ".join(map(str, clutter.regions))
            how = f"{count} regions, as asked for"
            findings.append(Finding("first component kept", "in each region", how))
        return None
    firsts = sorted(cut.first for cut in cuts)
    shortest = min(b.n_frames for b in acquisition.blocks(config.load.block_frames))
    first = min(firsts[len(firsts) // 2], shortest)
    shift = best_shift([one.tried for one in measured if one.tried])
    sure = f"between {firsts[0]} and {firsts[-1]} {said}" if len(firsts) > 1 else "one block"
    if first == 1:
        findings.append(
            Finding(
                "tissue",
                "no tissue recognized, all components kept",
                "spread over the volume",
                sure,
            )
        )
    else:
        how = "where the spatial spread of the components drops"
        if shift and first + shift <= shortest:
            how += f", {shift:+d}: more localizations can be followed"
            first += shift
        findings.append(Finding("first component kept", str(first), how, sure))
    if firsts[-1] > 2 * firsts[0] + 2:
        warnings.append(
            "The number of tissue components differs between blocks (first component kept: "
            f"{firsts[0]} to {firsts[-1]}). If tissue remains in some blocks, set "
            f"clutter.svd_range={firsts[-1]},{shortest}."
        )
    return first
