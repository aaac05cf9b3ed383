"""What a measured vessel is corrected for: bubbles that miss the wall, lines that follow their tracks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label
from scipy.stats import norm
from tube_tracks import as_tracks, density, line, tube

from napari_ulm3d import vessels
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import VesselConfig
from napari_ulm3d.vasculature.measures.assign import assign
from napari_ulm3d.vasculature.measures.flow import blood_over_bubbles
from napari_ulm3d.vasculature.measures.lines import Centrelines, followed_share, recentre
from napari_ulm3d.vasculature.trace.mask import vessel_mask
from napari_ulm3d.volumes import VesselMap


def test_blood_is_slower_than_bubbles_that_cannot_touch_the_wall() -> None:
    rng = np.random.default_rng(4)
    diameter, bubble, speed = 60.0, 9.0, 4.0
    path = line((60.0, 200.0, 200.0), (540.0, 200.0, 200.0))
    tables = tube(path, diameter, speed, 800, rng)
    away = [np.hypot(*(table[["y_um", "x_um"]].to_numpy().mean(axis=0) - 200)) for table in tables]
    reached = [table for table, r in zip(tables, away, strict=True) if r < diameter / 2 - bubble]
    tracks = as_tracks(reached)
    map_ = density(tracks, Grid((60, 40, 40), (10.0, 10.0, 10.0)))
    config = VesselConfig(bubble_radius_um=bubble)
    table = vessels(map_, tracks, config).table
    vessel = table.loc[table["length_um"].idxmax()]
    assert vessel["diameter_um"] == pytest.approx(diameter, rel=0.06)
    assert vessel["mean_speed_mm_s"] == pytest.approx(speed, rel=0.06)
    assert tracks.table["speed_mm_s"].mean() > 1.3 * speed
    assert vessel["flow_nl_min"] == pytest.approx(
        speed * np.pi * (diameter / 2) ** 2 * 0.06, rel=0.15
    )


def test_the_mean_of_a_parabola_over_a_part_of_its_disk() -> None:
    r = np.linspace(0, 1, 200_001)
    for reach in (0.1, 0.5, 0.9, 1.0):
        inside = r <= reach
        over_bubbles = (2 * (1 - r**2) * r)[inside].sum() / r[inside].sum()
        assert blood_over_bubbles(20 * reach, 20) == pytest.approx(1 / over_bubbles, rel=1e-3)


@pytest.mark.parametrize("n_tracks", [4, 10, 60])
def test_how_much_of_the_spread_a_centreline_takes_away(n_tracks: int) -> None:
    rng = np.random.default_rng(n_tracks)
    left, told = [], []
    for _ in range(40):
        offset = rng.normal(0, 10.0, (n_tracks, 2))
        z = np.tile(np.arange(0.0, 500.0, 4.0), n_tracks)
        track = np.repeat(np.arange(n_tracks), len(z) // n_tracks)
        position = np.column_stack([z, offset[track]])
        lines = Centrelines(
            np.array([[0.0, 0, 0], [500.0, 0, 0]]), np.array([[0, 1]]),
            [np.column_stack([np.linspace(0, 500, 51), np.zeros((51, 2))])], np.array([25.0]), 10.0,
        )  # fmt: skip
        heading, reach = np.zeros_like(position), np.array([100.0])
        for _ in range(3):
            recentre(lines, assign(position, heading, lines.paths, reach), track)
        found = assign(position, heading, lines.paths, reach)
        left.append((found.offset_um**2).sum(axis=1).mean())
        told.append(followed_share(lines, 0, found.point, track))
    assert np.mean(told) == pytest.approx(1 / n_tracks, rel=0.15)
    assert np.mean(left) / (1 - np.mean(told)) == pytest.approx(200.0, rel=0.12)


@pytest.mark.parametrize("n_tracks", [60, 600, 6000])
def test_neighbours_stay_apart_however_long_the_acquisition(n_tracks: int) -> None:
    """Two capillaries along z, 70 um apart, whose tracks err by 8 um along each axis."""
    rng = np.random.default_rng(n_tracks)
    edges = np.arange(0.0, 410.0, 10.0)
    across = np.diff(norm.cdf(edges[:, None], [165.0, 235.0], 8.0), axis=0).T
    deep = np.diff(norm.cdf(edges, 200.0, 8.0))
    expected = n_tracks * (across[:, :, None] * deep).sum(axis=0)
    counts = rng.poisson(np.broadcast_to(expected, (40, 40, 40))).astype(np.float32)
    map_ = VesselMap.from_dense("density", counts, Grid((40, 40, 40), (10.0,) * 3), unit="tracks")
    mask, _ = vessel_mask(map_, VesselConfig())
    labels, n = label(mask, np.ones((3, 3, 3)))
    assert n == 2
    assert min(np.bincount(labels.ravel())[1:]) >= 2 * 40
