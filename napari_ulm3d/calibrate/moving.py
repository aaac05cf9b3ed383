"""Decide whether tissue motion is corrected, and choose the reference image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate.calibration import Finding
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.motion import gains, offset_um, rms_um
from napari_ulm3d.tables import BlockMotion

__all__ = ["motion_of"]


def motion_of(
    measured: Sequence[BlockMotion | None], acquisition: Acquisition, config: PipelineConfig
) -> tuple[NDArray[np.float32] | None, list[Finding]]:
    """Take the image of the first measured block as the reference if motion is corrected.

    Returns
    -------
    reference
        (z, y, x) image; None: motion is not corrected.
    findings
        Amplitude of the tissue motion, and whether it is corrected.
    """
    motions = [one for one in measured if one is not None]
    if not motions:
        return None, []
    reference = motions[0].image
    assert reference is not None
    spacing = acquisition.grid.spacing_um
    offsets = [
        offset_um(reference, one.image, spacing)[0] for one in motions if one.image is not None
    ]
    gain = gains(motions, offsets, spacing)
    path = np.concatenate(
        [(m.displacement_um + o)[~m.broken] for m, o in zip(motions, offsets, strict=True)]
    )
    broken = float(np.mean(np.concatenate([one.broken for one in motions])))
    before = float(np.mean(np.concatenate([one.before for one in motions])))
    after = float(np.mean(np.concatenate([one.correlation for one in motions])))
    if config.motion.method == "auto":
        decided = "taken out of the localizations" if gain else "left alone: nothing is gained"
    else:
        decided = "taken out, as asked for"
    finding = Finding(
        "motion of the tissue",
        f"{rms_um(path):.1f} um rms, {100 * broken:.1f} % of the frames broken; {decided}",
        "cross-correlation of unfiltered frames with a running reference",
        f"frames correlate {before:.3f}, moved back {after:.3f}",
    )
    return reference if gain or config.motion.method == "rigid" else None, [finding]
