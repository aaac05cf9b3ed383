"""Geometry of vessel networks: manual results and general properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.simulate.vasculature import VesselNetwork, smoothed
from napari_ulm3d.simulate.vasculature.branches import branches


def random_network(seed: int, n: int = 30, m: int = 50) -> VesselNetwork:
    rng = np.random.default_rng(seed)
    pairs = np.array([rng.choice(n, 2, replace=False) for _ in range(m)])
    return VesselNetwork(
        rng.uniform(-100, 300, (n, 3)),
        pairs,
        rng.uniform(1, 20, m),
        rng.normal(size=m),
        rng.integers(-1, 3, m),
    )


def line(*points: tuple[float, float, float], radius: float = 5.0) -> VesselNetwork:
    n = len(points)
    segments = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    return VesselNetwork(np.array(points), segments, np.full(n - 1, radius), np.ones(n - 1))


def test_length_volume_and_speed_of_one_tube():
    tube = VesselNetwork(
        np.array([[0, 0, 0], [30, 40, 0.0]]), np.array([[0, 1]]), np.array([10.0]), np.array([-6.0])
    )
    assert tube.length_um == pytest.approx([50])
    assert tube.volume_um3 == pytest.approx([np.pi * 100 * 50])
    # 6 nl/min = 1e5 um^3/s over 314.16 um^2 = 318.31 um/s.
    assert tube.mean_speed_mm_s == pytest.approx([0.31831], rel=1e-5)
    assert tube.net_inflow_nl_min == pytest.approx([-6, 6])
    assert tube.scaled_to_speed(25).mean_speed_mm_s == pytest.approx([12.5])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"segments": np.array([[0, 2]])}, "does not exist"),
        ({"segments": np.array([[1, 1]])}, "to itself"),
        ({"radius_um": np.array([0.0])}, "positive radius"),
        ({"radius_um": np.array([1.0, 2.0])}, "radius_um of shape"),
        ({"flow_nl_min": np.array([np.nan])}, "finite flow"),
        ({"nodes_um": np.array([[0, 0, 0], [0, 0, np.inf]])}, "finite position"),
    ],
)
def test_invalid_networks_are_refused(changes, said):
    good = {
        "nodes_um": np.array([[0, 0, 0], [0, 0, 1.0]]),
        "segments": np.array([[0, 1]]),
        "radius_um": np.array([1.0]),
    }
    with pytest.raises(InputError, match=said):
        VesselNetwork(**(good | changes))


def test_crop_cuts_a_segment_at_the_face():
    whole = line((0, 0, -10), (0, 0, 30))
    part = whole.cropped([[-1, -1, 0], [1, 1, 20]])
    assert np.sort(part.nodes_um[:, 2]) == pytest.approx([0, 20])
    assert part.flow_nl_min == pytest.approx([1])


def test_crop_to_a_grid_uses_the_outer_borders_of_its_voxels():
    part = line((0, 0, -100), (0, 0, 100)).cropped(Grid((3, 3, 5), (1, 1, 2)))
    assert part.bounds_um[:, 2] == pytest.approx([-1, 9])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), corner=st.floats(-50, 100), edge=st.floats(1, 250))
def test_crop_keeps_exactly_the_inside(seed, corner, edge):
    whole = random_network(seed)
    low, high = np.full(3, corner), np.full(3, corner + edge)
    part = whole.cropped([low, high])
    assert (part.nodes_um >= low - 1e-6).all()
    assert (part.nodes_um <= high + 1e-6).all()
    # Reference: fraction of points along the vessels that lie inside.
    t = (np.arange(4000) + 0.5) / 4000
    start, vector = whole.nodes_um[whole.segments[:, 0]], whole.vector_um
    points = start[:, None] + t[:, None] * vector[:, None]
    inside = ((points >= low) & (points <= high)).all(axis=2).mean(axis=1) * whole.length_um
    assert part.length_um.sum() == pytest.approx(inside.sum(), abs=2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.2, 5))
def test_scaling_keeps_speeds(seed, factor):
    network = random_network(seed)
    larger = network.transformed(factor, (5, 6, 7))
    assert larger.mean_speed_mm_s == pytest.approx(network.mean_speed_mm_s)
    assert larger.length_um == pytest.approx(network.length_um * factor)
    assert larger.radius_um == pytest.approx(network.radius_um * factor)


def test_reversal_inverts_flow_and_exchanges_arteries_and_veins():
    network = random_network(1)
    turned = network.reversed()
    assert turned.flow_nl_min == pytest.approx(-network.flow_nl_min)
    assert ((turned.kind == 0) == (network.kind == 2)).all()
    assert (turned.reversed().kind == network.kind).all()


def test_largest_component_is_the_longest():
    network = VesselNetwork(
        np.array([[0, 0, 0], [0, 0, 1], [0, 0, 2], [9, 0, 0], [9, 0, 50.0]]),
        np.array([[0, 1], [1, 2], [3, 4]]),
        np.ones(3),
    )
    assert network.components()[0] == 2
    assert network.largest_component().length_um == pytest.approx([50])


@pytest.mark.parametrize("scale", ["cover", "inside"])
def test_fit_covers_or_stays_inside_the_grid(scale):
    grid = Grid((20, 10, 40), (100, 100, 100), (500, 0, -300))
    network = random_network(3, 60, 120)
    fitted = network.fitted_to(grid, scale)
    low = np.array(grid.origin_um) - 50
    high = low + grid.extent_um
    assert (fitted.bounds_um[0] >= low - 1e-6).all()
    assert (fitted.bounds_um[1] <= high + 1e-6).all()
    ratios = np.array(grid.extent_um) / (network.bounds_um[1] - network.bounds_um[0])
    factor = ratios.max() if scale == "cover" else ratios.min()
    assert np.isin(fitted.radius_um.round(9), (network.radius_um * factor).round(9)).all()
    if scale == "inside":
        assert fitted.n_segments == network.n_segments
        assert fitted.bounds_um.mean(axis=0) == pytest.approx((low + high) / 2)


def test_fitting_to_a_plane_projects_all_vessels():
    grid = Grid((64, 1, 80), (100, 400, 100), (0, 30, 0))
    fitted = random_network(4).fitted_to(grid)
    assert fitted.n_segments > 0
    assert (fitted.nodes_um[:, 1] == 30).all()


def test_branches_of_a_ring_with_a_tail():
    nodes = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0], [0, 0, 2], [0, 0, 3.0]])
    ring = [[0, 1], [1, 2], [2, 3], [3, 0]]
    network = VesselNetwork(nodes, np.array([*ring, [1, 4], [5, 4]]), np.ones(6))
    found = {tuple(sorted(chain)) for _, chain in branches(network)}
    assert found == {(0, 1, 2, 3), (4, 5)}
    lone = VesselNetwork(nodes[:4], np.array(ring), np.ones(4))
    ((path, chain),) = branches(lone)
    assert path[0] == path[-1]
    assert sorted(chain) == [0, 1, 2, 3]


def test_smoothing_removes_voxel_noise_and_keeps_ends_and_flow():
    rng = np.random.default_rng(0)
    n = 2001
    nodes = np.zeros((n, 3))
    nodes[:, 2] = np.linspace(0, 2000, n)
    nodes[1:-1, :2] = rng.uniform(-0.5, 0.5, (n - 2, 2))
    segments = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    segments[::2] = segments[::2, ::-1]
    flow = np.where(np.arange(n - 1) % 2 == 0, -3.0, 3.0)
    rough = VesselNetwork(nodes, segments, rng.integers(4, 7, n - 1).astype(float), flow)
    smooth = smoothed(rough, 40)
    # The windows run along the noisy path, which is longer than the straight line.
    assert smooth.length_um.sum() == pytest.approx(2000, rel=0.005)
    assert np.abs(smooth.nodes_um[:, :2]).max() < 0.2
    assert smooth.radius_um == pytest.approx(np.full(smooth.n_segments, 5.0), abs=0.5)
    assert smooth.bounds_um[:, 2] == pytest.approx([0, 2000])
    assert smooth.flow_nl_min == pytest.approx(np.full(smooth.n_segments, 3.0))
    with pytest.raises(ConfigError):
        smoothed(rough, 0)
