"""A predicted map stays one, whatever is made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import InputError
from napari_ulm3d.evaluate.comparison import map_difference
from napari_ulm3d.evaluate.region import Region, region_numbers
from napari_ulm3d.io.writers import write
from napari_ulm3d.maps.smoothing import smooth_counts
from napari_ulm3d.tables import Tracks
from napari_ulm3d.vasculature import vessels
from napari_ulm3d.vasculature.summary import summary
from napari_ulm3d.volumes import VesselMap


def tube(prediction=None) -> VesselMap:
    grid = Grid((64, 20, 20), (10.0, 10.0, 10.0))
    data = np.zeros(grid.shape, np.float32)
    data[4:60, 8:11, 8:11] = 1
    return replace(VesselMap.from_dense("density", data, grid, "tracks"), prediction=prediction)


PREDICTED = tube({"task": "complete", "weights": "complete"})


def test_its_name_says_so():
    assert PREDICTED.name == "predicted_density"
    assert replace(PREDICTED, name="predicted_vessels").name == "predicted_vessels"
    assert replace(PREDICTED, name="mine").name == "predicted_mine"
    assert tube().name == "density"


def test_what_is_made_of_it_is_predicted_too():
    assert smooth_counts(PREDICTED, 15.0).prediction == PREDICTED.prediction
    assert not smooth_counts(tube(), 15.0).predicted
    for pair in ((PREDICTED, tube()), (tube(), PREDICTED)):
        assert map_difference(*pair).predicted
    assert not map_difference(tube(), tube()).predicted


def test_it_counts_no_tracks():
    region = Region(0, [[0, 0], [0, 150], [150, 150], [150, 0]])
    with pytest.raises(InputError, match="predicted"):
        region_numbers(Tracks.empty(), region, PREDICTED)
    assert region_numbers(Tracks.empty(), region, tube()).filled > 0


@pytest.mark.slow
def test_its_vessels_are_said_to_be_predicted(tmp_path):
    graph = vessels(PREDICTED)
    assert "predicted" in graph.facts["predicted"]
    assert "PREDICTED" in summary(graph, with_speeds=False)[0][0]
    assert "predicted" not in vessels(tube()).facts


def test_a_file_of_any_format_has_it_in_its_name_or_metadata(tmp_path):
    write(PREDICTED, tmp_path / "p.zarr")
    assert "predicted" in "".join(p.read_text() for p in tmp_path.rglob(".zattrs"))
