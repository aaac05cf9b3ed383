"""Whole runs: the result, the folder, stopping, going on, repeating."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled, ConfigError, InputError, ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.pipeline import BlockFinished, run, run_events
from napari_ulm3d.pipeline.ordering import TrackSorter
from napari_ulm3d.tables import Tracks

CONFIG = PipelineConfig().with_settings(
    ["load.frames_per_block=20", "clutter.svd_range=2,200", "maps.resolution_factor=4"]
)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def assert_same_results(one: Path, other: Path) -> None:
    for name in ("localizations.parquet", "tracks.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(one / name), pd.read_parquet(other / name))
    pd.testing.assert_frame_equal(
        pd.read_csv(one / "saturation.csv"), pd.read_csv(other / "saturation.csv")
    )
    first, second = ResultsFolder.open(one), ResultsFolder.open(other)
    assert first.map_names() == second.map_names()
    for name in first.map_names():
        np.testing.assert_array_equal(first.map(name).dense(), second.map(name).dense())


def test_bubbles_become_tracks_and_maps(flow, monkeypatch) -> None:
    result = run(flow.acquisition, CONFIG)
    assert result.report.n_frames == 60
    found = result.tracks.table
    # Every bubble is followed: at mid-acquisition a track lies within half a voxel of it.
    middle = found[found["frame"] == 30][["z_um", "y_um", "x_um"]].to_numpy()
    for position in flow.positions_um[:, 30]:
        voxels = np.abs(middle - position) / flow.acquisition.grid.spacing_um
        assert voxels.max(axis=1).min() < 0.5
    assert result.tracks.n_tracks < 3 * len(flow.positions_um)
    speed = np.median(found["speed_mm_s"])
    assert speed == pytest.approx(0.8 * np.hypot(5, 2), rel=0.1)
    of_tracks = {"density", "speed", "velocity_z", "direction", "density_se", "speed_se"}
    # A resolution, here as over the whole map, takes more tracks than these.
    assert set(result.maps) == of_tracks | {"power_doppler"}
    assert result.maps["direction"].values.max() > 0  # they go deeper
    monkeypatch.setattr("napari_ulm3d.maps.resolved.FEWEST_TRACKS", result.tracks.n_tracks)
    assert set(run(flow.acquisition, CONFIG).maps) - set(result.maps) == {"resolution_local"}


def test_a_run_leaves_the_whole_folder(flow, tmp_path: Path) -> None:
    out = tmp_path / "results"
    result = run(flow.acquisition, CONFIG, out)
    maps = {f"maps/{name}.ome.tif" for name in result.maps}
    blocks = {f"blocks/{index:05d}.npz" for index in range(3)}
    tables = {
        "run.toml",
        "localizations.parquet",
        "tracks.parquet",
        "saturation.csv",
        "saturation_forecast.csv",
        "fsc.csv",
        "chance_tracks.csv",
        "calibration.npz",
        "log.txt",
    }
    assert files_of(out) == maps | blocks | tables
    folder = ResultsFolder.open(out)
    assert folder.complete
    assert folder.config == CONFIG
    assert folder.grid == flow.acquisition.grid
    pd.testing.assert_frame_equal(folder.tracks().table, result.tracks.table)
    pd.testing.assert_frame_equal(folder.localizations().table, result.localizations.table)
    in_memory = run(flow.acquisition, CONFIG)
    pd.testing.assert_frame_equal(in_memory.tracks.table, result.tracks.table)
    ids = result.tracks.table["track_id"].to_numpy()
    assert (np.diff(ids) >= 0).all()
    assert np.unique(ids).tolist() == list(range(result.tracks.n_tracks))


@pytest.mark.parametrize("finished", [1, 2])
def test_a_stopped_run_goes_on_to_the_same_result(flow, tmp_path: Path, finished: int) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(flow.acquisition, CONFIG, whole)
    events = run_events(flow.acquisition, CONFIG, stopped)
    for event in events:
        if isinstance(event, BlockFinished) and event.index == finished - 1:
            break
    events.close()  # what Ctrl-C does to the generator
    folder = ResultsFolder.open(stopped)
    assert not folder.complete
    assert not (stopped / "tracks.parquet").exists()  # no half table
    with pytest.raises(ResultsError, match="--resume"):
        run(flow.acquisition, CONFIG, stopped)
    reused = [
        event.reused
        for event in run_events(flow.acquisition, CONFIG, stopped, resume=True)
        if isinstance(event, BlockFinished)
    ]
    assert reused[:finished] == [True] * finished
    assert not all(reused)
    assert ResultsFolder.open(stopped).complete
    assert_same_results(whole, stopped)


def test_stop_is_heard_within_a_block(flow, tmp_path: Path) -> None:
    asked = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        list(run_events(flow.acquisition, CONFIG, tmp_path / "r", stop=stop))


def test_resuming_with_other_link_settings_reuses_the_localizations(flow, tmp_path: Path) -> None:
    out = tmp_path / "results"
    run(flow.acquisition, CONFIG, out)
    longer = CONFIG.with_settings(["link.min_length_frames=30"])
    events = [
        e
        for e in run_events(flow.acquisition, longer, out, resume=True)
        if isinstance(e, BlockFinished)
    ]
    assert all(event.reused for event in events)
    assert_same_results(out, run(flow.acquisition, longer, tmp_path / "fresh").folder)
    other = CONFIG.with_settings(["localize.min_snr_db=20"])
    events = [
        e
        for e in run_events(flow.acquisition, other, out, resume=True)
        if isinstance(e, BlockFinished)
    ]
    assert not any(event.reused for event in events)


def test_a_run_without_a_folder_tells_the_same(flow, tmp_path: Path) -> None:
    kinds = [type(event).__name__ for event in run_events(flow.acquisition, CONFIG)]
    assert kinds[-2:] == ["MapsFinished", "RunFinished"]
    written = run_events(flow.acquisition, CONFIG, tmp_path / "results")
    assert kinds == [
        type(event).__name__ for event in written if getattr(event, "name", "") != "writing"
    ]


def test_a_run_that_fails_at_once_leaves_nothing(flow, tmp_path: Path) -> None:
    frames = np.full_like(flow.frames, np.inf)
    bad = Acquisition.from_array(
        frames, flow.acquisition.grid.spacing_um, 260.0, wavelength_um=100.0
    )
    with pytest.raises(InputError):
        run(bad, CONFIG, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_run_that_fails_at_once_does_not_cost_the_older_one(flow, tmp_path: Path) -> None:
    out = tmp_path / "results"
    run(flow.acquisition, CONFIG, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    hopeless = CONFIG.with_settings(["clutter.svd_range=100,200"])
    for how in ({"overwrite": True}, {"resume": True}):
        with pytest.raises(ConfigError):
            run(flow.acquisition, hopeless, out, **how)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_what_is_not_ours_is_never_overwritten(flow, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ResultsError, match="not a results folder"):
        run(flow.acquisition, CONFIG, tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    out = tmp_path / "results"
    run(flow.acquisition, CONFIG, out)
    (out / "notes.txt").write_text("mine")
    run(flow.acquisition, CONFIG, out, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"


def test_an_empty_result_is_a_result(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = (rng.normal(size=(30, 8, 8, 8)) + 1j * rng.normal(size=(30, 8, 8, 8))).astype(
        np.complex64
    )
    acquisition = Acquisition.from_array(noise, (100, 100, 100), 100.0, wavelength_um=100.0)
    strict = CONFIG.with_settings(["localize.min_snr_db=60", "load.frames_per_block=30"])
    result = run(acquisition, strict, tmp_path / "results")
    assert len(result.localizations) == len(result.tracks) == 0
    assert result.report.n_tracks == 0
    assert len(ResultsFolder.open(tmp_path / "results").tracks()) == 0


def test_tracks_are_put_in_order_whatever_order_they_end_in() -> None:
    def track(number: int) -> Tracks:
        empty = Tracks.empty().table
        rows = pd.DataFrame({name: [float(number)] * 2 for name in empty.columns})
        return Tracks(rows.astype({"track_id": int, "frame": int}))

    sorter = TrackSorter()
    out = [
        sorter.push(Tracks.concat([track(k) for k in group]))
        for group in ([2, 1], [0], [], [5], [3, 4])
    ]
    numbers = [part.table["track_id"].unique().tolist() for part in out]
    assert numbers == [[], [0, 1, 2], [], [], [3, 4, 5]]
