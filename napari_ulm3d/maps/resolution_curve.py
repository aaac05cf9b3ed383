"""A Fourier shell correlation, and the resulting resolution if there are enough tracks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["FEWEST_TRACKS", "FIXED_THRESHOLD", "Resolution", "resolution_text"]

#: The fixed criterion 1/7 (0.143; Rosenthal & Henderson 2003, Nieuwenhuizen et al. 2013).
FIXED_THRESHOLD = 1.0 / 7.0

#: With fewer tracks no resolution is given: the two halves then rarely share vessels, and
#: the curve reflects sparse filling rather than resolution.
FEWEST_TRACKS = 500


@dataclass(frozen=True)
class Resolution:
    """A Fourier shell correlation and the resulting resolutions.

    Attributes
    ----------
    frequency_per_um
        (shells,) spatial frequency of each shell, 1/um, up to Nyquist.
    correlation
        (shells,) correlation of the two halves; NaN for shells without signal.
    half_bit
        (shells,) 1/2-bit threshold for half sets (signal-to-noise ratio 0.2071 per half).
    n_independent
        (shells,) effective number n of coefficients in the shell, including conjugate ones, such
        that halves of pure noise correlate with a standard deviation of 1 / sqrt(n).
    resolution_um
        Period at which the curve first falls below `half_bit`. Twice the voxel size if it never
        does (limited by the voxel, not the data). NaN if it never exceeds it.
    resolution_fixed_um
        The same for the fixed threshold 1/7.
    limited_by_voxel
        Whether `resolution_um` is the Nyquist period rather than a crossing.
    notes
        How it was computed, and caveats, one sentence each.
    axes_um
        `resolution_um` along z, y, x, from only the coefficients within 45 degrees of the axis;
        NaN along an axis with one voxel, and if the curve never exceeds the threshold.
    axes_correlation
        (3, shells) correlation of these coefficients.
    n_tracks
        Number of tracks in both halves; None if unknown.
    """

    frequency_per_um: NDArray[np.float64]
    correlation: NDArray[np.float64]
    half_bit: NDArray[np.float64]
    n_independent: NDArray[np.float64]
    resolution_um: float
    resolution_fixed_um: float
    limited_by_voxel: bool
    notes: tuple[str, ...] = field(default=())
    axes_um: tuple[float, float, float] = (float("nan"),) * 3
    axes_correlation: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 0)))
    n_tracks: int | None = None

    @property
    def text(self) -> str:
        """The resolution as text, or the reason why there is none."""
        known = None if np.isnan(self.resolution_um) else self.resolution_um
        return resolution_text(known, self.n_tracks)

    def trusted(self) -> Resolution:
        """A copy without a resolution if there are fewer than `FEWEST_TRACKS` tracks; else itself."""
        if self.n_tracks is None or self.n_tracks >= FEWEST_TRACKS:
            return self
        nan = float("nan")
        return replace(
            self,
            resolution_um=nan,
            resolution_fixed_um=nan,
            limited_by_voxel=False,
            axes_um=(nan, nan, nan),
            notes=(
                *self.notes,
                f"Too few tracks to measure a resolution: {self.n_tracks:,}, and at least "
                f"{FEWEST_TRACKS:,} are needed.",
            ),
        )

    def known_axes_um(self) -> dict[str, float]:
        """The resolution along each axis where it is known, by name."""
        along = zip("zyx", self.axes_um, strict=True)
        return {name: float(value) for name, value in along if not np.isnan(value)}

    def to_table(self) -> pd.DataFrame:
        """The curve by shell: frequency_per_um, correlation, half_bit, fixed, n_independent.

        Also correlation_z, correlation_y, correlation_x, along one axis each.
        """
        along = zip("zyx", self.axes_correlation, strict=True)
        axes = {f"correlation_{name}": curve for name, curve in along if curve.size}
        table = pd.DataFrame(
            {
                "frequency_per_um": self.frequency_per_um,
                "correlation": self.correlation,
                "half_bit": self.half_bit,
                "fixed": FIXED_THRESHOLD,
                "n_independent": self.n_independent,
            }
        )
        return table.assign(**axes)


def resolution_text(resolution_um: float | None, n_tracks: int | None) -> str:
    """A resolution as text; if there is none, whether there were too few tracks."""
    if n_tracks is not None and n_tracks < FEWEST_TRACKS:
        return f"too few tracks to measure ({n_tracks:,}; at least {FEWEST_TRACKS:,})"
    return "not measured" if resolution_um is None else f"{resolution_um:.1f} um"
