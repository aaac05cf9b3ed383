"""Coordinates, kernel maps and conversions, against definitions worked out by brute force."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse import (
    Coordinates,
    SparseTensor,
    kernel_map,
    submanifold_map,
    tables_everywhere,
)
from napari_ulm3d.sparse_frames import SparseFrames


@st.composite
def grids(draw, min_ndim=1):
    ndim = draw(st.integers(min_ndim, 4))
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=ndim, max_size=ndim)))
    batch = draw(st.integers(1, 3))
    occupancy = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    seed = draw(st.integers(0, 999))
    mask = np.random.default_rng(seed).random((batch, *shape)) < occupancy
    return Coordinates.create(torch.as_tensor(np.argwhere(mask)), shape, batch)[0]


def brute_pairs(fine, coarse, kernel, stride, padding):
    """{offset: {(fine row, coarse row)}} by the definition f = s c + o - p."""
    rows = {tuple(f): i for i, f in enumerate(fine.indices.tolist())}
    found = []
    for offset in itertools.product(*(range(k) for k in kernel)):
        pairs = set()
        for j, (b, *c) in enumerate(coarse.indices.tolist()):
            f = (b, *(s * v + o - p for v, o, s, p in zip(c, offset, stride, padding, strict=True)))
            if f in rows:
                pairs.add((rows[f], j))
        found.append(pairs)
    return found


def listed(pairs, transposed=False):
    out = []
    for offset in range(pairs.volume):
        if pairs.is_identity(offset):
            out.append({(i, i) for i in range(pairs.n_fine)})
            continue
        source, target = pairs.pairs(offset, transposed)
        assert bool((source[1:] > source[:-1]).all())
        assert bool((target[1:] > target[:-1]).all())
        out.append(set(zip(source.tolist(), target.tolist(), strict=True)))
    return out


@settings(deadline=None, max_examples=60)
@given(grids(), st.data())
def test_submanifold_maps_hold_every_neighbour_once(coordinates, data):
    kernel = tuple(data.draw(st.sampled_from([1, 3, 5])) for _ in coordinates.shape)
    half = tuple(k // 2 for k in kernel)
    pairs = submanifold_map(coordinates, kernel)
    wanted = brute_pairs(coordinates, coordinates, kernel, (1,) * len(kernel), half)
    assert listed(pairs) == wanted
    assert listed(pairs, transposed=True) == [{(j, i) for i, j in part} for part in wanted]
    assert pairs.n_pairs == sum(map(len, wanted))
    assert submanifold_map(coordinates, kernel) is pairs


@settings(deadline=None, max_examples=80)
@given(grids(), st.data())
def test_strided_maps_and_grids_are_those_of_the_definition(fine, data):
    draw = lambda low, high: tuple(data.draw(st.integers(low, high)) for _ in fine.shape)  # noqa: E731
    kernel, stride = draw(1, 4), draw(1, 3)
    padding = tuple(data.draw(st.integers(0, k)) for k in kernel)
    shape = tuple(
        max(1, (n + 2 * p - k) // s + 1)
        for n, p, k, s in zip(fine.shape, padding, kernel, stride, strict=True)
    )
    coarse = fine.coarsen(kernel, stride, padding, shape)
    everywhere, _ = Coordinates.create(
        torch.as_tensor(list(itertools.product(range(fine.batch_size), *map(range, shape)))),
        shape,
        fine.batch_size,
    )
    reached = {
        j for part in brute_pairs(fine, everywhere, kernel, stride, padding) for _, j in part
    }
    assert coarse.indices.tolist() == everywhere.indices[sorted(reached)].tolist()
    pairs = kernel_map(fine, coarse, kernel, stride, padding)
    assert listed(pairs) == brute_pairs(fine, coarse, kernel, stride, padding)
    assert kernel_map(fine, coarse, kernel, stride, padding) is pairs


@settings(deadline=None, max_examples=60)
@given(grids(), st.data())
def test_refined_grids_are_those_of_the_definition(coarse, data):
    draw = lambda low, high: tuple(data.draw(st.integers(low, high)) for _ in coarse.shape)  # noqa: E731
    kernel, stride = draw(1, 4), draw(1, 3)
    padding = tuple(data.draw(st.integers(0, k - 1)) for k in kernel)
    shape = tuple(n * s for n, s in zip(coarse.shape, stride, strict=True))
    wanted = set()
    for b, *c in coarse.indices.tolist():
        for offset in itertools.product(*(range(k) for k in kernel)):
            f = [s * v + o - p for v, o, s, p in zip(c, offset, stride, padding, strict=True)]
            if all(0 <= v < n for v, n in zip(f, shape, strict=True)):
                wanted.add((b, *f))
    fine = coarse.refine(kernel, stride, padding, shape)
    assert [tuple(f) for f in fine.indices.tolist()] == sorted(wanted)
    assert fine.stride == tuple(Fraction(1, s) for s in stride)


def anew(coordinates):
    """The same voxels, of which nothing was made yet."""
    c = coordinates
    return Coordinates(c.indices, c.shape, c.batch_size, c.stride)


@settings(deadline=None, max_examples=60)
@given(grids(), st.data())
def test_tables_and_lists_hold_the_same_pairs(coordinates, data):
    kernel = tuple(data.draw(st.sampled_from([1, 3, 5])) for _ in coordinates.shape)
    step = tuple(data.draw(st.integers(1, 3)) for _ in coordinates.shape)
    half = tuple(k // 2 for k in kernel)
    shape = tuple((n + 2 * p - k) // s + 1 for n, p, k, s in zip(
        coordinates.shape, half, kernel, step, strict=True))  # fmt: skip

    def maps():
        fine = anew(coordinates)
        coarse = anew(coordinates).coarsen(kernel, step, half, shape)
        return submanifold_map(fine, kernel), kernel_map(fine, coarse, kernel, step, half)

    with tables_everywhere():
        tabled = maps()
    for table, lists in zip(tabled, maps(), strict=True):
        assert isinstance(table.made, torch.Tensor)
        for transposed in (False, True):
            assert torch.equal(table.table(transposed), lists.table(transposed))
            assert listed(table, transposed) == listed(lists, transposed)
        assert table.lists.starts == lists.lists.starts
        assert torch.equal(table.lists.fine, lists.lists.fine)
        assert torch.equal(table.lists.coarse, lists.lists.coarse)


def test_maps_over_many_blocks_are_whole(monkeypatch):
    from napari_ulm3d.sparse import merge

    mask = torch.rand(2, 30, 40, 37, generator=torch.Generator().manual_seed(2)) < 0.5
    coordinates, _ = Coordinates.create(mask.nonzero(), (30, 40, 37), 2)
    assert len(coordinates) > 2 * merge._BLOCK
    pairs = submanifold_map(coordinates, (3, 3, 3))
    padded = torch.nn.functional.pad(mask, (1, 1) * 3)
    for offset, (z, y, x) in enumerate(itertools.product(range(3), repeat=3)):
        if pairs.is_identity(offset):
            continue
        both = mask & padded[:, z : z + 30, y : y + 40, x : x + 37]
        source, target = pairs.pairs(offset)
        assert torch.equal(coordinates.indices[target.long()].long(), both.nonzero())
        step = coordinates.indices[source.long()] - coordinates.indices[target.long()]
        assert step.unique(dim=0).tolist() == [[0, z - 1, y - 1, x - 1]]


def test_maps_are_shared_by_tensors_and_freed_with_them():
    import gc
    import weakref

    x = SparseTensor.from_dense(torch.ones(1, 2, 4, 4, 4))
    pairs = submanifold_map(x.coordinates, (3, 3, 3))
    assert submanifold_map((x.with_features(x.features * 2)).coordinates, (3, 3, 3)) is pairs
    gc.disable()
    try:
        alive = weakref.ref(pairs)
        del pairs, x
        assert alive() is None  # at once: nothing holds itself in a circle
    finally:
        gc.enable()


def test_any_order_is_sorted_and_features_follow():
    indices = torch.tensor([[1, 0, 2], [0, 3, 1], [0, 0, 4], [1, 0, 0]])
    x = SparseTensor.create(indices, torch.arange(4.0)[:, None], (4, 5), batch_size=2)
    assert x.indices.tolist() == [[0, 0, 4], [0, 3, 1], [1, 0, 0], [1, 0, 2]]
    assert x.features.flatten().tolist() == [2, 1, 3, 0]
    assert x.indices.dtype == torch.int32


@pytest.mark.parametrize(
    ("indices", "shape", "batch", "message"),
    [
        ([[0, 1, 1], [0, 1, 1]], (3, 3), 1, "twice"),
        ([[0, 3, 1]], (3, 3), 1, "exceed the grid"),
        ([[0, -1, 1]], (3, 3), 1, "exceed the grid"),
        ([[1, 0, 0]], (3, 3), 1, "exceed the grid"),
        ([[0, 0]], (3, 3), 1, "do not match"),
        ([[0, 0, 0]], (3, 0), 1, "empty"),
        ([[0, 0, 0]], (2**40, 2**40), 1, "too many voxels"),
    ],
)
def test_wrong_coordinates_say_so(indices, shape, batch, message):
    with pytest.raises(ConfigError, match=message):
        Coordinates.create(torch.tensor(indices), shape, batch)


def test_float_coordinates_and_misfit_features_say_so():
    with pytest.raises(ConfigError, match="integers"):
        Coordinates.create(torch.zeros(1, 3), (2, 2))
    with pytest.raises(ConfigError, match="do not match"):
        SparseTensor.create(torch.zeros(1, 3, dtype=torch.int64), torch.zeros(2, 1), (2, 2))


@settings(deadline=None, max_examples=30)
@given(grids(min_ndim=2))
def test_dense_and_back_is_the_same(coordinates):
    features = torch.randn(len(coordinates), 3, requires_grad=True)
    x = SparseTensor(features, coordinates)
    dense = x.dense()
    assert dense.shape == (coordinates.batch_size, 3, *coordinates.shape)
    again = SparseTensor.from_dense(dense)
    assert torch.equal(again.indices, x.indices)
    assert torch.equal(again.features, x.features)
    dense.square().sum().backward()
    torch.testing.assert_close(features.grad, 2 * features.detach())


def test_a_mask_keeps_zeros_of_a_dense_tensor():
    dense = torch.zeros(1, 2, 3, 3)
    mask = torch.zeros(1, 3, 3, dtype=torch.bool)
    mask[0, 1, 2] = True
    x = SparseTensor.from_dense(dense, mask)
    assert x.indices.tolist() == [[0, 1, 2]]


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(4, 5, 1, 6, 2)) @ [1, 1j]).astype(np.complex64)
    return data, SparseFrames.from_mask(data, rng.random(data.shape) < 0.3, first_frame=40)


def test_frames_become_real_and_imaginary_channels(frames):
    data, sparse = frames
    x = SparseTensor.from_frames(sparse)
    assert x.shape == data.shape
    dense = x.dense()[0].numpy()
    np.testing.assert_array_equal(dense[0] + 1j * dense[1], sparse.dense())


def test_flat_frames_lose_the_elevation_axis(frames):
    _, sparse = frames
    x = SparseTensor.from_frames(sparse, flat=True)
    assert x.shape == (4, 5, 6)
    np.testing.assert_array_equal(x.dense()[0, 0].numpy(), sparse.dense().real[:, :, 0])


def test_frames_as_samples_and_windows_as_samples(frames):
    _, sparse = frames
    x = SparseTensor.from_frames([sparse, sparse], frames_as_batch=True, flat=True)
    assert (x.batch_size, x.shape) == (8, (5, 6))
    wanted = np.concatenate([sparse.dense(), sparse.dense()])[:, :, 0]
    np.testing.assert_array_equal(x.dense()[:, 1].numpy(), wanted.imag)
    y = SparseTensor.from_frames([sparse, sparse])
    assert (y.batch_size, y.shape) == (2, (4, 5, 1, 6))


def test_frames_that_do_not_fit_say_so(frames):
    _, sparse = frames
    thick = SparseFrames(np.zeros((0, 4), np.int32), np.zeros(0, np.complex64), (4, 5, 2, 6))
    with pytest.raises(ConfigError, match="not 2-D"):
        SparseTensor.from_frames(thick, flat=True)
    with pytest.raises(ConfigError, match="same shape"):
        SparseTensor.from_frames([sparse, thick])
    assert len(SparseTensor.from_frames(thick)) == 0
