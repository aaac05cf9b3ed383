"""A results folder that was kept small has its tracks alone: its maps are made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import write
from napari_ulm3d.maps import density_maps, kept_maps
from napari_ulm3d.refinement.sources import read_source

_SAMPLE = Path(__file__).parents[2] / "sample_data" / "mouse_cortex"


@pytest.fixture
def small(tmp_path: Path) -> ResultsFolder:
    """The finished sample, as it is kept."""
    return ResultsFolder.open(shutil.copytree(_SAMPLE, tmp_path / "run"))


def test_maps_are_made_from_the_tracks(small: ResultsFolder) -> None:
    assert small.map_names() == []
    maps = kept_maps(small, ["speed", "density", "no such map"])
    assert list(maps) == ["speed", "density"]
    # Where tracks are, is what the density counts: voxels of their positions, counted by numpy.
    density = maps["density"]
    grid = density.grid
    away = small.tracks().positions_um - np.array(grid.origin_um)
    inside = (away / np.array(grid.spacing_um)).round().astype(int)
    visited = np.unique(inside, axis=0)
    dense = density.dense()
    assert (dense[tuple(visited.T)] > 0).mean() > 0.99
    assert dense.max() <= small.tracks().n_tracks


def test_a_map_that_was_kept_is_taken_as_it_is(small: ResultsFolder) -> None:
    density = kept_maps(small, ["density"])["density"]
    small.map_path("density").parent.mkdir()
    write(density, small.map_path("density"))
    assert list(kept_maps(small)) == ["density"]
    np.testing.assert_array_equal(kept_maps(small)["density"].dense(), density.dense())


def test_a_folder_of_tracks_can_be_refined(small: ResultsFolder) -> None:
    maps, name = read_source(small.path)
    assert "density" in maps
    assert name == str(small.path)


def test_a_run_that_did_not_finish_says_so(small: ResultsFolder) -> None:
    run = small.path / "run.toml"
    text = run.read_text()
    assert "complete = true" in text
    run.write_text(text.replace("complete = true", "complete = false"))
    folder = ResultsFolder.open(small.path)
    assert kept_maps(folder) == {}
    with pytest.raises(ResultsError, match="--resume"):
        density_maps(folder, [])
