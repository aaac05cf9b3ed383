"""Tables of tracks written by other programs and spreadsheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.writers import read_table
from napari_ulm3d.tables import Tracks

VELOCITY = ["vz_mm_s", "vy_mm_s", "vx_mm_s"]
PLACE = ["z_um", "y_um", "x_um"]
RATE_HZ = 250.0


def straight_tracks() -> pd.DataFrame:
    """Bubbles with constant velocity, which follows from any two of their positions."""
    rng = np.random.default_rng(4)
    parts = []
    for number in range(4):
        frame = np.arange(20) + 3 * number
        start, velocity = rng.uniform(1000, 3000, 3), rng.normal(0, 5, 3)
        place = start + np.arange(20)[:, None] * velocity * 1000 / RATE_HZ
        part = {"track_id": number, "frame": frame, "time_s": frame / RATE_HZ}
        part |= dict(zip(PLACE, place.T, strict=True)) | dict(zip(VELOCITY, velocity, strict=True))
        part |= {"speed_mm_s": np.linalg.norm(velocity), "score": 1.0}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def assert_read_as(path: Path, expected: pd.DataFrame) -> None:
    read = read_table(path, Tracks).table
    pd.testing.assert_frame_equal(
        read[expected.columns], expected, check_dtype=False, rtol=1e-4, atol=1e-2
    )


@pytest.mark.parametrize("missing", [[*VELOCITY, "speed_mm_s", "score"], ["speed_mm_s"]])
def test_velocities_follow_from_positions_and_times(tmp_path: Path, missing: list[str]) -> None:
    table = straight_tracks()
    gaps = table[~((table["frame"] % 7 == 3) & (table["track_id"] < 2))]
    given = gaps.drop(columns=missing).sample(frac=1, random_state=1)
    given.to_csv(tmp_path / "t.csv", index=False)
    assert_read_as(tmp_path / "t.csv", gaps.drop(columns="score").reset_index(drop=True))


def test_without_times_velocities_are_refused(tmp_path: Path) -> None:
    straight_tracks()[["track_id", "frame", *PLACE]].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ResultsError, match="time_s"):
        read_table(tmp_path / "t.csv", Tracks)


@pytest.mark.parametrize(("separator", "point", "thousands"), [(";", ",", "."), (",", ".", ",")])
def test_thousands_may_be_separated(
    tmp_path: Path, separator: str, point: str, thousands: str
) -> None:
    table = straight_tracks()
    swap = str.maketrans({",": thousands, ".": point})
    given = table.astype(dict.fromkeys(table.columns, object))
    for name in table.columns[2:]:
        given[name] = [f"{value:,.5f}".translate(swap) for value in table[name]]
    given.to_csv(tmp_path / "t.csv", sep=separator, index=False)
    assert_read_as(tmp_path / "t.csv", table)


def test_blank_rows_of_a_spreadsheet_are_ignored(tmp_path: Path) -> None:
    table = straight_tracks()
    blank = "," * (table.shape[1] - 1) + "\n"
    (tmp_path / "t.csv").write_text(table.to_csv(index=False) + 2 * blank + "\n")
    assert_read_as(tmp_path / "t.csv", table)


def test_times_may_be_in_minutes(tmp_path: Path) -> None:
    table = straight_tracks()
    given = table.assign(time_s=table["time_s"] / 60).rename(columns={"time_s": "time (min)"})
    given.to_csv(tmp_path / "t.csv", index=False)
    assert_read_as(tmp_path / "t.csv", table)


def test_trackmate_spots_are_read_as_tracks(tmp_path: Path) -> None:
    """Four rows of headings, and no velocities."""
    table = straight_tracks()
    names = ["TRACK_ID", "FRAME", "POSITION_T", "POSITION_Z", "POSITION_Y", "POSITION_X"]
    spots = table[["track_id", "frame", "time_s", *PLACE]].set_axis(names, axis=1)
    spots["QUALITY"] = 1.0
    spots.insert(0, "LABEL", [f"ID{k}" for k in range(len(spots))])
    words = "Label,Track ID,Frame,T,Z,Y,X,Quality\n"
    units = ",,,(sec),(µm),(µm),(µm),(quality)\n"
    heading = ",".join(spots.columns) + "\n" + words + words + units
    (tmp_path / "t.csv").write_text(
        heading + spots.to_csv(header=False, index=False), encoding="utf-8"
    )
    assert_read_as(tmp_path / "t.csv", table)
