"""Decide whether tissue motion is corrected, and choose the reference image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate.calibration import Finding
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.motion import BlockMotion, bends, bent_um, gains, offset_um, rms_um

__all__ = ["Method", "motion_of"]

Method = Literal["none", "rigid", "deformable"]


def motion_of(
    measured: Sequence[BlockMotion | None], acquisition: Acquisition, config: PipelineConfig
) -> tuple[Method, NDArray[np.float32] | None, list[Finding]]:
    """Take the image of the first measured block as the reference if motion is corrected.

    Returns
    -------
    method
        How motion is corrected.
    reference
        (z, y, x) image; None: motion is not corrected.
    findings
        Amplitude of the tissue motion, and whether it is corrected.
    """
    motions = [one for one in measured if one is not None]
    if not motions:
        return "none", None, []
    reference = motions[0].image
    assert reference is not None
    wanted = config.motion.method
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
    bent = wanted == "deformable" or (wanted == "auto" and bends(motions, spacing))
    method: Method = "deformable" if bent else "rigid"
    if wanted == "auto" and not gain and not bent:
        method, decided = "none", "left alone: nothing is gained"
    elif wanted == "auto":
        decided = "taken out of the localizations"
    else:
        decided = "taken out, as asked for"
    finding = Finding(
        "motion of the tissue",
        f"{rms_um(path):.1f} um rms, {100 * broken:.1f} % of the frames broken; {decided}",
        "cross-correlation of unfiltered frames with a running reference",
        f"frames correlate {before:.3f}, moved back {after:.3f}",
    )
    findings = [finding]
    fields = [one.deformed for one in motions if one.deformed is not None]
    if fields:
        before, after = (
            float(np.mean([getattr(f, k) for f in fields])) for k in ("before", "after")
        )
        findings.append(
            Finding(
                "deformation of the tissue",
                f"{bent_um(fields):.1f} um rms; "
                + ("taken out as well" if method == "deformable" else "left alone: too little"),
                "B-splines fitted to unfiltered frames",
                f"frames correlate {before:.4f}, without the deformation {after:.4f}",
            )
        )
    if method == "none":
        return method, None, findings
    if method == "deformable" and fields:
        reference = fields[0].image
    return method, reference, findings
