"""Tables in any order of rows, spreadsheet dialects, and rounded times."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_writer_tables import make_localizations, make_tracks, read_vtp

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.formats.tables.order import frames_of_times
from napari_ulm3d.io.formats.tables.spreadsheet import header_of
from napari_ulm3d.io.writers import read_table, write
from napari_ulm3d.tables import Localizations, Tracks

TRACKS = make_tracks((30, 4, 17, 9))


@pytest.mark.parametrize("by", ["frame", "speed_mm_s", "random"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_may_come_in_any_order(tmp_path: Path, by: str, suffix: str) -> None:
    table = TRACKS.table
    other = table.sample(frac=1, random_state=1) if by == "random" else table.sort_values(by)
    (other.to_csv if suffix == ".csv" else other.to_parquet)(tmp_path / f"t{suffix}", index=False)
    read = read_table(tmp_path / f"t{suffix}", Tracks)
    pd.testing.assert_frame_equal(read.table, table)
    write(Tracks(other), tmp_path / "t.vtp")  # also without writing a table first
    _, lines, _, cells = read_vtp(tmp_path / "t.vtp")
    assert [len(line) for line in lines] == [30, 4, 17, 9]
    assert cells["track_id"].tolist() == [10, 11, 12, 13]


def test_a_track_twice_in_a_frame_is_refused(tmp_path: Path) -> None:
    pd.concat([TRACKS.table, TRACKS.table.iloc[[3, 7]]]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ResultsError, match=r"track 10 twice in frame 3 \(and 1 more"):
        read_table(tmp_path / "t.csv", Tracks)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(
    ("separator", "decimal"), [(",", "."), (";", ","), (";", "."), ("\t", ",")]
)
def test_dialects_of_spreadsheets(
    tmp_path: Path, encoding: str, separator: str, decimal: str
) -> None:
    table = TRACKS.table.assign(vessel="größer")
    table.to_csv(tmp_path / "t.csv", index=False, sep=separator, decimal=decimal, encoding=encoding)
    read = read_table(tmp_path / "t.csv", Tracks).table
    pd.testing.assert_frame_equal(read[list(TRACKS.table)], TRACKS.table, check_exact=True)
    assert set(read["vessel"]) == {"größer"}
    assert header_of(tmp_path / "t.csv") == list(table)


def test_lines_before_the_header(tmp_path: Path) -> None:
    text = TRACKS.table.to_csv(index=False, sep=";")
    (tmp_path / "t.csv").write_text(f"sep=;\n{text}")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv", Tracks).table, TRACKS.table)
    (tmp_path / "t.csv").write_text(f"# exported\n\n{text}")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv", Tracks).table, TRACKS.table)


def test_headers_with_units(tmp_path: Path) -> None:
    table = TRACKS.table
    other = pd.DataFrame(
        {
            "Track ID": table["track_id"],
            "Frame": table["frame"],
            "Time [ms]": table["time_s"] * 1e3,
            "z (mm)": table["z_um"] / 1e3,
            "Y / nm": table["y_um"] * 1e3,
            "X_mm": table["x_um"] / 1e3,
            "vz (µm/s)": table["vz_mm_s"].astype(float) * 1e3,
            "vy [cm/s]": table["vy_mm_s"].astype(float) / 10,
            "VX_MM_S": table["vx_mm_s"],
            "speed (m/s)": table["speed_mm_s"].astype(float) / 1e3,
            "Quality": table["score"],
        }
    )
    other.to_csv(tmp_path / "t.csv", index=False)
    read = read_table(tmp_path / "t.csv", Tracks).table
    pd.testing.assert_frame_equal(read[list(table)], table, rtol=1e-6)


def test_a_missing_unit_in_a_header_is_requested(tmp_path: Path) -> None:
    table = TRACKS.table.rename(columns={"z_um": "z", "x_um": "x (voxel)"})
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ResultsError, match=r"lacks the column.*z_um, x_um"):
        read_table(tmp_path / "t.csv", Tracks)


def test_trackmates_rows_below_the_header(tmp_path: Path) -> None:
    spots = make_localizations(20, sigma=False).table
    lines = [
        "LABEL,ID,TRACK_ID,QUALITY,SNR_DB,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME",
        "Label,Spot ID,Track ID,Quality,SNR,X,Y,Z,T,Frame",
        "Label,Spot ID,Track ID,Quality,SNR,X,Y,Z,T,Frame",
        ",,,(quality),(dB),(mm),(mm),(mm),(sec),",
    ]
    for k, row in spots.iterrows():
        lines.append(
            f"ID{k},{k},0,{row.score},{row.snr_db},{row.x_um / 1e3},{row.y_um / 1e3},"
            f"{row.z_um / 1e3},{row.time_s},{row.frame:.0f}"
        )
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    read = read_table(tmp_path / "t.csv", Localizations).table
    np.testing.assert_allclose(
        read.sort_values("ID")[list(spots)].to_numpy(np.float64),
        spots.to_numpy(np.float64),
        rtol=1e-6,
    )


def test_frame_numbers_computed_from_times_are_rounded(tmp_path: Path) -> None:
    frame = np.arange(1000)
    table = pd.concat([TRACKS.table.iloc[:1]] * 1000, ignore_index=True)
    times = np.round(frame / 100, 2)
    table = table.assign(frame=times * 100, time_s=times)
    assert (table["frame"].astype(np.int64) != frame).sum() > 10  # effect of truncation
    table.to_csv(tmp_path / "t.csv", index=False)
    read = read_table(tmp_path / "t.csv", Tracks).table
    np.testing.assert_array_equal(read["frame"], frame)
    with pytest.raises(ResultsError, match="whole numbers"):
        Tracks(table.assign(frame=table["frame"] + 0.4))


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([7.5, 100.0, 260.0, 333.3, 500.0, 1000.0]),
    first=st.integers(0, 5000),
    n=st.integers(8, 400),
    seed=st.integers(0, 99),
)
def test_frames_of_rounded_times(rate: float, first: int, n: int, seed: int) -> None:
    decimals = int(np.ceil(np.log10(rate))) + 1  # to a tenth of a frame at least
    rng = np.random.default_rng(seed)
    frames = first + np.sort(rng.integers(0, 4 * n, 8 * n))
    frames = np.concatenate((frames, np.arange(first, first + 8)))
    found = frames_of_times(np.round(frames / rate, decimals))
    assert found is not None
    np.testing.assert_array_equal(found - found.min(), frames - frames.min())


def test_times_without_a_clock_are_refused(tmp_path: Path) -> None:
    table = TRACKS.table.drop(columns="frame")
    times = np.random.default_rng(0).random(len(table))
    table.assign(time_s=times).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ResultsError, match="Add a column frame"):
        read_table(tmp_path / "t.csv", Tracks)
    table.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(
        read_table(tmp_path / "t.csv", Tracks).table[list(TRACKS.table)], TRACKS.table
    )


def test_times_that_contradict_frames_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = TRACKS.table.copy()
    table.to_csv(tmp_path / "t.csv", index=False)
    with caplog.at_level(logging.WARNING, "napari_ulm3d"):
        read_table(tmp_path / "t.csv", Tracks)
        assert not caplog.messages
        table.loc[[5, 20], "time_s"] += 0.05
        table.to_csv(tmp_path / "t.csv", index=False)
        read = read_table(tmp_path / "t.csv", Tracks)
    assert "2 of 60 rows" in caplog.messages[0]
    np.testing.assert_array_equal(read.frames, table["frame"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="time_s"), "divided by the frame rate"),
        (lambda t: t.assign(z_um=t["z_um"].where(t["frame"] != 3)), "row 4 .* no number .* z_um"),
        (lambda t: pd.concat([t, t]), "track 0 has two positions at 0 s"),
    ],
)
def test_what_is_wrong_with_positions_is_said(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    """Not that there are no velocities, which would be derived from the positions."""
    frames = np.arange(6)
    table = pd.DataFrame({"track_id": 0, "frame": frames, "time_s": frames * 0.002})
    table = table.assign(z_um=frames * 1.0, y_um=0.0, x_um=0.0)
    change(table).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ResultsError, match=said):
        read_table(tmp_path / "t.csv", Tracks)


def test_tabs_have_a_suffix_of_their_own(tmp_path: Path) -> None:
    TRACKS.table.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.tsv", Tracks).table, TRACKS.table)
