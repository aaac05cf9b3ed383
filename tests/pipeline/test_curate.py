"""Edits of tracks: what they do, and that they can be taken back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.edits import Edit, apply_edits, read_edits
from napari_ulm3d.errors import Cancelled, ConfigError, ResultsError
from napari_ulm3d.io.export import export_results
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import read_table
from napari_ulm3d.maps import accumulate, forecast_saturation
from napari_ulm3d.pipeline import curate, run
from napari_ulm3d.tables import Tracks


def tracks(**spans: tuple[int, int]) -> Tracks:
    """Tracks by number, each from one frame to another."""
    rows = [
        (int(name[1:]), frame, frame / 100, 10.0 * frame, 5.0, 5.0, 1.0, 1.0, 0.0, 0.0, 1.0)
        for name, (first, last) in spans.items()
        for frame in range(first, last + 1)
    ]
    names = "track_id frame time_s z_um y_um x_um speed_mm_s vz_mm_s vy_mm_s vx_mm_s score"
    return Tracks(pd.DataFrame(rows, columns=names.split()))


def spans(found: Tracks) -> dict[int, tuple[int, int]]:
    groups = found.table.groupby("track_id")["frame"]
    return {int(k): (int(v.min()), int(v.max())) for k, v in groups}


THREE = tracks(t0=(0, 9), t3=(12, 20), t7=(5, 15))


def test_each_edit_does_what_it_says() -> None:
    assert spans(apply_edits(THREE, [Edit("delete", (3, 7))])) == {0: (0, 9)}
    assert spans(apply_edits(THREE, [Edit("merge", (3, 0))])) == {3: (0, 20), 7: (5, 15)}
    cut = apply_edits(THREE, [Edit("split", (7,), 10)])
    assert spans(cut) == {0: (0, 9), 3: (12, 20), 7: (5, 9), 8: (10, 15)}
    checked = apply_edits(THREE, [Edit("verify", (0,)), Edit("verify", (7,))]).table
    assert set(checked.loc[checked["verified"], "track_id"]) == {0, 7}
    # One after the other, in order, with rows sorted as the stages take them.
    steps = [Edit("split", (7,), 10), Edit("delete", (7,)), Edit("merge", (0, 8))]
    found = apply_edits(THREE, steps)
    assert spans(found) == {0: (0, 15), 3: (12, 20)}
    assert found.table.equals(found.in_order().table)
    assert apply_edits(THREE, []) is THREE


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit("delete", (4,)), "no track 4"),
        (Edit("merge", (3, 7)), "overlap in time"),
        (Edit("split", (0,), 1), "2 points or more"),
        (Edit("split", (0,), 9), "2 points or more"),
    ],
)
def test_what_cannot_be_edited_is_said(edit: Edit, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_edits(THREE, [edit])


def test_an_edit_that_makes_no_sense_cannot_be_made() -> None:
    for kind, chosen, frame in (("merge", (1,), None), ("split", (1,), None), ("delete", (1,), 3)):
        with pytest.raises(ConfigError):
            Edit(kind, chosen, frame)  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_maps_exports_and_numbers_follow_and_come_back(
    flow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ulm3d.config import PipelineConfig

    config = PipelineConfig().with_settings(["clutter.svd_range=2,60", "maps.resolution_factor=4"])
    folder = tmp_path / "run"
    fewest = run(flow.acquisition, config).tracks.n_tracks
    monkeypatch.setattr("napari_ulm3d.maps.resolved.FEWEST_TRACKS", fewest)
    run(flow.acquisition, config, folder)
    before = content(folder)
    results = ResultsFolder.open(folder)
    linked = results.tracks()
    gone = tuple(int(k) for k in linked.table["track_id"].unique()[:2])
    edits = [Edit("delete", gone), Edit("verify", (int(linked.table["track_id"].iloc[-1]),))]
    edited = curate(folder, edits)
    assert edited.n_tracks == linked.n_tracks - 2
    assert read_edits(folder) == tuple(edits)
    assert results.tracks().table.equals(edited.table)
    expected = accumulate(edited, results.grid, config.maps)
    for name in ("density", "speed", "velocity_z", "direction"):
        np.testing.assert_array_equal(results.map(name).dense(), expected[name].dense())
    assert results.facts()["result"]["n_tracks"] == edited.n_tracks
    assert results.facts()["result"]["n_track_points"] == len(edited)
    # What was left from the tracks before the edits would be told of the edited ones.
    assert "resolution_local" not in results.map_names()  # too few tracks now
    assert "maps/resolution_local.ome.tif" in before
    forecast = forecast_saturation(pd.read_csv(folder / "saturation.csv"))
    assert results.facts()["result"]["forecast"] == dict(forecast.rows())
    found = pd.read_csv(folder / "saturation_forecast.csv")
    assert len(found) == len(forecast.curve)
    export_results(folder, tmp_path / "tracks.csv")
    assert read_table(tmp_path / "tracks.csv", Tracks).n_tracks == edited.n_tracks
    # A bad edit changes nothing; another list replaces the first; none brings all back.
    changed = content(folder)
    with pytest.raises(ConfigError):
        curate(folder, [*edits, Edit("delete", (10**6,))])
    assert content(folder) == changed
    assert curate(folder, edits[1:]).n_tracks == linked.n_tracks
    curate(folder, [])
    assert content(folder) == before
    # Cancelled at any step, it changes nothing, with edits before or without.
    for known in ((), edits[1:]):
        curate(folder, known)
        kept = content(folder)
        for n_asks in (0, 1, 2, 3, 6, 9):
            asked = iter(range(1000))
            with pytest.raises(Cancelled):
                curate(folder, edits, lambda: next(asked) >= n_asks)  # noqa: B023
            assert content(folder) == kept
            assert not list(folder.glob(".edited*"))
    curate(folder, [])
    # A folder that holds tracks alone, as one that was made to be small, gets maps of the edits.
    shutil.rmtree(folder / "maps")
    alone = content(folder)
    curate(folder, edits)
    np.testing.assert_array_equal(results.map("density").dense(), expected["density"].dense())
    curate(folder, [])
    assert content(folder) == alone
    (folder / "edits.json").write_text("{]")
    with pytest.raises(ResultsError, match="Delete it"):
        results.tracks()
    shutil.rmtree(folder)
