"""Speed, flow and direction of a vessel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_ulm3d.vasculature.measures.positions import independent, largest_variance

__all__ = ["NL_MIN_PER_UM2_MM_S", "Speeds", "blood_over_bubbles", "flow_with_error", "speeds_of"]

#: 1 mm/s through 1 um^2, in nl/min.
NL_MIN_PER_UM2_MM_S = 0.06
_PEAK = 95.0
# Systematic parts of the standard error of a flow: a share of the flow, and the error of the radius as a
# share of the standard deviation of a position. They are the smallest round values with which, on average over
# the networks used for choosing (docs/benchmarks.md, "Vessels"), 95 % of the junctions balance within their intervals.
_SHARE_OF_FLOW, _RADIUS_SHARE = 0.2, 0.4


@dataclass(frozen=True)
class Speeds:
    """Speeds in a vessel, mm/s, positive in the direction of the centreline.

    Attributes
    ----------
    mean, mean_error
        Mean over the length of the vessel, of the mean over the part of the cross section that
        bubbles reach; and its standard error.
    by_volume, by_volume_error
        The same mean over the volume of the vessel.
    peak
        95th percentile of the tracks' mean speeds.
    agreement
        1: all bubbles move one way; 0: equally in both directions.
    """

    mean: float
    mean_error: float
    by_volume: float
    by_volume_error: float
    peak: float
    agreement: float


def speeds_of(
    along: NDArray[np.float64],
    track: NDArray[np.int64],
    block: NDArray[np.int64],
    point: NDArray[np.int64],
    window: float,
) -> Speeds:
    """Speeds from the velocity components along a vessel.

    Positions fill the volume of the vessel evenly, so their mean is the mean over its volume, which
    times the mean cross section is the flow. Where the vessel is wide, it contains more positions of slower
    bubbles. For the mean over the length, the mean at each point of the centreline therefore counts equally.
    Unlike the magnitude of a velocity, a component along a line is not biased by noise.

    Parameters
    ----------
    along
        (n,) velocity components, mm/s.
    track, block
        (n,) track and time block of each row, which determine the independent samples.
    point
        (n,) nearest point of the centreline.
    window
        Standard deviation of the Gaussian window of the mean at a point, in points. If it contained only
        one bubble at a time, fast bubbles would count as much as slow ones, although they are there for a shorter time.
    """
    by_volume = float(along.mean())
    by_volume_error = float(along.std()) / np.sqrt(independent(along, track, block))
    weight, away = _evenly_along(along, point, window)
    mean = float(weight @ along)
    error = np.sqrt(largest_variance(weight * away, track, block))
    _, group = np.unique(track, return_inverse=True)
    own = np.bincount(group, along) / np.bincount(group)
    total = float(np.abs(along).mean())
    return Speeds(
        mean,
        # A single track or time block has no spread.
        float(error) if error > 0 else float(by_volume_error),
        by_volume,
        float(by_volume_error),
        float(np.percentile(np.abs(own), _PEAK)),
        abs(by_volume) / total if total > 0 else 0.0,
    )


def _evenly_along(
    value: NDArray[np.float64], point: NDArray[np.int64], window: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) weights with which each point of the centreline counts equally, and deviations from its mean."""
    at = point - point.min()
    n = int(at.max()) + 1

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter1d(values, window, mode="constant", truncate=4.0))

    count = smooth(np.bincount(at, minlength=n).astype(np.float64))
    held = count > 1e-9  # others are farther than the window from all positions
    share = np.where(held, 1 / np.where(held, count, 1.0), 0.0) / held.sum()
    local = smooth(np.bincount(at, value, n).astype(np.float64))[at] / count[at]
    return smooth(share)[at], value - local


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
    speed: float,
    speed_error: float,
    radius_um: float,
    radius_error_um: float,
    sigma_um: float,
) -> tuple[float, float]:
    """Volume flow in nl/min through a round vessel (mean speed times area), and its standard error.

    The error has a statistical part, from the errors of speed and radius, and a systematic part, which does not
    fall with the number of tracks: vessels that are not round or change in width, tracks of neighbouring vessels, bubbles
    too fast to be followed, and the uncertain correction of the radius for `sigma_um`, the standard deviation of a position.
    """
    area = np.pi * radius_um**2
    flow = abs(speed) * area * NL_MIN_PER_UM2_MM_S
    if not flow > 0:
        return flow, float("nan")
    parts = (
        speed_error / abs(speed),
        2 * radius_error_um / radius_um,
        _SHARE_OF_FLOW,
        2 * _RADIUS_SHARE * sigma_um / radius_um,
    )
    return flow, float(flow * np.linalg.norm(parts))
