"""Results from elsewhere: folders whole and stopped, bare tables, the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.writers import write
from napari_ulm3d.pipeline import BlockFinished, run, run_events
from napari_ulm3d.plugin.state.saved_results import (
    result_of_folder,
    result_of_table,
    result_of_truth,
)

CONFIG = PipelineConfig().with_settings(
    ["clutter.svd_range=2,200", "load.frames_per_block=20", "maps.resolution_factor=4"]
)


def test_a_finished_folder_is_the_run(flow: Any, tmp_path: Path) -> None:
    whole = run(flow.acquisition, CONFIG, tmp_path / "out")
    opened = result_of_folder(tmp_path / "out")
    assert opened.complete
    assert (opened.rate_hz, opened.n_frames, opened.wavelength_um) == (260.0, 60, 100.0)
    assert opened.config == CONFIG
    assert opened.grid == flow.acquisition.grid
    pd.testing.assert_frame_equal(opened.tracks.table, whole.tracks.table)
    assert set(opened.maps) == set(whole.maps)
    np.testing.assert_allclose(
        opened.saturation["share_of_grid"], whole.saturation["share_of_grid"]
    )
    np.testing.assert_allclose(opened.resolution.correlation, whole.resolution.correlation)


def test_a_stopped_folder_shows_its_finished_blocks(flow: Any, tmp_path: Path) -> None:
    events = run_events(flow.acquisition, CONFIG, tmp_path / "out")
    first = next(event for event in events if isinstance(event, BlockFinished))
    events.close()
    opened = result_of_folder(tmp_path / "out")
    assert not opened.complete
    assert "stopped early" in opened.title
    found = opened.localizations.table
    mine = found[found["frame"] < first.n_frames].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, first.result.localizations.table, check_like=True)


def test_a_bare_table_and_the_truth_get_maps(flow: Any, tmp_path: Path) -> None:
    whole = run(flow.acquisition, CONFIG)
    write(whole.tracks, tmp_path / "tracks.csv")
    alone = result_of_table(tmp_path / "tracks.csv", None)
    assert alone.rate_hz == pytest.approx(260.0)
    assert alone.grid.contains(alone.tracks.positions_um).all()
    assert alone.maps["density"].values.sum() > 0
    like = result_of_table(tmp_path / "tracks.csv", flow.acquisition)
    assert like.grid == flow.acquisition.grid
    n_bubbles, n_frames, _ = flow.positions_um.shape
    truth = pd.DataFrame(flow.positions_um.reshape(-1, 3), columns=["z_um", "y_um", "x_um"])
    truth["frame"] = np.tile(np.arange(n_frames), n_bubbles)
    truth["bubble_id"] = np.repeat(np.arange(n_bubbles), n_frames)
    truth.to_parquet(tmp_path / "truth.parquet")
    true = result_of_truth(tmp_path / "truth.parquet", flow.acquisition)
    assert true.tracks.n_tracks == n_bubbles
    assert true.maps["density"].grid == like.maps["density"].grid
    write(whole.tracks.empty(), tmp_path / "none.csv")
    with pytest.raises(ResultsError, match="table is empty"):
        result_of_table(tmp_path / "none.csv", None)
    with pytest.raises(ResultsError, match="not a results folder"):
        result_of_folder(tmp_path)
