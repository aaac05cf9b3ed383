"""Compiled loop for bubbles that follow streamlines, choose branches, leave and enter."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.simulate.flow.channels import Channels

__all__ = ["COLUMNS", "admit", "advance", "observe", "place"]

# Columns of the bubbles' state (n, COLUMNS): time spent in the segment and time it takes, s;
# fraction of flow inside the streamline; entry and exit points, um; unit vector from the
# centreline, perpendicular to the segment.
_SPENT, _TAKES, _STREAMLINE, _ENTRY, _EXIT, _AWAY = 0, 1, 2, 3, 6, 9
COLUMNS = 12
# A path along the inside of a bend can be shorter than the centreline, or even of length zero;
# a bubble takes at least this fraction of the centreline's time.
_SHORTCUT = 0.25


@njit(cache=True, nogil=True)
def _random(state: NDArray[np.uint64]) -> float:
    """Uniform random number in [0, 1): splitmix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True)
def _choose(shares: NDArray[np.float64], first: int, last: int, state: NDArray[np.uint64]) -> int:
    """Index in shares[first:last] (ascending) for a random number; `last` if above all."""
    u = _random(state)
    low, high = first, last
    while low < high:
        middle = (low + high) // 2
        if u < shares[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@njit(cache=True, nogil=True)
def _turn(away: NDArray[np.float64], old: tuple, new: tuple) -> None:
    """Rotate a unit vector perpendicular to `old` by the smallest rotation from old to new."""
    cosine = old[0] * new[0] + old[1] * new[1] + old[2] * new[2]
    along = away[0] * new[0] + away[1] * new[1] + away[2] * new[2]
    factor = along / (1.0 + cosine) if cosine > -0.999999 else 0.0
    for k in range(3):
        away[k] -= factor * (old[k] + new[k])
    # Rounding errors must not accumulate over thousands of segments.
    drift = away[0] * new[0] + away[1] * new[1] + away[2] * new[2]
    for k in range(3):
        away[k] -= drift * new[k]
    norm = math.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2)
    for k in range(3):
        away[k] /= norm


@njit(cache=True, nogil=True)
def _offset(channels: Channels, segment: int, streamline: float) -> float:
    """Distance from the centreline, um."""
    widest = channels.widest[segment]
    u = 1.0 - math.sqrt(1.0 - streamline * widest * (2.0 - widest))
    return channels.radius[segment] * math.sqrt(u)


@njit(cache=True, nogil=True)
def _run_through(
    channels: Channels, bubble: NDArray[np.float64], segment: int, slowest: float, fastest: float,
    state: NDArray[np.uint64],
) -> int:  # fmt: skip
    """Send a bubble from the entry of a segment to its end; return the next segment, or -1."""
    tangent = channels.tangent
    here = (tangent[segment, 0], tangent[segment, 1], tangent[segment, 2])
    first, last = channels.first_out[segment], channels.first_out[segment + 1]
    at = _choose(channels.out_share, first, last, state) if last > first else last
    following = channels.out[at] if at < last else -1
    streamline = bubble[_STREAMLINE]
    offset = _offset(channels, segment, streamline)
    away = bubble[_AWAY : _AWAY + 3]
    if following >= 0:
        # At a joint, the offset is perpendicular to the bisector and fits into both lumens, so that
        # the path is continuous and stays inside.
        offset = min(offset, _offset(channels, following, streamline))
        there = (tangent[following, 0], tangent[following, 1], tangent[following, 2])
        m0, m1, m2 = here[0] + there[0], here[1] + there[1], here[2] + there[2]
        norm = math.sqrt(m0 * m0 + m1 * m1 + m2 * m2)
        if norm > 1e-3:
            joint = (m0 / norm, m1 / norm, m2 / norm)
            _turn(away, here, joint)
            for k in range(3):
                bubble[_EXIT + k] = channels.end[segment, k] + offset * away[k]
            _turn(away, joint, there)
        else:
            for k in range(3):
                bubble[_EXIT + k] = channels.end[segment, k] + offset * away[k]
    else:
        for k in range(3):
            bubble[_EXIT + k] = channels.end[segment, k] + offset * away[k]
    widest = channels.widest[segment]
    # 1 - (r/R)^2 of the streamline, times twice the mean speed.
    speed = 2.0 * channels.mean_speed[segment]
    speed *= math.sqrt(1.0 - streamline * widest * (2.0 - widest))
    speed = min(max(speed, slowest), fastest)
    path = 0.0
    for k in range(3):
        path += (bubble[_EXIT + k] - bubble[_ENTRY + k]) ** 2
    bubble[_SPENT] = 0.0
    bubble[_TAKES] = max(math.sqrt(path), _SHORTCUT * channels.length[segment]) / speed
    return following


