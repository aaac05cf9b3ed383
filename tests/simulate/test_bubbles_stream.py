"""Bubbles in networks: profile, branching, steady state, lumen, streaming."""

from __future__ import annotations

import tracemalloc
from itertools import islice, pairwise

import numpy as np
import pytest
from scipy import stats

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.simulate.bubbles import stream_bubbles
from napari_ulm3d.simulate.flow import FlowConfig, solve_flow
from napari_ulm3d.simulate.flow.bubbles import BubbleConfig
from napari_ulm3d.simulate.vasculature import VesselNetwork, procedural_network

POINTS = BubbleConfig(bubble_radius_um=0.0, min_speed_mm_s=1e-6, max_speed_mm_s=None)


def tube(radius=20.0, length=1000.0, speed=2.0) -> VesselNetwork:
    flow = speed * np.pi * radius**2 * 60 / 1000
    return VesselNetwork(
        np.array([[5, 5, 0], [5, 5, length]]),
        np.array([[0, 1]]),
        np.array([radius]),
        np.array([flow]),
    )


def fork() -> VesselNetwork:
    """One vessel of 10 um that branches into three, with fractions of the flow 0.5, 0.3, 0.2."""
    nodes = np.array([[0, 0, 0], [0, 0, 300], [200, 0, 400], [0, 0, 600], [-100, 50, 400.0]])
    segments = np.array([[0, 1], [1, 2], [3, 1], [1, 4]])
    flow = 20.0 * np.array([1.0, 0.5, -0.3, 0.2])
    return VesselNetwork(nodes, segments, np.array([10.0, 7.0, 8.0, 4.0]), flow)


@pytest.fixture(scope="module")
def cortex():
    return solve_flow(procedural_network((600.0, 700.0, 650.0), 4))


def stream(network, n=40, rate=500.0, frames=200, seed=0, config=None, **more):
    return list(
        stream_bubbles(
            network, n_bubbles=n, rate_hz=rate, n_frames=frames, seed=seed, config=config, **more
        )
    )


def test_bubbles_fill_a_tube_evenly_and_follow_the_parabola():
    frame = stream(tube(), 20_000, frames=1, config=POINTS)[0]
    share = ((frame.position_um[:, :2] - 5) ** 2).sum(axis=1) / 20**2
    assert stats.kstest(share, "uniform").pvalue > 0.01
    assert stats.kstest(frame.position_um[:, 2] / 1000, "uniform").pvalue > 0.01
    angle = np.arctan2(frame.position_um[:, 0] - 5, frame.position_um[:, 1] - 5)
    assert stats.kstest(angle / (2 * np.pi) + 0.5, "uniform").pvalue > 0.01
    assert frame.velocity_mm_s[:, 2] == pytest.approx(4.0 * (1 - share), abs=1e-9)
    assert frame.velocity_mm_s[:, :2] == pytest.approx(np.zeros((20_000, 2)), abs=1e-9)
    # The mean over the cross-section is flow over area.
    assert frame.velocity_mm_s[:, 2].mean() == pytest.approx(2.0, rel=0.01)


def test_bubbles_enter_in_proportion_to_the_flow_on_their_streamline():
    # Bubbles that entered within the last frame: the flux-weighted r/R has the CDF 2u - u^2.
    short = stream(tube(length=1e5), 4000, rate=2.0, frames=40, config=POINTS)
    first = 4000
    shares = []
    for frame in short[1:]:
        new = frame.bubble_id >= first
        first = frame.bubble_id.max() + 1
        shares.append(((frame.position_um[new, :2] - 5) ** 2).sum(axis=1) / 20**2)
    u = np.concatenate(shares)
    assert u.size > 1000
    assert stats.kstest(2 * u - u**2, "uniform").pvalue > 0.01


@pytest.mark.parametrize("pulsatility", [0.0, 0.4])
def test_positions_advance_by_the_velocity(pulsatility):
    config = POINTS.replace(pulsatility=pulsatility, heart_rate_hz=5.0)
    frames = stream(tube(length=1e4), 500, rate=1000.0, frames=200, config=config)
    for a, b in zip(frames[::7], frames[1::7], strict=False):
        same = a.bubble_id == b.bubble_id
        moved = (b.position_um - a.position_um)[same] / 1e-3 / 1000
        mean = (a.velocity_mm_s + b.velocity_mm_s)[same] / 2
        # Trapezoidal integral of a sine over 1 of 200 ms.
        assert moved == pytest.approx(mean, abs=1e-4 + 0.002 * pulsatility)
    if pulsatility:
        speeds = np.array([f.velocity_mm_s[:, 2].max() for f in frames])
        assert speeds.max() / speeds.min() == pytest.approx(1.4 / 0.6, rel=0.02)
        # Over a heartbeat they travel as far as in steady flow.
        assert config.elapsed(0.2) == pytest.approx(0.2)
        assert config.elapsed(0.1) > 0.1


