"""The displacement of the tissue in the frames of a block."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["BlockMotion"]


@dataclass(frozen=True)
class BlockMotion:
    """How the tissue moved in a block, frame by frame. It can be pickled.

    Attributes
    ----------
    displacement_um
        (t, 3) displacement of the tissue along z, y, x against the reference, smoothed.
    correlation
        (t,) correlation of each frame with the reference, moved back.
    before
        (t,) the same, not moved back.
    broken
        (t,) frames in which the estimate or the correlation breaks.
    noise_um
        Standard deviation of a frame's estimate along an axis, before smoothing.
    image
        (z, y, x) mean of the block's envelopes, moved back; None where it is not needed.
    """

    displacement_um: NDArray[np.float64]
    correlation: NDArray[np.float64]
    before: NDArray[np.float64]
    broken: NDArray[np.bool_]
    noise_um: float = 0.0
    image: NDArray[np.float32] | None = None

    def against(self, offset_um: NDArray[np.float64]) -> BlockMotion:
        """Against a reference from which this one's is displaced by `offset_um` (3,); no image."""
        return replace(self, displacement_um=self.displacement_um + offset_um, image=None)

    def to_table(self, first_frame: int, rate_hz: float) -> pd.DataFrame:
        """A row a frame: frame, time_s, z_um, y_um, x_um, correlation, correlation_before, broken."""
        frame = first_frame + np.arange(len(self.broken), dtype=np.int64)
        columns = {"frame": frame, "time_s": frame / rate_hz}
        columns |= dict(zip(("z_um", "y_um", "x_um"), self.displacement_um.T, strict=True))
        columns["correlation"] = self.correlation
        columns["correlation_before"] = self.before
        return pd.DataFrame(columns).assign(broken=self.broken)
