"""Folders of single planes, as microscopes' and scanners' exports name them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.open.files import find_files
from napari_ulm3d.io.open.planes import named_planes
from napari_ulm3d.io.open.series import load_files

_KNOWN = {"voxel_um": (100.0, 110.0, 120.0), "rate_hz": 500.0}


def _save(folder: Path, movie: np.ndarray, pattern: str, along: int = 1) -> None:
    folder.mkdir()
    for t, volume in enumerate(movie):
        for k, plane in enumerate(np.moveaxis(volume, along - 1, 0)):
            tifffile.imwrite(folder / pattern.format(t=t, k=k), plane)


@pytest.mark.parametrize(
    ("pattern", "along"),
    [
        ("img_t{t:03d}_z{k:03d}.tif", 1),
        ("Z{k}_T{t}.tif", 1),
        ("img_channel000_position000_time{t:09d}_z{k:03d}.tif", 1),
        ("mouse3 frame {t} slice {k}.tif", 1),
        ("T{t:02d}-Y{k:02d}.tif", 2),
    ],
)
def test_planes_become_volumes(tmp_path: Path, pattern: str, along: int) -> None:
    movie = np.random.default_rng(0).random((12, 11, 5, 6), np.float32)
    _save(tmp_path / "planes", movie, pattern, along)
    acquisition = open_acquisition(tmp_path / "planes", LoadConfig.from_dict(_KNOWN))
    np.testing.assert_array_equal(acquisition.read(0, 12), movie)
    np.testing.assert_array_equal(acquisition.read(10, 11), movie[10:11])
    assert acquisition.grid.spacing_um == (100.0, 110.0, 120.0)


def test_the_pixels_of_a_plane_keep_their_size(tmp_path: Path) -> None:
    """The distance between planes is in none of the files, so it is asked for."""
    folder = tmp_path / "planes"
    folder.mkdir()
    for t in range(3):
        for k in range(4):
            size = {"PhysicalSizeX": 120, "PhysicalSizeY": 110}
            unit = {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
            tifffile.imwrite(
                folder / f"t{t}_z{k}.ome.tif",
                np.full((5, 6), 10 * t + k, np.float32),
                metadata={"axes": "YX", **size, **unit},
            )
    loaded = load_files(find_files(folder), LoadConfig(rate_hz=500.0))
    assert loaded.facts.voxel_um == (None, 110.0, 120.0)
    assert loaded.resolved.missing
    assert loaded.sources[0].read(2, 3)[0, 3, 0, 0] == 23


@pytest.mark.parametrize(
    "names",
    [
        [f"run{a}_frame{b}.tif" for a in (1, 2) for b in range(5)],  # a movie in two parts
        [f"t{a}_z{b}.tif" for a in range(3) for b in range(3)][:-1],  # a plane is missing
        [f"t{a}_z0.tif" for a in range(9)],  # one plane
        [f"t{a}.tif" for a in range(9)],
        ["t1_z1.tif", "t1_z2.tif", "other_t2_z1.tif", "t2_z2.tif"],
        ["a.tif"],
    ],
)
def test_other_names_count_no_planes(names: list[str]) -> None:
    assert named_planes(names) is None


def test_the_order_is_that_of_the_numbers() -> None:
    places = [(t, k) for t in (8, 9, 10, 11) for k in (0, 2, 100)]
    random.Random(1).shuffle(places)
    found = named_planes([f"acq_T{t}_Z{k:03d}_v2.tif" for t, k in places])
    assert found is not None
    assert found.axis == "z"
    assert [[places[k] for k in row] for row in found.order] == [
        [(t, k) for k in (0, 2, 100)] for t in (8, 9, 10, 11)
    ]
