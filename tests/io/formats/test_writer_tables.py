"""Tables written to Parquet, CSV, MATLAB and VTK, and read back."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.io

from napari_ulm3d.errors import ResultsError, UlmError
from napari_ulm3d.io.writers import ParquetStream, read_table, write
from napari_ulm3d.tables import Localizations, Tracks


def make_localizations(n=50, sigma=True, seed=0):
    rng = np.random.default_rng(seed)
    return Localizations.from_arrays(
        np.sort(rng.integers(0, 9, n)), rng.normal(0, 1e4, (n, 3)), rng.normal(12, 3, n), rng.random(n),
        260.0, rng.random((n, 3)) if sigma else None,
    )  # fmt: skip


def make_tracks(lengths=(3, 1, 5), seed=0):
    rng = np.random.default_rng(seed)
    parts = []
    for number, n in enumerate(lengths):
        table = pd.DataFrame(rng.normal(0, 100, (n, 6)), columns=[
            "z_um", "y_um", "x_um", "vz_mm_s", "vy_mm_s", "vx_mm_s"])  # fmt: skip
        table["speed_mm_s"] = np.linalg.norm(table[["vz_mm_s", "vy_mm_s", "vx_mm_s"]], axis=1)
        frame = np.arange(n) + 7 * number
        parts.append(
            table.assign(track_id=10 + number, frame=frame, time_s=frame / 260.0, score=0.5)
        )
    columns = list(Tracks.required)
    return Tracks(pd.concat(parts, ignore_index=True)[columns]) if parts else Tracks.empty()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".CSV"])
@pytest.mark.parametrize(
    "table",
    [
        make_localizations(),
        make_localizations(sigma=False),
        make_tracks(),
        Tracks.empty(),
        Localizations.empty(),
    ],
    ids=["localizations", "without sigma", "tracks", "no tracks", "no localizations"],
)
def test_round_trip_is_exact(tmp_path, suffix, table):
    path = tmp_path / f"table{suffix}"
    write(table, path)
    pd.testing.assert_frame_equal(
        read_table(path, type(table)).table, table.table, check_exact=True
    )
    assert os.listdir(tmp_path) == [path.name]


def test_other_columns_are_kept(tmp_path):
    table = Tracks(make_tracks().table.assign(vessel="left"))
    write(table, tmp_path / "t.parquet")
    assert set(read_table(tmp_path / "t.parquet", Tracks).table["vessel"]) == {"left"}


def test_parquet_contains_units(tmp_path):
    write(make_localizations(), tmp_path / "l.parquet")
    schema = pq.read_schema(tmp_path / "l.parquet")
    units = {f.name: (f.metadata or {}).get(b"unit", b"").decode() for f in schema}
    assert units == {
        "frame": "", "time_s": "s", "z_um": "um", "y_um": "um", "x_um": "um", "snr_db": "dB", "score": "",
        "sigma_z_um": "um", "sigma_y_um": "um", "sigma_x_um": "um",
    }  # fmt: skip
    assert schema.metadata[b"napari_ulm3d"] == b"localizations"
    write(make_tracks(), tmp_path / "t.parquet")
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert schema.field("vz_mm_s").metadata[b"unit"] == b"mm/s"


def test_a_plain_table(tmp_path):
    curve = pd.DataFrame({"time_s": [0.0, 0.1], "voxels_reached": [1, 5]})
    write(curve, tmp_path / "saturation.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "saturation.csv"), curve)


def test_matlab_struct_of_columns(tmp_path):
    tracks = make_tracks()
    write(tracks, tmp_path / "t.mat")
    read = scipy.io.loadmat(tmp_path / "t.mat", squeeze_me=False)["tracks"][0, 0]
    for name, column in tracks.table.items():
        assert read[name].shape == (len(tracks), 1)
        assert read[name][:, 0] == pytest.approx(column.to_numpy())


def test_stream_equals_one_table(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_ulm3d.io.formats.tables.files._ROWS_A_GROUP", 60)
    parts = [make_localizations(25, seed=k) for k in range(7)]
    parts.insert(3, Localizations.empty())
    parts.insert(0, Localizations.empty())
    with ParquetStream(tmp_path / "l.parquet", Localizations) as stream:
        for part in parts:
            stream.append(part)
        assert not (tmp_path / "l.parquet").exists()
    expected = Localizations.concat(parts).table
    expected = expected.sort_values("frame", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(read_table(tmp_path / "l.parquet", Localizations).table, expected)
    assert pq.ParquetFile(tmp_path / "l.parquet").num_row_groups == 3
    assert os.listdir(tmp_path) == ["l.parquet"]


def test_stream_without_rows_is_an_empty_table(tmp_path):
    with ParquetStream(tmp_path / "t.parquet", Tracks):
        pass
    assert len(read_table(tmp_path / "t.parquet", Tracks)) == 0


def test_an_interrupted_stream_leaves_nothing(tmp_path):
    with (  # noqa: PT012
        pytest.raises(RuntimeError, match="stop"),
        ParquetStream(tmp_path / "t.parquet", Tracks) as stream,
    ):
        stream.append(make_tracks())
        raise RuntimeError("stop")
    assert os.listdir(tmp_path) == []


def test_stream_refuses_rows_of_other_columns(tmp_path):
    with (  # noqa: PT012
        pytest.raises(ResultsError, match="do not match"),
        ParquetStream(tmp_path / "l.parquet", Localizations) as stream,
    ):
        stream.append(make_localizations(sigma=True))
        stream.append(make_localizations(sigma=False))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.parquet", None, "no such table"),
        ("t.parquet", b"PAR1 but not really", "cannot be read"),
        ("t.csv", b"", "cannot be read"),
        ("t.csv", b"a,b\n1,2\n", "lacks the column"),
        ("t.csv", ",".join(Tracks.required).encode() + b"\n" + b"x," * 10 + b"x\n", "not numeric"),
        ("t.docx", b"", "suffix"),
    ],
)
def test_unreadable_tables_are_named_in_the_error(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ResultsError, match=words) as caught:
        read_table(path, Tracks)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.png", "t.nii.gz"])
def test_an_unsuitable_format_lists_suitable_ones(tmp_path, name):
    with pytest.raises(UlmError, match=r"Use one of \.parquet \.csv \.vtp \.mat"):
        write(make_tracks(), tmp_path / name)
    with pytest.raises(UlmError, match=r"Use one of \.parquet \.csv \.mat\."):
        write(make_localizations(), tmp_path / "l.vtp")
    assert os.listdir(tmp_path) == []


def read_vtp(path):
    from vtk import vtkXMLPolyDataReader
    from vtk.util.numpy_support import vtk_to_numpy

    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    assert reader.GetErrorCode() == 0
    data = reader.GetOutput()

    def arrays(group):
        return {
            group.GetArrayName(k): vtk_to_numpy(group.GetArray(k))
            for k in range(group.GetNumberOfArrays())
        }

    points = (
        vtk_to_numpy(data.GetPoints().GetData()) if data.GetNumberOfPoints() else np.zeros((0, 3))
    )
    lines = []
    for k in range(data.GetNumberOfCells()):
        ids = data.GetCell(k).GetPointIds()
        lines.append([ids.GetId(i) for i in range(ids.GetNumberOfIds())])
    return points, lines, arrays(data.GetPointData()), arrays(data.GetCellData())


def test_vtk_reads_the_polylines(tmp_path):
    tracks = make_tracks((4, 2, 6))
    write(tracks, tmp_path / "t.vtp")
    points, lines, point_data, cell_data = read_vtp(tmp_path / "t.vtp")
    table = tracks.table
    assert np.array_equal(points, table[["x_um", "y_um", "z_um"]])
    assert lines == [[0, 1, 2, 3], [4, 5], [6, 7, 8, 9, 10, 11]]
    assert np.array_equal(point_data["frame"], table["frame"])
    assert np.array_equal(point_data["time_s"], table["time_s"])
    assert np.array_equal(point_data["velocity_mm_s"], table[["vx_mm_s", "vy_mm_s", "vz_mm_s"]])
    assert np.array_equal(point_data["speed_mm_s"], table["speed_mm_s"])
    assert cell_data["track_id"].tolist() == [10, 11, 12]
    for line, length, speed in zip(
        lines, cell_data["length_um"], cell_data["mean_speed_mm_s"], strict=True
    ):
        assert length == pytest.approx(np.linalg.norm(np.diff(points[line], axis=0), axis=1).sum())
        assert speed == pytest.approx(table["speed_mm_s"][line].mean())


@pytest.mark.parametrize("lengths", [(), (1,), (1, 1, 3)])
def test_vtk_reads_short_and_no_tracks(tmp_path, lengths):
    write(make_tracks(lengths), tmp_path / "t.vtp")
    points, lines, _, cell_data = read_vtp(tmp_path / "t.vtp")
    assert [len(line) for line in lines] == list(lengths)
    assert len(points) == sum(lengths)
    if lengths:
        assert cell_data["length_um"][0] == 0
