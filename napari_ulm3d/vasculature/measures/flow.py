"""Speed, flow and direction of a vessel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.vasculature.measures.positions import independent

__all__ = ["NL_MIN_PER_UM2_MM_S", "Speeds", "blood_over_bubbles", "flow_with_error", "speeds_of"]

#: 1 mm/s through 1 um^2, in nl/min.
NL_MIN_PER_UM2_MM_S = 0.06
_PEAK = 95.0


@dataclass(frozen=True)
class Speeds:
    """Speeds in a vessel, mm/s.

    Attributes
    ----------
    mean, mean_error
        Mean over the part of the cross section that bubbles reach, positive in the direction of
        the centreline; and its standard error.
    peak
        95th percentile of the tracks' mean speeds.
    agreement
        1: all bubbles move one way; 0: equally in both directions.
    """

    mean: float
    mean_error: float
    peak: float
    agreement: float


def speeds_of(
    along: NDArray[np.float64], track: NDArray[np.int64], block: NDArray[np.int64]
) -> Speeds:
    """Speeds from the velocity components along a vessel.

    Positions fill the cross section evenly, so their mean is the mean over the cross section.
    Unlike the magnitude of a velocity, a component along a line is not biased by noise.

    Parameters
    ----------
    along
        (n,) velocity components, mm/s.
    track, block
        (n,) track and time block of each row, which determine the independent samples.
    """
    mean = float(along.mean())
    _, group = np.unique(track, return_inverse=True)
    own = np.bincount(group, along) / np.bincount(group)
    error = float(along.std()) / np.sqrt(independent(along, track, block))
    total = float(np.abs(along).mean())
    peak = float(np.percentile(np.abs(own), _PEAK))
    return Speeds(mean, float(error), peak, abs(mean) / total if total > 0 else 0.0)


def blood_over_bubbles(reach_um: float, radius_um: float) -> float:
    """Mean speed of the blood as a fraction of the mean speed of the bubbles.

    The centre of a bubble stays at least its own radius away from the wall, so bubbles
    miss the slowest layer and are faster than the blood on average, as are red cells
    (Goldsmith, Cokelet & Gaehtgens, Am. J. Physiol. 257:H1005, 1989). In a parabolic profile of
    mean u, the mean over a disk of radius `reach_um` within a lumen of `radius_um` is
    ``u (2 - (reach / radius)^2)``.
    """
    return 1 / (2 - (reach_um / radius_um) ** 2)


def flow_with_error(
    speed: float, speed_error: float, radius_um: float, radius_error_um: float
) -> tuple[float, float]:
    """Volume flow in nl/min through a round vessel (mean speed times area), and its error."""
    area = np.pi * radius_um**2
    flow = abs(speed) * area * NL_MIN_PER_UM2_MM_S
    if not flow > 0:
        return flow, float("nan")
    relative = np.hypot(speed_error / abs(speed), 2 * radius_error_um / radius_um)
    return flow, float(flow * relative)
