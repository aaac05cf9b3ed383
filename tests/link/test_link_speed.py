"""The speed limit that the localizations themselves ask for."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link import USUAL_MM_S, chance_tracks, link, link_frames, with_speed
from napari_ulm3d.tables import Localizations, Tracks

EDGE_UM = 4000.0


def flowing(
    speed_mm_s: float,
    error_um: float,
    rate_hz: float,
    *,
    noise: int = 0,
    n: int = 15,
    frames: int = 150,
) -> Localizations:
    """Bubbles that cross a cube at one speed in any direction, with errors and false places."""
    rng = np.random.default_rng(3)
    way = rng.normal(size=(n, 3))
    way *= speed_mm_s * 1000 / rate_hz / np.linalg.norm(way, axis=1, keepdims=True)
    begin = rng.uniform(0, EDGE_UM, (n, 3))
    frame, places = [], []
    for t in range(frames):
        true = (begin + t * way) % EDGE_UM + rng.normal(0, error_um, (n, 3))
        places.append(np.concatenate([true, rng.uniform(0, EDGE_UM, (noise, 3))]))
        frame.append(np.full(n + noise, t))
    at = np.concatenate(places)
    level = np.ones(len(at), np.float32)
    return Localizations.from_arrays(np.concatenate(frame), at, level, level, rate_hz)


def chosen(found: Localizations, rate_hz: float) -> float:
    limit = with_speed(found, rate_hz, LinkConfig()).max_speed_mm_s
    assert limit is not None
    return limit


def test_at_a_high_rate_errors_need_room() -> None:
    """30 mm/s at 1,000 Hz are 30 um, and errors of 18 um an axis put places 44 um apart."""
    found = flowing(20.0, 18.0, 1000.0)
    assert chosen(found, 1000.0) == 3 * USUAL_MM_S
    before = link(found, 1000.0, LinkConfig(max_speed_mm_s=30))
    assert len(link(found, 1000.0)) > 0.9 * len(found) > 5 * len(before)


def test_faster_flow_than_usual_is_followed() -> None:
    assert chosen(flowing(50.0, 5.0, 500.0), 500.0) == 2 * USUAL_MM_S


def test_a_few_tracks_are_enough() -> None:
    """Three bubbles, whose errors of 25 um an axis exceed 30 mm/s at 500 Hz in every other frame."""
    found = flowing(10.0, 25.0, 500.0, n=3, frames=40)
    assert chosen(found, 500.0) > USUAL_MM_S
    before = link(found, 500.0, LinkConfig(max_speed_mm_s=30))
    assert len(link(found, 500.0)) > 0.9 * len(found) > 2 * len(before)


def test_one_track_is_not_enough() -> None:
    """A chain of twelve points may be anything."""
    assert chosen(flowing(50.0, 5.0, 500.0, n=1, frames=12), 500.0) == USUAL_MM_S


@pytest.mark.parametrize(("noise", "rate_hz"), [(0, 260.0), (60, 260.0), (200, 260.0), (60, 100.0)])
def test_the_usual_limit_stays_where_it_is_enough(noise: int, rate_hz: float) -> None:
    """However much noise there is for a wide gate to link."""
    assert chosen(flowing(10.0, 10.0, rate_hz, noise=noise), rate_hz) == USUAL_MM_S


@pytest.mark.parametrize("n_per_frame", [0, 3, 40])
def test_noise_alone_asks_for_nothing(n_per_frame: int) -> None:
    found = flowing(10.0, 10.0, 260.0, noise=n_per_frame, n=0)
    assert chosen(found, 260.0) == USUAL_MM_S


def test_a_given_limit_is_obeyed() -> None:
    found = flowing(20.0, 18.0, 1000.0)
    given = LinkConfig(max_speed_mm_s=12.5)
    assert with_speed(found, 1000.0, given) is given
    assert chance_tracks(found, 1000.0, given).max_speed_mm_s == 12.5


def test_chunks_do_not_decide() -> None:
    found = flowing(20.0, 18.0, 1000.0, frames=300)
    whole = link(found, 1000.0)
    for size in (700, 4000):
        parts = [
            Localizations(found.table[k : k + size].reset_index(drop=True))
            for k in range(0, len(found), size)
        ]
        answers = list(link_frames(iter(parts), 1000.0))
        assert len(answers) == len(parts) + 1
        joined = Tracks.concat(answers).table.sort_values(["track_id", "frame"], ignore_index=True)
        assert joined.equals(whole.table)


def test_the_control_uses_the_same_limit() -> None:
    found = flowing(20.0, 18.0, 1000.0)
    counted = chance_tracks(found, 1000.0, LinkConfig())
    assert counted.max_speed_mm_s == 3 * USUAL_MM_S