@njit(cache=True, nogil=True)
def _begin(
    channels: Channels, bubble: NDArray[np.float64], segment: int, streamline: float,
    slowest: float, fastest: float, state: NDArray[np.uint64],
) -> int:  # fmt: skip
    """Place a new bubble at the entry of a segment, on a random side."""
    t = channels.tangent[segment]
    # Two vectors perpendicular to the tangent, from the coordinate axis furthest from it.
    axis = 0
    for k in range(1, 3):
        if abs(t[k]) < abs(t[axis]):
            axis = k
    a = np.zeros(3)
    a[axis] = 1.0
    for k in range(3):
        a[k] -= t[axis] * t[k]
    norm = math.sqrt(a[0] ** 2 + a[1] ** 2 + a[2] ** 2)
    angle = 2.0 * math.pi * _random(state)
    c, s = math.cos(angle) / norm, math.sin(angle) / norm
    bubble[_AWAY] = c * a[0] + s * (t[1] * a[2] - t[2] * a[1])
    bubble[_AWAY + 1] = c * a[1] + s * (t[2] * a[0] - t[0] * a[2])
    bubble[_AWAY + 2] = c * a[2] + s * (t[0] * a[1] - t[1] * a[0])
    bubble[_STREAMLINE] = streamline
    offset = _offset(channels, segment, streamline)
    for k in range(3):
        bubble[_ENTRY + k] = channels.start[segment, k] + offset * bubble[_AWAY + k]
    return _run_through(channels, bubble, segment, slowest, fastest, state)


@njit(cache=True, nogil=True)
def place(
    channels: Channels, bubbles: NDArray[np.float64], where: NDArray[np.int64],
    segment: NDArray[np.int64], streamline: NDArray[np.float64], slowest: float, fastest: float,
    state: NDArray[np.uint64],
) -> None:  # fmt: skip
    """Place bubbles at random positions along given segments (initial state).

    `where` (n, 2), filled here: current segment of each bubble and the next one.
    """
    for i in range(len(bubbles)):
        where[i, 0] = segment[i]
        where[i, 1] = _begin(
            channels, bubbles[i], segment[i], streamline[i], slowest, fastest, state
        )
        bubbles[i, _SPENT] = _random(state) * bubbles[i, _TAKES]


@njit(cache=True, nogil=True)
def admit(
    channels: Channels, bubbles: NDArray[np.float64], where: NDArray[np.int64],
    slowest: float, fastest: float, state: NDArray[np.uint64],
) -> None:  # fmt: skip
    """Place bubbles at the inlets, in proportion to the inflow."""
    for i in range(len(bubbles)):
        at = _choose(channels.inlet_share, 0, len(channels.inlet), state)
        segment = channels.inlet[at]
        streamline = _random(state)
        where[i, 0] = segment
        where[i, 1] = _begin(channels, bubbles[i], segment, streamline, slowest, fastest, state)


@njit(cache=True, nogil=True)
def advance(
    channels: Channels, bubbles: NDArray[np.float64], where: NDArray[np.int64],
    ident: NDArray[np.int64], seconds: NDArray[np.float64], slowest: float, fastest: float,
    replace: bool, next_id: int, state: NDArray[np.uint64],
) -> int:  # fmt: skip
    """Advance bubbles by `seconds` (n,) each; return the next unused number.

    With `replace`, a bubble that leaves is immediately replaced at an inlet, with a new number;
    otherwise its number becomes -1.
    """
    for i in range(len(bubbles)):
        left = seconds[i]
        while True:
            rest = bubbles[i, _TAKES] - bubbles[i, _SPENT]
            if left < rest:
                bubbles[i, _SPENT] += left
                break
            left -= rest
            segment = where[i, 1]
            if segment >= 0:
                for k in range(3):
                    bubbles[i, _ENTRY + k] = bubbles[i, _EXIT + k]
                where[i, 0] = segment
                where[i, 1] = _run_through(channels, bubbles[i], segment, slowest, fastest, state)
            elif replace:
                admit(channels, bubbles[i : i + 1], where[i : i + 1], slowest, fastest, state)
                ident[i] = next_id
                next_id += 1
            else:
                ident[i] = -1
                break
    return next_id


@njit(cache=True, nogil=True)
def observe(
    channels: Channels, bubbles: NDArray[np.float64], where: NDArray[np.int64], pace: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Positions (n, 3) um, velocities (n, 3) mm/s and vessel radii (n,) um, at the given pace."""
    n = len(bubbles)
    position, velocity, radius = np.empty((n, 3)), np.empty((n, 3)), np.empty(n)
    for i in range(n):
        radius[i] = channels.radius[where[i, 0]]
        done = bubbles[i, _SPENT] / bubbles[i, _TAKES]
        for k in range(3):
            path = bubbles[i, _EXIT + k] - bubbles[i, _ENTRY + k]
            position[i, k] = bubbles[i, _ENTRY + k] + done * path
            velocity[i, k] = path / bubbles[i, _TAKES] * pace / 1000.0
    return position, velocity, radius