def test_branches_are_chosen_by_flow():
    network = fork()
    first, last = {}, {}
    for frame in stream(network, 200, rate=200.0, frames=3000, seed=3):
        for ident, radius in zip(frame.bubble_id.tolist(), frame.radius_um.tolist(), strict=True):
            first.setdefault(ident, radius)
            last[ident] = radius
    gone = [last[i] for i in last if first[i] == 10.0 and i < max(last) - 200 and last[i] != 10.0]
    counts = [gone.count(r) for r in (7.0, 8.0, 4.0)]
    assert sum(counts) > 5000
    expected = np.array([0.5, 0.3, 0.2]) * sum(counts)
    assert stats.chisquare(counts, expected).pvalue > 0.01


def test_the_first_frame_is_in_the_steady_state():
    network = fork()
    config = BubbleConfig(min_speed_mm_s=0.5)
    frames = stream(network, 20_000, rate=2.0, frames=8, config=config)
    radii = (10.0, 7.0, 8.0, 4.0)
    early = [(frames[0].radius_um == r).sum() for r in radii]
    late = [(frames[-1].radius_um == r).sum() for r in radii]
    assert stats.chi2_contingency([early, late]).pvalue > 0.01
    assert stats.ks_2samp(
        np.linalg.norm(frames[0].velocity_mm_s, axis=1),
        np.linalg.norm(frames[-1].velocity_mm_s, axis=1),
    ).pvalue > 0.01  # fmt: skip


def test_the_number_is_constant_and_ids_are_never_reused(cortex):
    seen: set[int] = set()
    previous: set[int] = set()
    for frame in stream(cortex, 57, rate=50.0, frames=400):
        current = set(frame.bubble_id.tolist())
        assert len(frame) == len(current) == 57
        assert not (current - previous) & seen
        seen |= current
        previous = current
    assert len(seen) > 300


def test_a_random_number_keeps_its_mean():
    config = BubbleConfig(supply="poisson", min_speed_mm_s=0.5)
    frames = stream(fork(), 60, rate=5.0, frames=3000, config=config)
    number = np.array([len(f) for f in frames])
    assert number[0] != number[-1] or number.std() > 0
    assert number.mean() == pytest.approx(60, abs=1.5)
    assert number.var() == pytest.approx(60, rel=0.25)
    ids = np.concatenate([f.bubble_id for f in frames])
    assert (np.diff(np.unique(ids)) > 0).all()


def test_no_bubble_is_outside_the_lumen_or_jumps(cortex):
    frames = stream(cortex, 60, rate=400.0, frames=150)
    a, b = (cortex.nodes_um[cortex.segments[:, k]] for k in (0, 1))
    ab = b - a
    square = (ab**2).sum(axis=1)
    for frame in frames[::10]:
        for p, r in zip(frame.position_um, frame.radius_um, strict=True):
            t = np.clip(((p - a) * ab).sum(axis=1) / square, 0, 1)
            distance = np.linalg.norm(a + t[:, None] * ab - p, axis=1)
            within = distance <= cortex.radius_um - 1.0 + 1e-6
            within |= (distance < 1e-6) & (cortex.radius_um < 1.0)
            assert within[np.isclose(cortex.radius_um, r)].any()
    for one, two in pairwise(frames):
        same = one.bubble_id == two.bubble_id
        step = np.linalg.norm((two.position_um - one.position_um)[same], axis=1)
        assert step.max() <= 25.0 * 1000 / 400 + 1e-6


def test_speeds_stay_within_their_limits(cortex):
    config = BubbleConfig(max_speed_mm_s=5.0, min_speed_mm_s=0.8, pulsatility=0.3, heart_rate_hz=9)
    straight = tube(length=1e4, speed=20.0)
    for network in (cortex, straight):
        frames = stream(network, 200, rate=90.0, frames=60, config=config)
        speed = np.concatenate([np.linalg.norm(f.velocity_mm_s, axis=1) for f in frames])
        assert speed.max() <= 5.0 + 1e-9
    frames = stream(straight, 2000, rate=90.0, frames=60, config=config)
    assert min(np.linalg.norm(f.velocity_mm_s, axis=1).min() for f in frames) >= 0.8 - 1e-9


