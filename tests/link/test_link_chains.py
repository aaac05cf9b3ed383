"""Chains through the frames: gaps, numbering, and MATLAB's simpletracker as reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ulm3d.link.chains import ChainBuilder, chain_labels


def test_reproduces_simpletracker(shared_data: Path) -> None:
    """All 16 tracks of MATLAB's simpletracker, including their numbers.

    Its max_gap_closing of 10 is a distance in frames, and its gate is the same for all gaps,
    which corresponds to ten gates of max_linking_distance.
    """
    file = shared_data / "reference" / "trackerData.mat"
    content = scipy.io.loadmat(file, struct_as_record=False, squeeze_me=True)
    rows = content["tracks_py"]
    position = np.array([row.pos for row in rows])
    frame = np.array([row.frame_no for row in rows], int)
    expected = np.array([row.track_no for row in rows], int)
    assert (position.shape, np.unique(frame).size, expected.max()) == ((1870, 2), 200, 15)
    gates = [float(content["max_linking_distance"])] * int(content["max_gap_closing"])
    np.testing.assert_array_equal(chain_labels(frame, position, gates), expected)


def labels(frame: list[int], x: list[float], gates: list[float]) -> list[int]:
    return chain_labels(np.array(frame), np.array(x)[:, None], gates).tolist()


def test_a_gap_is_closed_up_to_its_length() -> None:
    frame, x = [0, 1, 4, 5], [0.0, 1.0, 4.0, 5.0]
    assert labels(frame, x, [3.0, 3.0]) == [0, 0, 1, 1]
    assert labels(frame, x, [3.0, 3.0, 3.0]) == [0, 0, 0, 0]
    assert labels(frame, x, [3.0, 3.0, 2.9]) == [0, 0, 1, 1]


def test_frame_to_frame_links_come_before_gaps() -> None:
    """A bubble that was missed does not take a point with which another chain continues."""
    frame, x = [0, 1, 2, 2], [0.0, 2.0, 2.5, 9.0]
    assert labels(frame, x, [1.0, 5.0]) == [0, 1, 1, 2]


def test_earlier_ends_and_shorter_gaps_come_first() -> None:
    # Ends at frames 0 (x=0) and 1 (x=5); one start at frame 3, in reach of both.
    assert labels([0, 1, 3], [0.0, 5.0, 4.0], [1.0, 4.0, 4.0]) == [0, 1, 0]
    # One end, starts at frames 2 (farther) and 3 (nearer): the shorter gap wins.
    assert labels([0, 2, 3], [0.0, 3.0, 0.5], [1.0, 4.0, 4.0]) == [0, 0, 1]


def test_several_gaps_in_one_chain() -> None:
    frame = [0, 2, 4, 5, 8, 9]
    assert labels(frame, [0.1 * k for k in frame], [1.0] * 3) == [0] * 6


def test_gaps_are_closed_at_the_end_too() -> None:
    assert labels([0, 2], [0.0, 0.0], [1.0, 1.0, 1.0, 1.0]) == [0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40)), max_size=60),
    st.integers(0, 3),
    st.integers(1, 4),
)
@settings(max_examples=150, deadline=None)
def test_every_point_occurs_once_and_numbers_are_in_order(points, gap: int, least: int) -> None:
    points = sorted(points)
    frame = np.array([point[0] for point in points], int)
    x = np.array([point[1] / 4 for point in points])
    gates = [1.0 + 0.5 * k for k in range(gap + 1)]
    builder = ChainBuilder(gates, least)
    for number in np.unique(frame):
        chosen = np.flatnonzero(frame == number)
        position = np.zeros((len(chosen), 3))
        position[:, 2] = x[chosen]
        builder.push(int(number), position, np.zeros_like(position), chosen.tolist())
    builder.finish()
    chains = sorted(builder.take_finished(), key=lambda chain: chain.id)
    assert [chain.id for chain in chains] == list(range(len(chains)))
    assert [chain.rows[0] for chain in chains] == sorted(chain.rows[0] for chain in chains)
    seen = [row for chain in chains for row in chain.rows]
    assert len(set(seen)) == len(seen)
    if least == 1:
        assert sorted(seen) == list(range(len(frame)))
    for chain in chains:
        assert len(chain.rows) >= least
        apart = np.diff(frame[chain.rows])
        assert ((apart >= 1) & (apart <= gap + 1)).all()
        assert (np.abs(np.diff(x[chain.rows])) <= np.array(gates)[apart - 1]).all()
    # Dropping short chains does not change other chains.
    full = chain_labels(frame, x[:, None], gates) if len(frame) else np.empty(0, int)
    for chain in chains:
        assert np.flatnonzero(full == full[chain.rows[0]]).tolist() == chain.rows


def test_memory_is_bounded_by_live_chains() -> None:
    """The memory of the builder does not grow with the number of frames."""
    builder = ChainBuilder([1.0, 1.0, 1.0], min_points=4)
    rng = np.random.default_rng(0)
    for frame in range(400):
        position = rng.uniform(0, 50, (20, 3))
        position[0] = 0.0  # one bubble lives throughout
        builder.push(frame, position, np.zeros_like(position), list(range(20)))
        builder.take_finished()
        held = sum(
            len(part.chains) for part in [*builder._ends.values(), *builder._starts.values()]
        )
        assert held <= 20 * 12
        assert len(builder._undecided) <= 20 * 12


def test_the_builder_can_be_reused_after_finish() -> None:
    builder = ChainBuilder([1.0, 1.0])
    point = np.zeros((1, 3))
    for frame in (0, 1):
        builder.push(frame, point, point, [frame])
        builder.finish()
    assert [(chain.id, chain.rows) for chain in builder.take_finished()] == [(0, [0]), (1, [1])]


@pytest.mark.parametrize("hinted", ["end", "start"])
def test_expected_steps_scale_with_the_gap(hinted: str) -> None:
    """Half a step of 0.9 per frame means 1.8 over two frames, on either side of the gap."""

    def x(*values: float) -> NDArray[np.float64]:
        return np.array([[0.0, 0.0, value] for value in values])

    builder = ChainBuilder([3.0, 3.0])
    if hinted == "end":
        builder.push(0, x(0.0), x(0.9), [0])
        builder.push(2, x(2.0, 0.8), x(0.0, 0.0), [1, 2])  # left: 0.2 and 1.0
    else:
        builder.push(0, x(0.0), x(0.0), [0])
        builder.push(2, x(2.0, 0.8), x(0.9, 0.0), [1, 2])  # left: 0.2 and 0.8
    builder.finish()
    assert [chain.rows for chain in builder.take_finished()] == [[0, 1], [2]]


def test_permuted_points_give_the_same_partition() -> None:
    rng = np.random.default_rng(5)
    frame = np.repeat(np.arange(20), 30)
    position: NDArray[np.float64] = rng.uniform(0, 10, (600, 3))
    order = np.lexsort((rng.uniform(size=600), frame))
    one = chain_labels(frame, position, [1.5, 2.0])
    other = np.empty(600, int)
    other[order] = chain_labels(frame[order], position[order], [1.5, 2.0])
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    assert len(pairs) == one.max() + 1 == other.max() + 1


@pytest.mark.parametrize("gap", [0, 2])
def test_no_points(gap: int) -> None:
    builder = ChainBuilder([1.0] * (gap + 1))
    builder.finish()
    assert builder.take_finished() == []
    builder.push(3, np.zeros((0, 3)), np.zeros((0, 3)), [])
    builder.push(9, np.zeros((0, 3)), np.zeros((0, 3)), [])
    builder.finish()
    assert builder.take_finished() == []
