"""Results that were cut short anywhere are refused in a sentence or made again, never believed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fault_mutations import mutate

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ResultsError, UlmError
from napari_ulm3d.io.open.acquisition import open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.pipeline import BlockFinished, run, run_events

CONFIG = PipelineConfig().with_settings(
    ["load.frames_per_block=20", "clutter.svd_range=2,200", "maps.resolution_factor=4"]
)
POINTS = 40


@pytest.fixture(scope="module")
def whole(flow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(flow.acquisition, CONFIG, out)
    return out


def cuts(size: int) -> list[int]:
    """Lengths to cut a file to: all over it, its ends closely, never the whole."""
    spread = np.linspace(0, size - 1, POINTS).astype(int).tolist()
    return sorted({*spread, *range(min(8, size)), *range(max(0, size - 16), size)})


def _table(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        results = ResultsFolder.open(folder)
        return (results.tracks() if name == "tracks" else results.localizations()).table

    return read


def _map(name: str) -> Callable[[Path], Any]:
    return lambda folder: pd.DataFrame(ResultsFolder.open(folder).map(name).dense().reshape(-1))


def _facts(folder: Path) -> Any:
    results = ResultsFolder.open(folder)
    return pd.Series([str(results.facts()), str(results.grid), results.complete])


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("run.toml", _facts),
        ("tracks.parquet", _table("tracks")),
        ("localizations.parquet", _table("localizations")),
        ("maps/density.ome.tif", _map("density")),
        ("maps/power_doppler.ome.tif", _map("power_doppler")),
    ],
)
def test_a_torn_file_is_refused(
    whole: Path, tmp_path: Path, file: str, read: Callable[[Path], Any], capsys: Any
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    content, expected = (folder / file).read_bytes(), read(folder)
    refused: list[str] = []
    same = 0
    for length in cuts(len(content)):
        (folder / file).write_bytes(content[:length])
        try:
            found = read(folder)
        except UlmError as error:
            refused.append(str(error))
        else:
            # Nothing was lost (the line break at the end of a text).
            assert found.equals(expected), f"{file} cut to {length} of {len(content)} bytes"
            same += 1
    with capsys.disabled():
        print(f"\n{file}: {len(refused)} cuts refused, {same} without a loss, 0 believed")
    assert same <= 1
    assert all(Path(file).name in said and "\n" not in said for said in refused)


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("run.toml", _facts),
        ("tracks.parquet", _table("tracks")),
        ("maps/density.ome.tif", _map("density")),
    ],
)
def test_damaged_results_are_read_or_refused(
    whole: Path, tmp_path: Path, file: str, read: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    content = (whole / file).read_bytes()
    refused: list[str] = []
    for number in range(120):
        damaged, _ = mutate({file: content}, f"{file} {number}")
        (folder / file).write_bytes(damaged[file])
        try:
            read(folder)
        except UlmError as error:
            refused.append(str(error))
    assert len(refused) > 60
    assert all(Path(file).name in said and "\n" not in said for said in refused)


def test_settings_of_a_torn_run_are_not_taken_for_whole(whole: Path, tmp_path: Path) -> None:
    content = (whole / "run.toml").read_bytes()
    path = tmp_path / "run.toml"
    for length in range(0, len(content), 29):
        path.write_bytes(content[:length])
        with suppress(UlmError):
            # Nothing but the comment at its top: an empty file of settings is allowed.
            assert PipelineConfig.from_toml(path) == CONFIG or b"[" not in content[:length]


def test_torn_blocks_are_made_again(flow, whole: Path, tmp_path: Path) -> None:
    content = (whole / "blocks" / "00001.npz").read_bytes()
    for length in [*cuts(len(content))[:: POINTS // 4], len(content) - 1]:
        folder = tmp_path / str(length)
        shutil.copytree(whole, folder)
        (folder / "blocks" / "00001.npz").write_bytes(content[:length])
        events = list(run_events(flow.acquisition, CONFIG, folder, resume=True))
        reused = [event.reused for event in events if isinstance(event, BlockFinished)]
        assert reused == [True, False, True]
        for name in ("tracks.parquet", "localizations.parquet"):
            pd.testing.assert_frame_equal(
                pd.read_parquet(folder / name), pd.read_parquet(whole / name)
            )


def test_bits_that_turned_over_in_a_block_are_noticed(whole: Path, tmp_path: Path) -> None:
    source = whole / "blocks" / "00000.npz"
    with np.load(source) as data:
        key = str(data["key"])
    folder = ResultsFolder(tmp_path)
    folder.make_subfolders()
    content = source.read_bytes()
    expected = ResultsFolder(whole).read_block(0, key)
    assert expected is not None
    rng = np.random.default_rng(4)
    noticed: list[str] = []
    for place in rng.integers(0, len(content), 200):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        folder.block_path(0).write_bytes(damaged)
        try:
            found = folder.read_block(0, key)
        except ResultsError as error:
            noticed.append(str(error))
            continue
        if found is None:  # the key itself
            continue
        # Where nothing is noticed nothing was changed but padding, names and times.
        pd.testing.assert_frame_equal(found.localizations.table, expected.localizations.table)
        np.testing.assert_array_equal(found.power_doppler, expected.power_doppler)
        assert found.facts == expected.facts
    assert len(noticed) > 150
    assert all("00000.npz" in said for said in noticed)


def test_what_a_writer_left_behind_is_no_result(flow, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    left = folder / "maps" / ".speed.ome.tif.0123abcd.part"
    left.mkdir()
    (left / "speed.ome.tif").write_bytes(b"half of it")
    (folder / "maps" / "speed.ome.tif").unlink()
    results = ResultsFolder.open(folder)
    assert "speed" not in results.map_names()
    list(run_events(flow.acquisition, CONFIG, folder, resume=True))
    assert results.map_names() == ResultsFolder.open(whole).map_names()
    assert not left.exists()


def test_torn_files_of_an_acquisition_are_refused(tmp_path: Path) -> None:
    """The reader of each format is tried in the trials of damaged files; this is the plainest."""
    path = tmp_path / "a.npy"
    np.save(path, np.ones((6, 5, 4, 3), np.complex64))
    content = path.read_bytes()
    for length in cuts(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(UlmError, match=r"a\.npy"):
            open_acquisition(path).read(0, 6)
