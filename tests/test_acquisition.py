"""The acquisition and its grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ulm3d.acquisition import Acquisition, ArraySource, Grid
from napari_ulm3d.errors import InputError

spacing = st.floats(0.5, 500)
grids = st.builds(
    Grid,
    st.tuples(*[st.integers(1, 50)] * 3),
    st.tuples(*[spacing] * 3),
    st.tuples(*[st.floats(-1e4, 1e4)] * 3),
)


@given(grids, st.lists(st.tuples(*[st.floats(-60, 60)] * 3), min_size=1, max_size=5))
def test_positions_and_indices_are_inverse(
    grid: Grid, index: list[tuple[float, float, float]]
) -> None:
    np.testing.assert_allclose(grid.to_index(grid.to_um(index)), index, atol=1e-6)


def test_the_origin_is_the_centre_of_the_first_voxel() -> None:
    grid = Grid((4, 5, 6), (10.0, 20.0, 30.0), (1.0, 2.0, 3.0))
    assert grid.to_um([0, 0, 0]).tolist() == [1.0, 2.0, 3.0]
    assert grid.to_um([1, 1, 1]).tolist() == [11.0, 22.0, 33.0]
    assert grid.contains([[-3.9, 2.0, 3.0], [-4.1, 2.0, 3.0]]).tolist() == [True, False]


@given(grids, st.floats(1, 12))
def test_the_fine_grid_covers_the_same_extent(grid: Grid, factor: float) -> None:
    fine = grid.isotropic(factor)
    for axis in range(3):
        n, step = grid.shape[axis], grid.spacing_um[axis]
        low = grid.origin_um[axis] - step / 2
        fine_low = fine.origin_um[axis] - fine.spacing_um[axis] / 2
        assert fine_low == pytest.approx(low, abs=1e-6 * (1 + abs(low)))
        assert fine.extent_um[axis] >= n * step * (1 - 1e-6)
        assert fine.extent_um[axis] < n * step + fine.spacing_um[axis] * (1 + 1e-6)
        if n == 1:
            assert fine.shape[axis] == 1
    resolved = {round(s, 9) for s, n in zip(fine.spacing_um, grid.shape, strict=True) if n > 1}
    assert len(resolved) <= 1


@given(st.lists(st.integers(1, 900), min_size=1, max_size=9), st.integers(2, 1200), st.booleans())
def test_blocks_hold_every_frame_once(lengths: list[int], size: int, join: bool) -> None:
    ends = np.cumsum(lengths)
    frames = np.arange(ends[-1], dtype=np.float32).reshape(-1, 1, 1, 1)
    sources = tuple(ArraySource(part) for part in np.split(frames, ends[:-1]))
    acquisition = Acquisition(sources, Grid((1, 1, 1), (1, 1, 1)), 10.0, kind="envelope")
    blocks = acquisition.blocks(size, join=join)
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert all(1 <= block.n_frames <= size for block in blocks)
    starts = np.cumsum([0, *(block.n_frames for block in blocks)])
    assert [block.first_frame for block in blocks] == starts[:-1].tolist()
    np.testing.assert_array_equal(np.concatenate([block.read() for block in blocks]), frames)
    if not join:
        assert set(np.cumsum([0, *lengths])) <= set(starts), "a block spans two files"


@given(st.integers(1, 60), st.integers(1, 60))
def test_equal_files_make_even_blocks(n_files: int, per_block: int) -> None:
    sources = (ArraySource(np.zeros((20, 1, 1, 1), np.float32)),) * n_files
    acquisition = Acquisition(sources, Grid((1, 1, 1), (1, 1, 1)), 10.0, kind="envelope")
    sizes = [block.n_frames for block in acquisition.blocks(20 * per_block, join=True)]
    assert len(sizes) == -(-n_files // per_block), "no more blocks than are needed"
    assert max(sizes) - min(sizes) <= 20


@given(st.integers(1, 900), st.integers(2, 300))
def test_a_long_file_is_cut_evenly(length: int, size: int) -> None:
    source = ArraySource(np.zeros((length, 1, 1, 1), np.float32))
    acquisition = Acquisition((source,), Grid((1, 1, 1), (1, 1, 1)), 10.0, kind="envelope")
    sizes = [block.n_frames for block in acquisition.blocks(size)]
    assert max(sizes) - min(sizes) <= 1


def test_reading_spans_sources() -> None:
    frames = np.arange(7 * 2 * 3 * 4, dtype=np.float32).reshape(7, 2, 3, 4)
    sources = (ArraySource(frames[:3]), ArraySource(frames[3:]))
    acquisition = Acquisition(sources, Grid((2, 3, 4), (1, 1, 1)), 10.0, kind="envelope")
    np.testing.assert_array_equal(acquisition.read(1, 6), frames[1:6])
    with pytest.raises(IndexError):
        acquisition.read(5, 8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, complex(0, np.nan), complex(np.inf, 1)])
def test_a_block_with_a_bad_value_is_refused_by_name(bad: complex) -> None:
    frames = np.ones((5, 2, 2, 2), np.complex64)
    frames[3, 1, 0, 1] = bad
    block = Acquisition.from_array(frames, (1, 1, 1), 10.0, name="bad.mat").blocks()[0]
    with pytest.raises(InputError, match=r"bad\.mat: contains NaN or infinite values in frame 3\."):
        block.read()


def test_which_frames_are_bad_is_said() -> None:
    frames = np.ones((60, 1, 1, 2), np.complex64)
    frames[[2, 30, 31, 32, 40]] = np.nan
    blocks = Acquisition.from_array(frames, (1, 1, 1), 10.0).blocks(20)
    with pytest.raises(InputError, match=r"in frame 2\."):
        blocks[0].read()
    with pytest.raises(InputError, match=r"in frames 30 to 32\."):
        blocks[1].read()
    frames[::2] = np.inf
    whole = Acquisition.from_array(frames, (1, 1, 1), 10.0).blocks(60)[0]
    with pytest.raises(InputError, match=r"in frames 0, 2, 4, 6, 8, 10 and 25 more\."):
        whole.read()


def test_large_finite_values_are_no_infinity() -> None:
    frames = np.full((4, 2, 2, 2), 3e38, np.float32)
    assert Acquisition.from_array(frames, (1, 1, 1), 1.0).blocks()[0].read().max() == np.float32(
        3e38
    )


def test_two_dimensional_frames_become_one_voxel_thick() -> None:
    acquisition = Acquisition.from_array(np.zeros((5, 3, 4), np.complex64), (1, 1, 1), 1.0)
    assert acquisition.shape == (5, 3, 1, 4)
    assert acquisition.kind == "iq"


def test_unlike_sources_are_refused() -> None:
    one = ArraySource(np.zeros((5, 3, 3, 4), np.complex64), "one.mat")
    other = ArraySource(np.zeros((5, 3, 3, 5), np.complex64), "other.mat")
    real = ArraySource(np.zeros((5, 3, 3, 4), np.float32), "real.mat")
    grid = Grid((3, 3, 4), (1, 1, 1))
    with pytest.raises(InputError, match=r"other\.mat: has frames of"):
        Acquisition((one, other), grid, 1.0)
    with pytest.raises(InputError, match=r"real\.mat: contains float32"):
        Acquisition((one, real), grid, 1.0)
