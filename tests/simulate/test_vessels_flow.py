"""Flow in networks: manual results, a dense solver, and published flows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.simulate.flow import FlowConfig, pries_viscosity, solve_flow
from napari_ulm3d.simulate.vasculature import (
    BoundaryConditions,
    VesselNetwork,
    read_secomb,
    read_swc,
    smoothed,
)

PLAIN = FlowConfig(viscosity="constant", viscosity_mpa_s=3.0, max_speed_mm_s=None)


def pressures(**at: float) -> BoundaryConditions:
    nodes = np.array([int(name[1:]) for name in at])
    return BoundaryConditions.of_pressures(nodes, np.array(list(at.values())))


def tubes(*segments: tuple[int, int, float], length: float = 100.0) -> VesselNetwork:
    """Tubes of equal length (nodes on a simplex): from, to, radius."""
    n = max(max(s[:2]) for s in segments) + 1
    if n <= 3:
        nodes = np.array([[0, 0, 0], [0, 0, length], [0, length * 3**0.5 / 2, length / 2]])[:n]
    else:
        # Alternate corners of a cube, all at the same distance from each other.
        nodes = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0.0]]) * length / 2**0.5
    return VesselNetwork(
        nodes, np.array([s[:2] for s in segments]), np.array([s[2] for s in segments], float)
    )


def test_one_tube_follows_poiseuille():
    solved = solve_flow(tubes((0, 1, 10), length=1000), pressures(n0=30, n1=20), PLAIN)
    in_si = np.pi * (10e-6) ** 4 * (10 * 133.322387415) / (8 * 3e-3 * 1e-3)  # m^3/s
    assert solved.flow_nl_min == pytest.approx([in_si * 1e12 * 60])


def test_two_tubes_in_a_row_share_the_pressure_by_resistance():
    one = solve_flow(tubes((0, 1, 10)), pressures(n0=30, n1=20), PLAIN).flow_nl_min[0]
    # Half the radius has 16 times the resistance: 1 of 17 parts of the pressure drops in the first.
    row = solve_flow(tubes((0, 1, 10), (2, 1, 5)), pressures(n0=30, n2=20), PLAIN)
    assert row.flow_nl_min == pytest.approx([one / 17, -one / 17])


def test_two_tubes_side_by_side_share_the_flow_by_the_fourth_power():
    network = VesselNetwork(
        np.array([[0, 0, 0], [0, 0, 100.0]]), np.array([[0, 1], [1, 0]]), np.array([10.0, 5.0])
    )
    flow = solve_flow(network, pressures(n0=30, n1=20), PLAIN).flow_nl_min
    assert flow[0] == pytest.approx(-16 * flow[1])


def test_a_balanced_bridge_carries_no_flow():
    bridge = tubes((0, 1, 10), (0, 2, 10), (1, 3, 10), (2, 3, 10), (1, 2, 10))
    flow = solve_flow(bridge, pressures(n0=30, n3=20), PLAIN).flow_nl_min
    assert flow[4] == pytest.approx(0, abs=1e-12 * flow[0])
    assert flow[:4] == pytest.approx(np.full(4, flow[0]))


def test_a_given_inflow_passes_through():
    given_flow = BoundaryConditions(
        np.empty(0, np.int64), np.empty(0), np.array([0, 2]), np.array([7.0, -7.0])
    )
    solved = solve_flow(tubes((0, 1, 10), (1, 2, 4)), given_flow, PLAIN)
    assert solved.flow_nl_min == pytest.approx([7, 7])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 40))
def test_any_network_agrees_with_a_dense_solution_and_conserves_flow(seed, n):
    rng = np.random.default_rng(seed)
    pairs = [(k, int(rng.integers(k))) for k in range(1, n)]
    pairs += [tuple(rng.choice(n, 2, replace=False)) for _ in range(n)]
    network = VesselNetwork(
        rng.uniform(0, 500, (n, 3)), np.array(pairs), rng.uniform(2, 40, 2 * n - 1)
    )
    known = rng.choice(n, 3, replace=False)
    level = np.array([60.0, 20.0, 10.0])
    solved = solve_flow(network, BoundaryConditions.of_pressures(known, level), PLAIN)
    g = np.pi * network.radius_um**4 / (8 * 3.0 * network.length_um)
    laplacian = np.zeros((n, n))
    for (a, b), c in zip(network.segments, g, strict=True):
        laplacian[[a, b], [a, b]] += c
        laplacian[[a, b], [b, a]] -= c
    free = np.setdiff1d(np.arange(n), known)
    p = np.zeros(n)
    p[known] = level
    p[free] = np.linalg.solve(
        laplacian[np.ix_(free, free)], -laplacian[np.ix_(free, known)] @ level
    )
    expected = g * (p[network.segments[:, 0]] - p[network.segments[:, 1]])
    most = np.abs(expected).argmax()
    expected *= solved.flow_nl_min[most] / expected[most]
    largest = np.abs(expected).max()
    assert solved.flow_nl_min == pytest.approx(expected, abs=1e-7 * largest)
    net = solved.net_inflow_nl_min
    assert np.abs(net[free]).max() < 1e-9 * net.clip(0).sum()


def test_viscosity_law_at_its_known_points():
    # Without cells, only the wall layer remains: (d / (d - 1.1))^2 (Pries et al. 1994).
    assert pries_viscosity(11.0, 0.0) == pytest.approx((11 / 9.9) ** 2)
    # In wide vessels at the reference hematocrit of 0.45: 3.2 times plasma.
    assert pries_viscosity(2000.0, 0.45) == pytest.approx(3.2, rel=0.01)
    # Narrow vessels have the highest viscosity, and more cells increase it.
    d = np.array([4.0, 6.0, 10.0, 40.0])
    assert (np.diff(pries_viscosity(d, 0.45)) < 0).all()
    assert (pries_viscosity(d, 0.5) > pries_viscosity(d, 0.3)).all()


@pytest.mark.parametrize(
    ("name", "config", "tolerance"),
    [
        # Solved by the authors with Pries's law, 55 fl, hematocrit 0.4, to six decimals.
        ("GreensV4_GPU_network", FlowConfig(max_speed_mm_s=None), 1e-4),
        # Solved with constant viscosity; flows are given to 0.001 nl/min.
        ("FlowEstimateV1_NetworkNew", PLAIN, 3e-3),
    ],
)
def test_published_flows_of_mouse_cortex_are_reproduced(shared_data: Path, name, config, tolerance):
    folder = shared_data / "vasculature" / "mouse_cortex_flow"
    network, boundary = read_secomb(folder / f"{name}.dat")
    solved = solve_flow(network, boundary, config)
    assert np.abs(solved.flow_nl_min - network.flow_nl_min).max() < tolerance
    inside = np.setdiff1d(np.arange(network.n_nodes), boundary.flow_node)
    net = solved.net_inflow_nl_min
    assert np.abs(net[inside]).max() < 1e-9 * net.clip(0).sum()


def test_a_traced_tree_is_fed_at_its_widest_end(shared_data: Path):
    folder = shared_data / "vasculature" / "mouse_cortex_swc"
    network = smoothed(read_swc(folder / "seg4.swc.gz"), 8.0)
    for outflow in ("murray", "pressure"):
        solved = solve_flow(network, config=FlowConfig(tree_outflow=outflow))
        net = solved.net_inflow_nl_min
        ends = np.flatnonzero(network.degree == 1)
        fed = ends[net[ends] > 1e-9 * net.max()]
        assert fed.size == 1
        inside = np.flatnonzero(network.degree > 1)
        assert np.abs(net[inside]).max() < 1e-8 * net.max()


def test_tree_outflow_is_proportional_to_radius_cubed():
    tree = tubes((0, 1, 10), (1, 2, 4), (1, 3, 8))
    flow = solve_flow(tree).flow_nl_min
    assert flow[2] / flow[1] == pytest.approx(8)
    assert flow[0] == pytest.approx(flow[1] + flow[2])


def test_labelled_ends_determine_the_boundary():
    tube = VesselNetwork(
        np.array([[0, 0, 0], [0, 0, 50], [0, 0, 99.0]]), np.array([[0, 1], [1, 2]]),
        np.array([3.0, 9.0]), None, np.array([0, 2]),
    )  # fmt: skip
    assert (solve_flow(tube).flow_nl_min > 0).all()


def test_parts_without_boundary_conditions_have_no_flow():
    nodes = np.array([[0, 0, 0], [0, 0, 9], [5, 0, 0], [5, 0, 9.0]])
    two = VesselNetwork(nodes, np.array([[0, 1], [2, 3]]), np.ones(2))
    flow = solve_flow(two, pressures(n0=9, n1=1), PLAIN).flow_nl_min
    assert flow[0] > 0
    assert flow[1] == 0


def test_speed_is_scaled_for_all_or_for_most_of_the_blood():
    tree = tubes((0, 1, 10), (1, 2, 8), (1, 3, 8))
    fast = solve_flow(tree, config=FlowConfig(max_speed_mm_s=17, speed_share=1.0))
    assert 2 * fast.mean_speed_mm_s.max() == pytest.approx(17)
    most = solve_flow(tree, config=FlowConfig(max_speed_mm_s=17, speed_share=0.3))
    assert 2 * most.mean_speed_mm_s.min() == pytest.approx(17)


def test_networks_without_flow_are_reported():
    ring = tubes((0, 1, 5), (1, 2, 5), (2, 0, 5))
    with pytest.raises(InputError, match="lacks two ends"):
        solve_flow(ring)
    with pytest.raises(InputError, match="has no flow"):
        solve_flow(ring, pressures(n0=10, n1=10), PLAIN)
    with pytest.raises(InputError, match="does not have"):
        solve_flow(ring, pressures(n0=10, n9=1), PLAIN)
    with pytest.raises(InputError, match="has no flow yet"):
        _ = ring.mean_speed_mm_s
    with pytest.raises(ConfigError, match="above outlet"):
        FlowConfig().replace(inlet_mmhg=1.0)
