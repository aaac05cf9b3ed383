"""Tables whose columns a person explains: units, pixels, frames, planes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.formats.tables.mapping import PIXELS, ColumnMap, read_mapped
from napari_ulm3d.io.formats.tables.spreadsheet import first_rows, guess_role, raw_header
from napari_ulm3d.tables import Localizations, Tracks

COLUMNS = {"track_id": "ID", "frame": "n", "z_um": "deep", "y_um": "across", "x_um": "lat"}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Two tracks of five points, in pixels, as another program writes them."""
    rows = pd.DataFrame(
        {
            "ID": np.repeat([7, 9], 5),
            "n": np.tile(np.arange(5), 2),
            "deep": np.linspace(10, 12, 10),
            "across": np.tile(np.linspace(3, 5, 5), 2),
            "lat": np.tile(np.linspace(20, 28, 5), 2),
            "note": "a",
        }
    )
    rows.to_csv(tmp_path / "spots.csv", index=False, sep=";", decimal=",")
    return tmp_path / "spots.csv"


def test_pixels_and_frames_become_micrometres_and_seconds(made: Path) -> None:
    chosen = ColumnMap(COLUMNS, length=PIXELS, pixel_um=(50.0, 100.0, 80.0), rate_hz=500.0)
    tracks = read_mapped(made, chosen)
    assert isinstance(tracks, Tracks)
    table = tracks.table
    np.testing.assert_allclose(table["z_um"], 50 * np.linspace(10, 12, 10))
    np.testing.assert_allclose(table["y_um"], 100 * np.tile(np.linspace(3, 5, 5), 2))
    np.testing.assert_allclose(table["time_s"], np.tile(np.arange(5), 2) / 500)
    # 2 pixels of 80 um in 2 ms are 80 mm/s.
    np.testing.assert_allclose(table["vx_mm_s"], 80.0)
    assert table["track_id"].tolist() == [7] * 5 + [9] * 5


def test_times_and_a_plane(made: Path) -> None:
    columns = {"time_s": "n", "z_um": "deep", "x_um": "lat"}
    found = read_mapped(made, ColumnMap(columns, length="mm", time="ms"))
    assert isinstance(found, Localizations)
    table = found.table.sort_values(["frame", "z_um"])
    assert (table["y_um"] == 0).all()
    assert sorted(set(table["frame"])) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(table["time_s"], 1e-3 * table["frame"])
    assert table["x_um"].max() == pytest.approx(28_000)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (ColumnMap({"x_um": "lat", "frame": "n"}), "x and z"),
        (ColumnMap({"x_um": "lat", "z_um": "lat", "frame": "n"}), "chosen twice"),
        (ColumnMap({"x_um": "lat", "z_um": "deep"}), "frame or of the time"),
        (ColumnMap({"x_um": "lat", "z_um": "deep", "frame": "n"}), "frame rate"),
        (ColumnMap(COLUMNS, rate_hz=1.0), "unit of z, y and x"),
        (ColumnMap({"x_um": "lat", "z_um": "deep", "time_s": "n"}, "um"), "unit of the time"),
        (ColumnMap(COLUMNS, length=PIXELS, rate_hz=1.0), "size of a pixel"),
        (ColumnMap({**COLUMNS, "score": "note"}, "um", rate_hz=1.0), "row 1 .* no number"),
        (ColumnMap({**COLUMNS, "score": "gone"}, "um", rate_hz=1.0), "no column 'gone'"),
    ],
)
def test_what_is_missing_is_said(made: Path, chosen: ColumnMap, said: str) -> None:
    with pytest.raises(ResultsError, match=said):
        read_mapped(made, chosen)


def test_names_are_guessed_and_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Track ID,Frame,X,Z (px),X,quality\n1,0,2.5,3,4,9\n1,1,2.5,3,4,9\n")
    assert raw_header(path) == ["Track ID", "Frame", "X", "Z (px)", "X (2)", "quality"]
    assert [guess_role(cell) for cell in raw_header(path)] == [
        "track_id", "frame", "x_um", "z_um", "x_um", "score",
    ]  # fmt: skip
    assert first_rows(path, 1) == [["1", "0", "2.5", "3", "4", "9"]]


@pytest.mark.parametrize(
    ("rows", "column"),
    [
        ("0,0,1,1\n1.5,0,2,2\n2,0,3,3\n", "frame"),
        ("0,0,1,1\n1,0.5,2,2\n2,0.5,3,3\n", "track_id"),
    ],
)
def test_a_number_that_is_not_whole_is_refused(tmp_path: Path, rows: str, column: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"n,id,x,z\n{rows}")
    columns = {"frame": "n", "track_id": "id", "x_um": "x", "z_um": "z"}
    with pytest.raises(ResultsError, match=rf"^{re.escape(str(path))}.* {column}.*whole numbers"):
        read_mapped(path, ColumnMap(columns, length="um", rate_hz=100.0))
