"""Grown cortex: Murray's law, connectivity, fields of view, speeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.flow import solve_flow
from napari_ulm3d.simulate.vasculature import VasculatureConfig, procedural_network
from napari_ulm3d.simulate.vasculature.growth import grow, murray_radii
from napari_ulm3d.simulate.vasculature.mesh import relative_neighbours

FIELD = (1500.0, 1800.0, 1600.0)


@pytest.fixture(scope="module")
def cortex():
    return procedural_network(FIELD, 5)


def test_same_seed_same_vessels(cortex):
    again, other = procedural_network(FIELD, 5), procedural_network(FIELD, 6)
    assert (again.nodes_um == cortex.nodes_um).all()
    assert (again.radius_um == cortex.radius_um).all()
    assert other.nodes_um.shape != cortex.nodes_um.shape


@pytest.mark.parametrize("exponent", [2.7, 3.0])
def test_murrays_law_holds_at_every_bifurcation(exponent):
    network = procedural_network(FIELD, 1, VasculatureConfig(murray_exponent=exponent))
    for kind in (0, 2):
        # Segments point from root to end in both trees.
        rows = network.kind == kind
        power = network.radius_um[rows] ** exponent
        into = np.zeros(network.n_nodes)
        into[network.segments[rows, 1]] = power
        out = np.bincount(network.segments[rows, 0], weights=power, minlength=network.n_nodes)
        inside = (into > 0) & (out > 0)
        branching = inside & (np.bincount(network.segments[rows, 0], minlength=network.n_nodes) > 1)
        assert branching.sum() > 100
        assert out[inside] == pytest.approx(into[inside])


def test_everything_is_connected_and_ends_only_at_the_feeding_vessels(cortex):
    assert cortex.components()[0] == 1
    ends = np.flatnonzero(cortex.degree == 1)
    of_end = np.isin(cortex.segments, ends).any(axis=1)
    assert ends.size == 6
    assert (cortex.kind[of_end] != 1).all()
    edge = np.minimum(cortex.nodes_um[ends], np.array(FIELD) - cortex.nodes_um[ends])[:, 1:]
    assert (edge.min(axis=1) < 1e-6).all()
    assert set(np.unique(cortex.kind)) == {0, 1, 2}


@pytest.mark.parametrize(
    "field",
    [
        Grid((32, 32, 32), (100, 100, 100)),
        Grid((40, 36, 32), (98.56, 150, 150), (1000, -2000, 0)),
        Grid((64, 1, 80), (98.56, 400, 98.56), (0, 77, 0)),
        (800.0, 20.0, 900.0),
        (150.0, 150.0, 150.0),
    ],
)
def test_any_field_of_view_is_filled_and_flows(field):
    network = solve_flow(procedural_network(field, 2))
    if isinstance(field, Grid):
        low = np.array(field.origin_um) - np.array(field.spacing_um) / 2
        extent = np.array(field.extent_um)
    else:
        low, extent = np.zeros(3), np.array(field)
    assert (network.nodes_um >= low - 1e-6).all()
    assert (network.nodes_um <= low + extent + 1e-6).all()
    size = network.bounds_um[1] - network.bounds_um[0]
    assert (size[[0, 2]] > 0.7 * extent[[0, 2]]).all()
    if extent[1] < 0.1 * extent[0] or (isinstance(field, Grid) and field.shape[1] == 1):
        assert network.nodes_um[:, 1] == pytest.approx(low[1] + extent[1] / 2)
    inside = network.degree > 1
    net = network.net_inflow_nl_min
    assert np.abs(net[inside]).max() < 1e-9 * net.clip(0).sum()
    assert 2 * network.mean_speed_mm_s.max() == pytest.approx(25)


def test_sizes_and_speeds_match_cortex(cortex):
    solved = solve_flow(cortex)
    radius = [solved.radius_um[solved.kind == k] for k in range(3)]
    speed = [solved.mean_speed_mm_s[solved.kind == k] for k in range(3)]
    assert radius[1].min() > 2
    assert radius[1].max() < 5
    assert 15 < radius[0].max() < 60
    assert 15 < radius[2].max() < 60
    assert np.median(radius[2]) > np.median(radius[0])
    assert 0.1 < np.median(speed[1]) < 2
    assert np.median(speed[0]) > np.median(speed[2]) > np.median(speed[1])
    net = solved.net_inflow_nl_min
    fed = np.flatnonzero(net > 1e-6 * net.max())
    first = np.isin(solved.segments, fed).any(axis=1) & (solved.degree[solved.segments] == 1).any(
        axis=1
    )
    assert (solved.kind[first] == 0).all()


def test_a_field_that_cannot_be_filled_is_refused():
    with pytest.raises(ConfigError, match="extend along z and x"):
        procedural_network((0.0, 10.0, 10.0), 0)
    with pytest.raises(ConfigError, match="three lengths"):
        procedural_network((1.0, 2.0), 0)
    with pytest.raises(ConfigError, match="use at least"):
        procedural_network((9e4, 9e4, 9e4), 0, VasculatureConfig(capillary_spacing_um=60))


def test_growth_without_path_weight_is_the_minimum_spanning_tree():
    points = np.random.default_rng(0).uniform(0, 1, (120, 3))
    parent = grow(points[:1], points[1:], 0.0)
    length = np.linalg.norm(points[1:] - points[parent], axis=1).sum()
    assert length == pytest.approx(minimum_spanning_tree(cdist(points, points)).sum())


def test_growth_with_large_path_weight_is_a_star():
    points = np.random.default_rng(0).uniform(0, 1, (50, 3))
    assert (grow(points[:1], points[1:], 1e6) == 0).all()


def test_radii_of_a_small_tree():
    # 0 - 1 - {2, 3 - {4, 5}}, ends of radius 2.
    radius = murray_radii(np.array([-1, 0, 1, 1, 3, 3]), np.full(6, 2.0), 3.0)
    assert radius**3 == pytest.approx([24, 24, 8, 16, 8, 8])


def test_neighbour_graph_agrees_with_its_definition():
    points = np.random.default_rng(1).uniform(0, 1, (150, 3))
    d = cdist(points, points)
    expected = {
        (i, j)
        for i in range(150)
        for j in range(i + 1, 150)
        if not (np.maximum(d[i], d[j]) < d[i, j]).any()
    }
    assert {tuple(p) for p in relative_neighbours(points, 60).tolist()} == expected
    assert len(relative_neighbours(points[:1])) == 0
