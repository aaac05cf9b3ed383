"""Tissue motion in a block, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.motion.deformation import Deformed

__all__ = ["BlockMotion"]


@dataclass(frozen=True)
class BlockMotion:
    """Tissue motion in a block, frame by frame. Can be pickled.

    Attributes
    ----------
    displacement_um
        (t, 3) displacement of the tissue along z, y, x from the reference, smoothed.
    correlation
        (t,) correlation of each motion-corrected frame with the reference.
    before
        (t,) the same before motion correction.
    broken
        (t,) frames in which the estimate or the correlation is unreliable.
    noise_um
        Standard deviation of the estimate in one frame along an axis, before smoothing.
    image
        (z, y, x) mean of the block's motion-corrected envelopes; None if not needed.
    deformed
        The local displacement in addition to that of the whole volume; None: not estimated.
    """

    displacement_um: NDArray[np.float64]
    correlation: NDArray[np.float64]
    before: NDArray[np.float64]
    broken: NDArray[np.bool_]
    noise_um: float = 0.0
    image: NDArray[np.float32] | None = None
    deformed: Deformed | None = None

    def against(
        self, offset_um: NDArray[np.float64], control_um: NDArray[np.float64] | None = None
    ) -> BlockMotion:
        """Motion relative to another reference; without images.

        Parameters
        ----------
        offset_um
            (3,) displacement of this block's image from the reference.
        control_um
            (a, b, c, 3) its deformation (`deformation_between`); None: none.
        """
        deformed = self.deformed
        if deformed is not None and control_um is not None:
            deformed = replace(deformed, deformation=deformed.deformation.plus(control_um))
        return replace(
            self,
            displacement_um=self.displacement_um + offset_um,
            image=None,
            deformed=None if deformed is None else replace(deformed, image=None),
        )

    def to_table(self, first_frame: int, rate_hz: float) -> pd.DataFrame:
        """Table of frame, time_s, z_um, y_um, x_um, correlation, correlation_before, broken.

        With a deformation also deformation_um, its root mean square over the volume.
        """
        frame = first_frame + np.arange(len(self.broken), dtype=np.int64)
        columns = {"frame": frame, "time_s": frame / rate_hz}
        columns |= dict(zip(("z_um", "y_um", "x_um"), self.displacement_um.T, strict=True))
        if self.deformed is not None:
            columns["deformation_um"] = self.deformed.deformation.rms_um()
        columns["correlation"] = self.correlation
        columns["correlation_before"] = self.before
        return pd.DataFrame(columns).assign(broken=self.broken)
