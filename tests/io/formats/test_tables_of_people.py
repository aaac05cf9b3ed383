"""Tables as people hand them on: titles, comments, spots without a track, other encodings, no header."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.writers import read_table
from napari_ulm3d.tables import Tracks

NAMES = ["track_id", "frame", "time_s", "z_um", "y_um", "x_um"]
ROWS = [
    (i, k, k / 500, 100.25 + 50 * i + 2 * k, 500.5, 1234.5 + 30 * k)
    for i in range(3)
    for k in range(6)
]
HEADER = ",".join(NAMES)
LINES = [",".join(map(str, row)) for row in ROWS]
COMMAS = [",".join(f'"{v}"'.replace(".", ",") for v in row) for row in ROWS]


def assert_read(path: Path, content: str, encoding: str = "utf-8") -> None:
    path.write_text(content, encoding)
    found = read_table(path, Tracks).table
    np.testing.assert_allclose(found[NAMES], ROWS)


@pytest.mark.parametrize(
    "lines",
    [
        ["% written by MATLAB", HEADER, *LINES],
        ["// a comment", "", HEADER, *LINES, "# end of file"],
        ["Mouse 3, day 2", "", HEADER, *LINES],
        [HEADER, *COMMAS],
        [HEADER.replace(",", " "), *(line.replace(",", " ") for line in LINES)],
        ["Track ID,Frame,Time [s],z [\u00b5m],y [\u00b5m],x [\u00b5m]", *LINES],
        [HEADER, *LINES, ",0,0.0,1.0,1.0,1.0"],
    ],
    ids=["percent", "slashes", "title", "commas", "spaces", "micro", "single"],
)
def test_lines_around_and_between_the_rows(tmp_path: Path, lines: list[str]) -> None:
    assert_read(tmp_path / "t.csv", "\n".join(lines))
    assert_read(tmp_path / "t.txt", "\r\n".join(lines), "utf-16-le")


def test_headers_of_savetxt_are_comments(tmp_path: Path) -> None:
    for separator in (",", " ", "\t"):
        path = tmp_path / "t.txt"
        np.savetxt(path, ROWS, delimiter=separator, header="made today\n" + separator.join(NAMES))
        np.testing.assert_allclose(read_table(path, Tracks).table[NAMES], ROWS)


def test_frames_that_count_from_one_are_renumbered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = pd.DataFrame(ROWS, columns=NAMES)
    table.assign(frame=table["frame"] + 1).to_csv(tmp_path / "t.csv", index=False)
    with caplog.at_level(logging.WARNING, "napari_ulm3d"):
        np.testing.assert_allclose(read_table(tmp_path / "t.csv", Tracks).table[NAMES], ROWS)
    assert "count from 1" in caplog.text
    later = table.assign(frame=table["frame"] + 50, time_s=table["time_s"] + 0.1)
    later.to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv", Tracks).table["frame"].min() == 50


def test_an_index_set_in_pandas_is_a_column(tmp_path: Path) -> None:
    table = pd.DataFrame(ROWS, columns=NAMES)
    table.set_index(["track_id", "frame"]).to_parquet(tmp_path / "t.parquet")
    np.testing.assert_allclose(read_table(tmp_path / "t.parquet", Tracks).table[NAMES], ROWS)


def test_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + "\n")
    assert len(read_table(tmp_path / "t.csv", Tracks)) == 0


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("t.csv", "\n".join(LINES), "no line of column names"),
        ("t.csv", "\n".join([HEADER, *LINES])[:-12], "a row of 5 cells below a header of 6"),
        ("t.xlsx", "PK", "save the sheet as .csv"),
        ("t.csv.gz", "", "Unpack it"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ResultsError, match=told):
        read_table(tmp_path / name, Tracks)
