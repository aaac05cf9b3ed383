"""The parts that need no viewer: decibels, filters, commands, readers and writers as functions."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Acquisition, ArraySource, Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.evaluate.region import Region
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import write
from napari_ulm3d.pipeline import run
from napari_ulm3d.plugin.layers.convert import map_layer, rate_of, tracks_layer
from napari_ulm3d.plugin.layers.decibels import DYNAMIC_RANGE_DB, DecibelSeries
from napari_ulm3d.plugin.readers import get_reader
from napari_ulm3d.plugin.state.commands import command_line, python_lines
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.plugin.state.track_filters import TrackFilter, filter_tracks
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap


class CountedSource(ArraySource):
    """Counts how many frames were read."""

    reads: list[tuple[int, int]]

    def read(self, start: int, stop: int) -> np.ndarray:
        self.reads.append((start, stop))
        return super().read(start, stop)


def tracks_table(lengths: list[int], speeds: list[float], rate_hz: float = 100.0) -> Tracks:
    """Tracks one after the other, each at a constant speed along x."""
    rows = []
    frame = 0
    for number, (length, speed) in enumerate(zip(lengths, speeds, strict=True)):
        for step in range(length):
            rows.append(
                (number, frame, frame / rate_hz, 10.0, 20.0, 1000 * speed * step / rate_hz, 0.0,
                 0.0, speed, speed, 0.1 * (number + 1))
            )  # fmt: skip
            frame += 1
    return Tracks(pd.DataFrame(rows, columns=list(Tracks.required)))


def test_decibels_are_numpys_and_read_only_what_is_looked_at() -> None:
    rng = np.random.default_rng(0)
    frames = (rng.normal(size=(40, 5, 4, 3, 2)) @ [1, 1j]).astype(np.complex64)
    source = CountedSource(frames, "counted")
    object.__setattr__(source, "reads", [])
    acquisition = Acquisition((source,), Grid((5, 4, 3), (1, 1, 1)), 100.0)
    series = DecibelSeries(acquisition)
    assert source.reads == [(0, 1)]
    expected = 20 * np.log10(np.abs(frames) / np.abs(frames[0]).max())
    expected = np.maximum(expected, -DYNAMIC_RANGE_DB)
    np.testing.assert_allclose(series[7], expected[7], atol=1e-4)
    np.testing.assert_allclose(series[3:9, 2, :, 1], expected[3:9, 2, :, 1], atol=1e-4)
    np.testing.assert_allclose(series[-1, ..., 0], expected[-1, ..., 0], atol=1e-4)
    np.testing.assert_allclose(np.asarray(series), expected, atol=1e-4)
    assert series.shape == frames.shape


def test_decibels_of_zeros_are_the_floor() -> None:
    acquisition = Acquisition.from_array(np.zeros((2, 3, 3, 3), np.complex64), (1, 1, 1), 10.0)
    assert (DecibelSeries(acquisition)[1] == -DYNAMIC_RANGE_DB).all()


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        (TrackFilter(), [0, 1, 2]),
        (TrackFilter(min_length_frames=10), [1, 2]),
        (TrackFilter(speed_mm_s=(2.0, 4.0)), [1]),
        (TrackFilter(time_s=(0.05, np.inf)), [1, 2]),
        (TrackFilter(time_s=(0.0, 0.2)), [0, 1]),
        (TrackFilter(min_score=0.25), [2]),
        (TrackFilter(box_um=((-np.inf, np.inf), (-np.inf, np.inf), (300.0, np.inf))), [2]),
        (TrackFilter(regions=(Region(1, ((0, 200), (20, 200), (20, 300), (0, 300))),)), [1, 2]),
        (TrackFilter(regions=()), []),
    ],
)
def test_filters_keep_whole_tracks(chosen: TrackFilter, kept: list[int]) -> None:
    tracks = tracks_table([5, 10, 20], [1.0, 3.0, 9.0])
    found = filter_tracks(tracks, chosen)
    assert found.table["track_id"].unique().tolist() == kept
    sizes = tracks.table.groupby("track_id").size()
    assert found.table.groupby("track_id").size().tolist() == sizes[kept].tolist()


def test_a_region_cuts_tracks_where_they_leave_it() -> None:
    tracks = tracks_table([20, 5], [10.0, 1.0])  # x: 0 to 1900 um in steps of 100; 0 to 40
    windows = tuple(
        Region(0, ((0, low), (40, low), (40, high), (0, high))) for low, high in ((350, 750), (1150, 1450))
    )  # fmt: skip
    found = filter_tracks(tracks, TrackFilter(regions=windows, cut=True))
    x = {number: rows["x_um"].tolist() for number, rows in found.table.groupby("track_id")}
    assert list(x) == [0, 2]  # 1 is the short one's, that never comes there
    assert x[0] == pytest.approx([400, 500, 600, 700])
    assert x[2] == pytest.approx([1200, 1300, 1400])
    whole = filter_tracks(tracks, TrackFilter(regions=windows))
    assert whole.table["track_id"].unique().tolist() == [0]
    assert len(whole) == 20


def test_regions_hold_what_a_plain_polygon_test_says() -> None:
    from matplotlib.path import Path as Outline

    rng = np.random.default_rng(0)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 11))
    radius = rng.uniform(20, 100, 11)
    corners = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    places = rng.uniform(-110, 110, (5000, 3))
    for axis in range(3):
        region = Region(axis, corners, (-30.0, 50.0))
        plane = np.delete(places, axis, axis=1)
        expected = Outline(corners).contains_points(plane)
        expected &= (places[:, axis] >= -30) & (places[:, axis] <= 50)
        np.testing.assert_array_equal(region.contains(places), expected)
        assert 0.02 < expected.mean() < 0.5


def test_rate_comes_from_the_table() -> None:
    assert rate_of(tracks_table([5], [1.0], 260.0).table) == pytest.approx(260.0)
    assert rate_of(Tracks.empty().table) == 1.0


def test_many_tracks_are_drawn_in_part_and_kept_whole() -> None:
    tracks = tracks_table([10] * 50, [1.0] * 50)
    data, settings, _ = tracks_layer(tracks, max_points=100)
    assert len(data) == 100
    assert "(20 % drawn)" in settings["name"]
    assert settings["metadata"]["ulm3d"] is tracks
    drawn = pd.Series(data[:, 0]).value_counts()
    assert (drawn == 10).all()


def test_a_large_map_is_pooled_without_losing_a_voxel_of_vessel() -> None:
    dense = np.zeros((20, 20, 20), np.float32)
    dense[3, 5, :] = 7
    vessel_map = VesselMap.from_dense("density", dense, Grid((20, 20, 20), (10, 10, 10)))
    data, settings, _ = map_layer(vessel_map, max_voxels=1000)
    assert data.shape == (10, 10, 10)
    assert (data[1, 2] == 7).all()
    assert np.allclose(settings["scale"], 20)
    assert np.allclose(settings["translate"], 5)  # the middle of two voxels at 0 and 10 um


def test_the_command_line_says_what_differs_from_the_defaults(tmp_path: Path) -> None:
    config = PipelineConfig().with_settings(
        ["load.voxel_um=100,150,150", "clutter.svd_range=8,150", "localize.localizer=radial"]
    )
    words = shlex.split(command_line(["my data/IQ1.mat"], config))
    assert words[:3] == ["napari-ulm3d", "run", "my data/IQ1.mat"]
    settings = [words[k + 1] for k, word in enumerate(words) if word == "--set"]
    assert PipelineConfig().with_settings(settings) == config
    lines = python_lines(["my data/IQ1.mat"], config)
    space: dict[str, object] = {}
    exec(lines.split("acquisition =")[0], space)
    assert space["config"] == config


@pytest.mark.slow
def test_what_is_copied_repeats_the_run(flow: Any, tmp_path: Path) -> None:
    """The lines are executed, with names that a shell, Python and TOML each read otherwise."""
    folder = tmp_path / "day 1, it's\\new \\table $HOME"
    folder.mkdir()
    np.save(folder / "IQ 1, $(echo).npy", flow.frames)
    (folder / "acquisition.toml").write_text(
        "axes = 'tzyx'\nvoxel_um = [100, 150, 150]\nrate_hz = 260.0\nwavelength_um = 100\n"
    )
    config = PipelineConfig.from_dict(
        {
            "load": {"origin_um": (1, -2.5, 0), "frames_per_block": 30},
            "clutter": {"svd_range": (3, 29)},
            "psf": {"carrier": "none"},
            "network": {"weights": str(folder / 'a, "b"\t.safetensors')},
            "link": {"min_length_frames": 5},
            "maps": {"resolution_factor": 2},
        }
    )
    paths = [str(folder / "IQ 1, $(echo).npy")]
    expected = run(open_acquisition(paths, config.load), config).tracks
    assert expected.n_tracks > 0

    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "napari-ulm3d"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m napari_ulm3d "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    for out, words in (
        ("by shell", ["sh", "-c", command_line(paths, config, "by shell")]),
        ("by Python", [sys.executable, "-c", python_lines(paths, config, "by Python")]),
    ):
        subprocess.run(words, cwd=tmp_path, check=True, env=os.environ | {"PATH": path})
        results = ResultsFolder.open(tmp_path / out)
        assert PipelineConfig.from_toml(tmp_path / out / "run.toml") == config
        pd.testing.assert_frame_equal(results.tracks().table, expected.table)


def test_default_settings_need_no_flags() -> None:
    assert "--set" not in command_line(["a.mat"], PipelineConfig())


def test_optional_and_switched_settings_survive_the_command_line() -> None:
    base = PipelineConfig()
    config = replace_sections(
        base,
        localize=base.localize.replace(max_maxima=3, fwhm_voxels=(2.0, 3.5, 3.5)),
        maps=base.maps.replace(fsc=False, resolution_factor=4.5),
        psf=base.psf.replace(carrier="none"),
        load=base.load.replace(variable="/acquisitions/1/iq", axes="tyxz"),
    )
    words = shlex.split(command_line(["x"], config))
    settings = [words[k + 1] for k, word in enumerate(words) if word == "--set"]
    assert PipelineConfig().with_settings(settings) == config


def replace_sections(config: PipelineConfig, **sections: object) -> PipelineConfig:
    return config.model_copy(update=sections)


def test_tables_that_are_not_ours_are_left_to_others(tmp_path: Path) -> None:
    from napari_ulm3d.plugin.readers import get_reader

    other = tmp_path / "points.csv"
    other.write_text("index,axis-0,axis-1\n0,1,2\n")
    assert get_reader(str(other)) is None
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no")
    assert get_reader(str(broken)) is None
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert get_reader(str(text)) is None


def test_writers_refuse_what_they_cannot_save(tmp_path: Path) -> None:
    from napari_ulm3d.errors import ResultsError
    from napari_ulm3d.plugin.writers import write_map, write_tracks

    with pytest.raises(ResultsError, match="not made by ULM 3D"):
        write_tracks(str(tmp_path / "a.csv"), np.zeros((1, 5)), {"name": "other", "metadata": {}})
    with pytest.raises(ResultsError, match="4 axes"):
        write_map(str(tmp_path / "a.ome.tif"), np.zeros((2, 2, 2, 2)), {"name": "movie"})


def test_results_tell_themselves() -> None:
    from napari_ulm3d.plugin.state.results import Result
    from napari_ulm3d.tables import Localizations

    result = Result(
        Grid((4, 4, 4), (1, 1, 1)), 100.0, 1.0, PipelineConfig(), Localizations.empty(),
        tracks_table([5], [1.0]),
    )  # fmt: skip
    assert ("tracks", "1 (5 points)") in result.rows()
    assert replace(result, complete=False).title == "whole series, stopped early"


def test_the_least_score_of_a_network_is_not_applied_to_refined_bubbles() -> None:
    grid = Grid((4, 4, 4), (100.0, 100.0, 100.0))
    plain = PipelineConfig().with_settings(["localize.localizer=network"])
    refined = plain.with_settings(["localize.refine=window"])
    for config, least in ((plain, 0.2), (refined, None)):
        result = Result(
            grid, 500.0, 1.0, config, Localizations.empty(), Tracks.empty(), trained_score=0.2
        )
        assert result.least_score(config) == least


@pytest.mark.parametrize("suffix", [".mat", ".csv", ".parquet", ".vtp"])
def test_exported_tracks_are_read_as_tracks(tmp_path: Path, suffix: str) -> None:
    tracks = tracks_table([12, 9], [5.0, 3.0], 260.0)
    write(tracks, tmp_path / f"tracks{suffix}")
    reader = get_reader(str(tmp_path / f"tracks{suffix}"))
    assert reader is not None
    ((_, settings, kind),) = reader(str(tmp_path / f"tracks{suffix}"))
    assert kind == "tracks"
    assert settings["metadata"]["ulm3d"].n_tracks == 2