def test_same_seed_same_stream_however_it_is_consumed(cortex):
    whole = stream(cortex, 30, frames=60, seed=9)
    endless = stream_bubbles(cortex, n_bubbles=30, rate_hz=500, n_frames=None, seed=9)
    other = stream_bubbles(cortex, n_bubbles=30, rate_hz=500, n_frames=None, seed=10)
    pieces = []
    for size in (1, 7, 52):
        pieces += list(islice(endless, size))
        next(other)
    for one, two in zip(whole, pieces, strict=True):
        assert one.frame == two.frame
        assert (one.bubble_id == two.bubble_id).all()
        assert (one.position_um == two.position_um).all()
        assert (one.velocity_mm_s == two.velocity_mm_s).all()
    assert not np.isclose(next(other).position_um, whole[3].position_um).any()


@pytest.mark.parametrize("supply", ["steady", "poisson"])
def test_memory_does_not_grow_with_the_stream(supply):
    config = BubbleConfig(supply=supply)
    frames = stream_bubbles(tube(), n_bubbles=40, rate_hz=100, n_frames=None, seed=0, config=config)
    for _ in islice(frames, 100):
        pass
    tracemalloc.start()
    for _ in islice(frames, 4000):
        pass
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 100_000


def test_the_number_of_bubbles_is_that_in_the_field_of_view(cortex):
    grid = Grid((20, 20, 20), (12, 12, 12), (200, 200, 200))
    frames = stream(cortex, 45, rate=100.0, frames=50, grid=grid)
    low = np.array(grid.origin_um) - 6
    for frame in frames:
        assert len(frame) == 45
        outside = np.maximum(low - frame.position_um, frame.position_um - low - grid.extent_um)
        assert (outside.max(axis=1) <= frame.radius_um).all()
    inside = np.concatenate([grid.contains(f.position_um) for f in frames])
    assert inside.mean() > 0.95


def test_a_plane_of_vessels_carries_bubbles():
    network = solve_flow(procedural_network(Grid((30, 1, 30), (50, 300, 50)), 1))
    frames = stream(network, 30, frames=20)
    assert all(np.abs(f.position_um[:, 1]).max() <= network.radius_um.max() for f in frames)


def test_a_loop_of_flow_without_an_inlet_is_refused():
    nodes = np.array([[0, 0, 0], [0, 0, 9], [0, 9, 0.0]])
    loop = VesselNetwork(nodes, np.array([[0, 1], [1, 2], [2, 0]]), np.ones(3), np.ones(3))
    with pytest.raises(InputError, match="No blood enters"):
        stream(loop)
    with pytest.raises(InputError, match="has no flow"):
        stream(loop.with_flow(np.zeros(3)))
    with pytest.raises(InputError, match="no flow yet"):
        stream(loop.with_flow(None))


def test_bad_numbers_are_refused_immediately():
    for bad in ({"n": -1}, {"seed": -1}, {"n": np.nan}, {"rate": 0.0}, {"frames": -3}):
        with pytest.raises(ConfigError):
            stream(tube(), **bad)
    with pytest.raises(ConfigError, match="must be below"):
        BubbleConfig().replace(min_speed_mm_s=40.0)
    with pytest.raises(ConfigError):
        stream_bubbles(tube(), n_bubbles=1, rate_hz=-1, n_frames=1, seed=0)


def test_no_bubbles_and_no_frames():
    assert stream(tube(), 0, frames=3)[2].position_um.shape == (0, 3)
    assert stream(tube(), 5, frames=0) == []


def test_tight_bends_give_valid_positions():
    # A coil of segments much shorter than the vessel is wide.
    t = np.linspace(0, 12 * np.pi, 1500)
    nodes = np.stack([8 * t, 20 * np.cos(t), 20 * np.sin(t)], axis=1)
    segments = np.stack([np.arange(1499), np.arange(1, 1500)], axis=1)
    coil = VesselNetwork(nodes, segments, np.full(1499, 15.0))
    coil = solve_flow(coil, config=FlowConfig(max_speed_mm_s=10.0))
    for frame in stream(coil, 100, rate=100.0, frames=200):
        assert np.isfinite(frame.position_um).all()
        distance = np.abs(np.hypot(frame.position_um[:, 1], frame.position_um[:, 2]) - 20)
        assert distance.max() <= 15.0
