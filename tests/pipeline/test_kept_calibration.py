"""A run that is resumed goes by what it measured at first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.results import MEASURED_NAME, ResultsFolder
from napari_ulm3d.pipeline import BlockFinished, Event, executors, run_events

CONFIG = PipelineConfig().with_settings(
    ["load.frames_per_block=40", "calibrate.blocks=2", "maps.fsc=false", "motion.method=auto"]
)
LOAD = CONFIG.load.replace(axes="tzyx", voxel_um=(50, 50, 50), rate_hz=300.0, wavelength_um=100.0)


def write(path: Path, seed: int) -> None:
    """40 frames of tissue of two components, one bubble and noise."""
    rng = np.random.default_rng(seed)
    t, z, x = np.arange(40)[:, None, None], np.arange(20.0)[:, None], np.arange(20.0)
    frames = 20 * (1 + 0.3 * np.sin(0.3 * t)) * rng.standard_normal((20, 20))
    frames = frames + np.exp(-((z - 9.3) ** 2 + (x - 2 - 0.4 * t) ** 2) / 2) * np.exp(
        2j * z + 1j * t
    )
    frames = frames + 0.05 * (
        rng.standard_normal(frames.shape) + 1j * rng.standard_normal(frames.shape)
    )
    np.save(path, frames[:, :, None].astype(np.complex64))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for k in range(3):
        write(folder / f"IQ{k}.npy", k)
    return folder


class Measured:
    """How often blocks were measured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = executors.measure

        def counted(*arguments: Any) -> Any:
            self.count += 1
            return real(*arguments)

        monkeypatch.setattr(executors, "measure", counted)


def acquisition_of(folder: Path) -> Acquisition:
    return open_acquisition(folder, LOAD, keep_damaged=True)


def events(folder: Path, out: Path, **how: Any) -> list[Event]:
    return list(run_events(acquisition_of(folder), how.pop("config", CONFIG), out, **how))


def reused(told: list[Event]) -> list[bool]:
    return [event.reused for event in told if isinstance(event, BlockFinished)]


def interrupted(folder: Path, out: Path) -> None:
    """A run that ends after its first block."""
    for event in run_events(acquisition_of(folder), CONFIG, out):
        if isinstance(event, BlockFinished):
            return


def test_resuming_measures_nothing(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured(monkeypatch)
    events(files, tmp_path / "whole")
    assert measured.count == 2
    interrupted(files, tmp_path / "r")
    assert measured.count == 4
    assert reused(events(files, tmp_path / "r", resume=True)) == [True, False, False]
    assert measured.count == 4
    whole, resumed = (ResultsFolder.open(tmp_path / name) for name in ("whole", "r"))
    assert whole.localizations_path.read_bytes() == resumed.localizations_path.read_bytes()
    assert whole.facts()["calibration"] == resumed.facts()["calibration"]
    # A new run does not look at what another one measured.
    events(files, tmp_path / "r", overwrite=True)
    assert measured.count == 6


@pytest.mark.slow
def test_other_settings_and_other_data_are_measured(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, out = Measured(monkeypatch), tmp_path / "r"
    events(files, out)
    # What is measured does not depend on how bubbles are linked.
    events(files, out, resume=True, config=CONFIG.with_settings(["link.max_speed_mm_s=20"]))
    assert measured.count == 2
    events(files, out, resume=True, config=CONFIG.with_settings(["psf.min_bubbles=12"]))
    assert measured.count == 4
    events(files, out, resume=True)
    assert measured.count == 6
    write(files / "IQ1.npy", 7)  # not among those that were measured
    assert reused(events(files, out, resume=True)) == [True, False, True]
    assert measured.count == 6
    write(files / "IQ2.npy", 8)
    events(files, out, resume=True)
    assert measured.count == 8


@pytest.mark.slow
def test_a_file_that_is_whole_again_is_measured(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retrying what was damaged ends as a new run would, to the bit."""
    measured, last = Measured(monkeypatch), files / "IQ2.npy"
    whole = last.read_bytes()
    last.write_bytes(whole[:3000])
    events(files, tmp_path / "r")
    assert measured.count == 3  # the damaged one, and its neighbour in its place
    events(files, tmp_path / "r", resume=True)
    assert measured.count == 3
    last.write_bytes(whole)
    events(files, tmp_path / "r", resume=True)
    events(files, tmp_path / "new")
    resumed, new = (ResultsFolder.open(tmp_path / name) for name in ("r", "new"))
    assert resumed.localizations_path.read_bytes() == new.localizations_path.read_bytes()


def test_a_chosen_length_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether resuming asks for what the first run asked for, or for what it recorded."""
    rng = np.random.default_rng(3)
    t, z, x = np.arange(240)[:, None, None], np.arange(20.0)[:, None], np.arange(20.0)
    frames = 20 * (1 + 0.3 * np.sin(0.3 * t)) * rng.standard_normal((20, 20)) + 0j
    frames += np.exp(-((z - 9.3) ** 2 + (x - 2 - 0.07 * t) ** 2) / 2) * np.exp(2j * z + 1j * t)
    frames += 0.05 * (rng.standard_normal(frames.shape) + 1j * rng.standard_normal(frames.shape))
    np.save(tmp_path / "IQ.npy", frames[:, :, None].astype(np.complex64))
    measured, out = Measured(monkeypatch), tmp_path / "r"
    config = CONFIG.with_settings(["load.frames_per_block=auto"])
    events(tmp_path / "IQ.npy", out, config=config)
    recorded = ResultsFolder.open(out).config
    assert recorded.load.frames_per_block == 240
    before = measured.count
    for again in (config, recorded):
        assert reused(events(tmp_path / "IQ.npy", out, config=again, resume=True)) == [True]
        assert measured.count == before
    events(tmp_path / "IQ.npy", out, config=CONFIG, resume=True)
    assert measured.count > before


@pytest.mark.parametrize("left", [b"", b"PK\x03\x04 torn", None])
def test_a_torn_file_is_measured_anew(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: bytes | None
) -> None:
    measured, out = Measured(monkeypatch), tmp_path / "r"
    interrupted(files, out)
    if left is None:
        (out / MEASURED_NAME).unlink()
    else:
        (out / MEASURED_NAME).write_bytes(left)
    assert reused(events(files, out, resume=True)) == [True, False, False]
    assert measured.count == 4
