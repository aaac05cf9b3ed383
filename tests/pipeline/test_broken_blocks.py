"""A broken block costs that block: it is tried again, left out, named; and tried again on --resume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.cli import main
from napari_ulm3d.config import LinkConfig, PipelineConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.link import link
from napari_ulm3d.pipeline import BlockFailed, BlockFinished, run, run_events

# Nothing is measured on the data, so that a block does not depend on another one.
GIVEN = ["clutter.svd_range=2,200", "psf.fwhm_voxels=3,3,3", "psf.carrier=wavelength"]
CONFIG = PipelineConfig().with_settings(
    [*GIVEN, "load.frames_per_block=20", "maps.resolution_factor=4"]
)
FLAGS = [
    "--voxel-um", "100", "150", "150", "--rate", "260", "--wavelength-um", "100", "--axes", "tzyx",
    *(word for setting in GIVEN for word in ("--set", setting)),
    "--set", "maps.resolution_factor=4",
]  # fmt: skip


def acquisition_of(frames: np.ndarray, name: str = "bad") -> Acquisition:
    return Acquisition.from_array(
        frames, (100.0, 150.0, 150.0), 260.0, wavelength_um=100.0, name=name
    )


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_block_of_nan_costs_that_block(flow, tmp_path: Path, broken: int) -> None:
    frames = flow.frames.copy()
    frames[20 * broken + 5, 3, 3, 3] = np.nan
    events = list(run_events(acquisition_of(frames), CONFIG, tmp_path / "r"))
    done = [e for e in events if isinstance(e, BlockFinished | BlockFailed)]
    assert [e.index for e in done] == [0, 1, 2]
    (failed,) = [e for e in done if isinstance(e, BlockFailed)]
    assert (failed.index, failed.first_frame, failed.n_frames) == (broken, 20 * broken, 20)
    assert "contains NaN" in failed.reason
    report = events[-1].report
    assert report.failed == (failed,)
    assert report.n_frames == 40
    folder = ResultsFolder.open(tmp_path / "r")
    assert folder.complete
    (named,) = folder.facts()["result"]["failed"]
    assert named["index"] == broken
    assert "contains NaN" in named["reason"]
    assert f"skipped block {broken + 1} of 3" in (tmp_path / "r" / "log.txt").read_text()
    # The other blocks are as they are without the broken one, and no track crosses it.
    whole = run(flow.acquisition, CONFIG).localizations.table
    kept = whole[(whole["frame"] < 20 * broken) | (whole["frame"] >= 20 * broken + 20)]
    pd.testing.assert_frame_equal(
        folder.localizations().table.reset_index(drop=True), kept.reset_index(drop=True)
    )
    for _, track in folder.tracks().table.groupby("track_id"):
        assert not track["frame"].between(20 * broken, 20 * broken + 19).any()
        assert track["frame"].diff().iloc[1:].eq(1).all()


def test_the_power_doppler_is_the_mean_of_the_blocks_that_are_there(flow) -> None:
    frames = flow.frames.copy()
    frames[45] = np.nan
    events = list(run_events(acquisition_of(frames), CONFIG))
    parts = [e.result.power_doppler for e in events if isinstance(e, BlockFinished)]
    (maps,) = [e.maps for e in events if type(e).__name__ == "MapsFinished"]
    np.testing.assert_allclose(maps["power_doppler"].dense(), np.mean(parts, axis=0), rtol=1e-6)


@dataclass
class Moody:
    """Frames in memory of which the reading fails, so often, in a stretch."""

    frames: np.ndarray
    moods: dict[int, list[Exception]]
    name: str = "moody"
    asked: list[int] = field(default_factory=list)

    @property
    def shape(self) -> Any:
        return self.frames.shape

    @property
    def dtype(self) -> Any:
        return self.frames.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        if stop - start > 1:  # not the look of a fingerprint
            self.asked.append(start)
            if self.moods.get(start):
                raise self.moods[start].pop(0)
        return self.frames[start:stop].copy()


def moody_run(
    flow, moods: dict[int, list[Exception]]
) -> tuple[Moody, list[BlockFailed], list[BlockFinished]]:
    source = Moody(flow.frames, moods)
    acquisition = Acquisition((source,), flow.acquisition.grid, 260.0, wavelength_um=100.0)
    settled = CONFIG.with_settings(["psf.carrier=wavelength"])  # nothing is read for the PSF
    events = list(run_events(acquisition, settled))
    return (
        source,
        [e for e in events if isinstance(e, BlockFailed)],
        [e for e in events if isinstance(e, BlockFinished)],
    )


def test_a_passing_trouble_is_got_over(flow) -> None:
    source, failed, finished = moody_run(
        flow, {0: [MemoryError()], 20: [InputError("f", "is away")], 40: [OSError("network")]}
    )
    assert failed == []
    assert len(finished) == 3
    assert source.asked == [0, 0, 20, 20, 40, 40]


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (MemoryError("Unable to allocate 4 GiB"), "out of memory (Unable to allocate 4 GiB)"),
        (InputError("a.mat", "is cut short"), "a.mat: is cut short"),
        (RuntimeError("h5: bad symbol"), "unexpected error (RuntimeError: h5: bad"),
    ],
)
def test_a_lasting_trouble_is_named_after_two_tries(flow, trouble: Exception, said: str) -> None:
    source, failed, finished = moody_run(flow, {20: [trouble] * 9})
    assert source.asked == [0, 20, 20, 40]
    assert [block.index for block in finished] == [0, 2]
    assert said in failed[0].reason


def test_when_nothing_works_the_first_trouble_is_raised_and_nothing_written(
    flow, tmp_path: Path
) -> None:
    frames = np.full_like(flow.frames, np.nan)
    with pytest.raises(InputError, match="in frames 0 to 19"):
        run(acquisition_of(frames), CONFIG, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_does_not_fit_ends_the_run_at_once(flow) -> None:
    told: list[Any] = []

    def follow() -> Iterator[Any]:
        for event in run_events(
            flow.acquisition, CONFIG.with_settings(["clutter.svd_range=90,99"])
        ):
            told.append(event)
            yield event

    with pytest.raises(ConfigError):
        list(follow())
    assert not any(isinstance(event, BlockFailed) for event in told)


@pytest.fixture
def lab(flow, tmp_path: Path) -> Path:
    """Three files of twenty frames, MATLAB v5."""
    (tmp_path / "lab").mkdir()
    for k in range(3):
        savemat(tmp_path / "lab" / f"IQ{k}.mat", {"IQ": flow.frames[20 * k : 20 * k + 20]})
    return tmp_path / "lab"


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_shape(path: Path) -> None:
    savemat(path, {"IQ": np.ones((20, 6, 5, 4), np.complex64)})


def rubbish(path: Path) -> None:
    path.write_bytes(b"not what it was" * 1000)


@pytest.mark.parametrize("damage", [cut_short, other_shape, rubbish])
def test_a_damaged_file_is_left_out_and_comes_back_when_mended(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Any
) -> None:
    command = ["run", str(lab), *FLAGS, "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    good = (lab / "IQ1.mat").read_bytes()
    damage(lab / "IQ1.mat")
    out = tmp_path / "r"
    assert main([*command, str(out)]) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "skipped block 2 of 3" in said
    assert "IQ1.mat" in said
    frames = ResultsFolder.open(out).localizations().frames
    assert set(np.unique(frames // 20)) == {0, 2}
    assert main(["run", "--resume", "--out", str(out)]) == 3  # still broken
    (lab / "IQ1.mat").write_bytes(good)
    assert main(["run", "--resume", "--out", str(out)]) == 0
    for name in ("localizations.parquet", "tracks.parquet"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(out / name), pd.read_parquet(tmp_path / "whole" / name)
        )
    assert (
        "failed" not in ResultsFolder.open(out).facts()["result"]
        or not (ResultsFolder.open(out).facts()["result"]["failed"])
    )


def test_most_files_must_fit_together(lab: Path) -> None:
    config = PipelineConfig().load.replace(
        axes="tzyx", voxel_um=(100, 150, 150), rate_hz=260.0, wavelength_um=100.0
    )
    rubbish(lab / "IQ0.mat")
    acquisition = open_acquisition(lab, config, keep_damaged=True)
    assert acquisition.n_frames == 60
    assert any("IQ0.mat" in note for note in acquisition.notes)
    with pytest.raises(InputError, match=r"IQ0\.mat"):
        open_acquisition(lab, config)
    rubbish(lab / "IQ2.mat")
    with pytest.raises(InputError, match=r"IQ0\.mat"):
        open_acquisition(lab, config, keep_damaged=True)


@pytest.mark.parametrize(
    ("breaks", "borders"), [("none", []), ("files", [30]), ("blocks", [15, 30, 45])]
)
def test_tracks_end_where_the_settings_say(flow, breaks: str, borders: list[int]) -> None:
    whole = flow.acquisition
    halves = Acquisition(
        tuple(acquisition_of(part).sources[0] for part in np.split(flow.frames, 2)),
        whole.grid, 260.0, wavelength_um=100.0,
    )  # fmt: skip
    config = CONFIG.with_settings([f"link.breaks={breaks}", "load.frames_per_block=15"])
    result = run(halves, config)
    for border in borders:
        spans = result.tracks.table.groupby("track_id")["frame"].agg(["min", "max"])
        assert not ((spans["min"] < border) & (spans["max"] >= border)).any()
    pd.testing.assert_frame_equal(
        result.tracks.table,
        link(result.localizations, 260.0, LinkConfig(), breaks=borders).table,
    )
    if not borders:
        assert result.tracks.table.groupby("track_id").size().max() > 45
