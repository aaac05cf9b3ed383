"""The speed of a vessel is a mean over its length, its flow is that of every cross section, and errors say how far off both are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_ulm3d.vasculature.measures.flow import Speeds, flow_with_error, speeds_of

POINTS, STEP_UM, FRAME_S = 60, 10.0, 0.004


def drift(radius_um: NDArray[np.float64], flow: float, n_bubbles: int, seed: int) -> Speeds:
    """Speeds from bubbles that cross a round vessel, whose radius is given at each point, at random times.

    The bubbles enter in proportion to the flow on their streamline, and are seen once in a frame.
    """
    rng = np.random.default_rng(seed)
    # Share of the flow within u = (r / R)^2 is u (2 - u).
    u = 1 - np.sqrt(1 - rng.random(n_bubbles))
    along, track, point = [], [], []
    for k in range(n_bubbles):
        speed = 2 * flow / (np.pi * radius_um**2) * (1 - u[k])
        arrives = np.concatenate([[0.0], np.cumsum(STEP_UM / (1000 * speed))])
        seen = np.arange(rng.random() * FRAME_S, arrives[-1], FRAME_S)
        at = np.minimum(np.searchsorted(arrives, seen, side="right") - 1, POINTS - 1)
        along.append(speed[at])
        track.append(np.full(len(at), k))
        point.append(at)
    n = [len(a) for a in along]
    block = np.repeat(rng.integers(0, 20, n_bubbles), n)
    side_by_side = sum(len(np.unique(p)) for p in point) / POINTS
    return speeds_of(
        np.concatenate(along), np.concatenate(track), block, np.concatenate(point),
        max(1.0, 12 / side_by_side),
    )  # fmt: skip


def test_a_vessel_that_widens() -> None:
    radius = np.where(np.arange(POINTS) < POINTS // 2, 20.0, 32.0)
    flow = 4.0 * np.pi * 20.0**2  # 4 mm/s in the narrow half
    speeds = drift(radius, flow, 1500, 0)
    true = flow / (np.pi * radius**2)
    assert speeds.mean == pytest.approx(true.mean(), rel=0.06)
    # Bubbles spend 72 % of their time in the wide half.
    assert speeds.by_volume == pytest.approx(flow / (np.pi * radius**2).mean(), rel=0.06)
    assert speeds.by_volume < 0.9 * speeds.mean


def test_few_bubbles_do_not_make_a_vessel_faster() -> None:
    """At a point crossed by one bubble, fast ones must not count as much as slow ones: they would add a third."""
    radius = np.full(POINTS, 20.0)
    found = [drift(radius, 3.0 * np.pi * 20.0**2, 12, seed).mean for seed in range(60)]
    assert np.mean(found) == pytest.approx(3.0, rel=0.12)


def test_the_error_of_a_mean_speed_is_its_spread() -> None:
    radius = np.full(POINTS, 20.0)
    found = [drift(radius, 3.0 * np.pi * 20.0**2, 60, seed) for seed in range(40)]
    spread = np.std([speeds.mean for speeds in found])
    assert np.median([speeds.mean_error for speeds in found]) == pytest.approx(spread, rel=0.35)


def test_more_tracks_do_not_take_away_the_systematic_error_of_a_flow() -> None:
    flow, error = flow_with_error(3.0, 0.0, 20.0, 0.0, 5.0)
    assert flow == pytest.approx(3.0 * np.pi * 400 * 0.06)
    assert error > 0.2 * flow
    narrow = flow_with_error(3.0, 0.0, 4.0, 0.0, 5.0)
    assert narrow[1] / narrow[0] > 0.9  # half the diameter is a localization error
    sampled = flow_with_error(3.0, 1.5, 20.0, 0.0, 5.0)
    assert sampled[1] ** 2 == pytest.approx(error**2 + (0.5 * flow) ** 2)
