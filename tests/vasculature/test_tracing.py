"""Tracing a mask agrees with scipy, scikit-image and skan: components, thinning, paths, distances."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.vasculature.trace.border import distance_outside
from napari_ulm3d.vasculature.trace.components import Components
from napari_ulm3d.vasculature.trace.paths import skeleton_paths
from napari_ulm3d.vasculature.trace.thinning import thinned

SHAPES = [(9, 14, 17), (1, 20, 20), (20, 1, 20), (20, 20, 1), (1, 1, 7), (2, 3, 40)]


def blobs(shape: tuple[int, ...], seed: int, share: float) -> NDArray[np.bool_]:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.0)
    return np.asarray(smooth > np.quantile(smooth, 1 - share))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("background", [False, True])
def test_components_are_those_of_scipy(shape: tuple[int, ...], background: bool) -> None:
    for seed, share in enumerate((0.05, 0.3, 0.6, 0.95)):
        mask = blobs(shape, seed, share)
        corners = None if background else np.ones((3, 3, 3))
        expected, count = ndimage.label(mask != background, corners)
        found = Components.of(mask, background=background)
        assert found.count == count
        assert (found.sizes() == np.bincount(expected.ravel(), minlength=count + 1)[1:]).all()
        chosen = np.arange(count) % 2 == 0
        painted = np.zeros(shape, bool)
        found.paint(painted, chosen)
        assert (painted == np.concatenate([[False], chosen])[expected]).all()
        boxes = ndimage.find_objects(expected)
        for number, (box, part) in zip(
            np.flatnonzero(chosen), found.cut_out(shape, chosen), strict=True
        ):
            assert box == boxes[number]
            assert (part == (expected[box] == number + 1)).all()


def test_components_that_hold_a_voxel() -> None:
    mask = np.zeros((5, 5, 5), bool)
    mask[0, 0, :3] = mask[1, 1, 3] = mask[4, 4, 4] = True  # the second touches at a corner
    found = Components.of(mask)
    assert found.count == 2
    assert found.containing(np.array([2])).tolist() == [True, False]
    assert found.containing(np.array([124])).tolist() == [False, True]
    assert not found.containing(np.empty(0, np.int64)).any()


@pytest.mark.parametrize("value", [False, True])
def test_components_of_uniform_masks(value: bool) -> None:
    mask = np.full((3, 4, 5), value)
    assert Components.of(mask).count == int(value)
    assert Components.of(mask, background=True).count == int(not value)
    assert Components.of(np.zeros((0, 4, 5), bool)).count == 0


def test_paths_between_ends_and_junctions() -> None:
    thin = np.zeros((3, 9, 9), bool)
    thin[1, 4, :] = thin[1, :4, 4] = True  # a T
    voxels, paths = skeleton_paths(thin)
    lengths = sorted(len(path) for path in paths)
    assert lengths == [5, 5, 5]
    junction = voxels.tolist().index([1, 4, 4])
    assert all(junction in (path[0], path[-1]) for path in paths)


def test_a_ring_is_one_path_and_a_voxel_none() -> None:
    thin = np.zeros((5, 8, 8), bool)
    thin[2, 1, 2:5] = thin[2, 5, 2:5] = thin[2, 2:5, 1] = thin[2, 2:5, 5] = True
    voxels, (ring,) = skeleton_paths(thin)
    assert ring[0] == ring[-1]
    assert len(ring) == len(voxels) + 1
    thin[:] = False
    assert skeleton_paths(thin)[1] == []
    thin[2, 3, 3] = True
    assert skeleton_paths(thin)[1] == []


@pytest.mark.slow
def test_paths_are_those_of_skan() -> None:
    from skan import Skeleton
    from skimage.morphology import skeletonize

    for seed in range(40):
        shape = SHAPES[seed % len(SHAPES)]
        dots = np.random.default_rng(seed).random(shape) < 0.3
        thick = blobs((14, 20, 20), seed, 0.4)
        for thin in (dots, np.asarray(skeletonize(thick), bool)):
            voxels, paths = skeleton_paths(thin)
            try:
                expected = Skeleton(thin)
            except ValueError:  # no voxel has a neighbour
                assert not paths
                continue
            assert np.array_equal(voxels, expected.coordinates)
            assert [path.tolist() for path in paths] == [
                expected.path(k).tolist() for k in range(expected.n_paths)
            ]


@pytest.mark.parametrize("seed", range(30))
def test_thinning_is_that_of_scikit_image(seed: int) -> None:
    from skimage.morphology import skeletonize

    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 24, 3).tolist())
    mask = blobs(shape, seed, rng.uniform(0.05, 0.8))
    if seed % 3 == 0:
        mask = rng.random(shape) < rng.uniform(0.05, 0.95)
    assert np.array_equal(thinned(mask), skeletonize(mask))


@pytest.mark.parametrize("width", [1, 2, 3, 8])
def test_thinning_of_rods_and_shells(width: int) -> None:
    from skimage.morphology import skeletonize

    mask = np.zeros((12, 14, 30), bool)
    mask[2 : 2 + width, 3 : 3 + width, 2:28] = True
    mask[-1, -1, :] = True  # at the edge of the volume
    assert np.array_equal(thinned(mask), skeletonize(mask))
    apart = np.linalg.norm(np.indices((24, 24, 24)) - 11.5, axis=0)
    shell = (apart < 11) & (apart > 11 - width)
    assert np.array_equal(thinned(shell), skeletonize(shell))


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((20, 24, 28), (10.0, 10.0, 10.0)),
        ((20, 24, 28), (5.0, 12.0, 20.0)),
        ((1, 60, 60), (400.0, 10.0, 15.0)),
        ((60, 1, 60), (10.0, 400.0, 10.0)),
    ],
)
def test_distance_to_the_border(shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    mask = blobs(shape, 1, 0.5)
    if 1 in shape:  # wider than the spheres that are searched
        mask = np.ones(shape, bool)
        mask[..., -4:] = blobs(shape, 2, 0.5)[..., -4:]
    grid = Grid(shape, spacing)
    at = np.argwhere(mask)
    # Voxels outside count as empty, except beside a plane.
    padded = np.pad(mask, [(0, 0) if n == 1 else (1, 1) for n in shape])
    # Border voxels are those with an empty one across a face.
    empty = np.argwhere(
        padded & ndimage.binary_dilation(~padded, ndimage.generate_binary_structure(3, 1))
    ) - [int(n > 1) for n in shape]
    apart, _ = cKDTree(empty * spacing).query(at * spacing)
    half = np.mean([s for s, n in zip(spacing, shape, strict=True) if n > 1]) / 2
    assert distance_outside(mask, at, grid) == pytest.approx(apart + half)
