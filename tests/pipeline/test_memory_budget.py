"""A memory budget: shorter windows, said and recorded, and kept to."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.execution import Execution
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.pipeline import Noted, run_events
from napari_ulm3d.pipeline.memory import fit_to_memory

COMPLEX = np.dtype(np.complex64)


@dataclass(frozen=True)
class Claimed:
    """Frames that nobody reads."""

    shape: Any
    name: str = "claimed"
    dtype: Any = COMPLEX

    def read(self, start: int, stop: int) -> Any:
        raise AssertionError


def large(n_frames: int = 1000, edge: int = 128) -> Acquisition:
    """17 MB a frame, 3.4 GB in 200."""
    shape = (edge, edge, edge)
    return Acquisition(
        (Claimed((n_frames, *shape)),), Grid(shape, (100, 100, 100)), 500.0, wavelength_um=100.0
    )


def test_what_fits_is_left_alone() -> None:
    config = PipelineConfig()
    for execution in (Execution(), Execution(memory="9GB"), Execution(workers=2, memory="17GB")):
        assert fit_to_memory(large(), config, execution).config == config


@pytest.mark.parametrize(
    ("execution", "frames"),
    [
        (Execution(memory="4GB"), 89),
        (Execution(memory="4GB", workers=1), 78),
        (Execution(memory="8GB", workers=2), 88),
        (Execution(memory="4GB", scheduler="tcp://h:1"), 97),
    ],
)
def test_longer_blocks_become_windows(execution: Execution, frames: int) -> None:
    fitted = fit_to_memory(large(), PipelineConfig(), execution)
    assert fitted.config.load.frames_per_block == frames
    # The share of the components that is tissue stays: 11 of 200.
    first, last = fitted.config.clutter.svd_range
    assert (first - 1) / frames == pytest.approx(11 / 200, abs=1 / frames)
    assert first - 1 >= 11 / 200 * frames
    assert last == frames
    (note,) = fitted.notes
    assert f"at most {frames} frames" in note
    assert f"clutter.svd_range={first},{last} in place of 12,200" in note
    # The settings alone give the same again, on a machine without the budget.
    again = fit_to_memory(large(), fitted.config, execution)
    assert again.config == fitted.config
    assert not again.notes


def test_other_filters_are_not_changed() -> None:
    execution = Execution(memory="4GB")
    for settings in (["clutter.method=bandpass"], ["clutter.svd_automatic=true"]):
        config = PipelineConfig().with_settings(settings)
        assert fit_to_memory(large(), config, execution).config.clutter == config.clutter


@pytest.mark.parametrize(
    "execution", [Execution(memory="1.5GB"), Execution(workers=4, memory="6GB")]
)
def test_windows_too_short_for_the_filter_are_refused(execution: Execution) -> None:
    with pytest.raises(ConfigError, match=r"less than 32.*Allow at least (\d+\.\d)GB") as refused:
        fit_to_memory(large(), PipelineConfig(), execution)
    # What it asks for is enough.
    least = str(refused.value).split("Allow at least ")[1].split("GB")[0]
    if execution.workers is None:
        enough = execution.replace(memory=f"{least}GB")
        assert fit_to_memory(large(), PipelineConfig(), enough).config.load.frames_per_block >= 32


def test_the_windows_are_recorded(flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_ulm3d.pipeline.memory._PROCESS_BYTES", 0)
    monkeypatch.setattr("napari_ulm3d.pipeline.memory._MAPPING_BYTES", 0)
    frame_bytes = flow.frames[0].nbytes
    config = PipelineConfig().with_settings(["clutter.svd_range=4,60", "maps.resolution_factor=4"])
    execution = Execution(memory=f"{int(40 * 2.2 * frame_bytes)}")
    events = list(run_events(flow.acquisition, config, tmp_path / "r", execution=execution))
    (note,) = [event.text for event in events if isinstance(event, Noted)]
    assert note in (tmp_path / "r" / "log.txt").read_text()
    kept = ResultsFolder.open(tmp_path / "r").config
    assert kept.load.frames_per_block in (39, 40)
    assert kept.clutter.svd_range[0] == 3
    assert "failed" not in note


def test_the_budget_is_kept(tmp_path: Path) -> None:
    """A block of 472 MB, worked on in no more than 900 MB, libraries and all."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("this system does not tell the peak of a process")
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(360, 64, 40, 64)).astype(np.float32)
    np.save(tmp_path / "IQ.npy", frames + 1j * frames[:, ::-1])
    del frames
    code = textwrap.dedent("""
        import sys
        from napari_ulm3d.config import PipelineConfig
        from napari_ulm3d.execution import Execution
        from napari_ulm3d.io import open_acquisition
        from napari_ulm3d.pipeline import run
        config = PipelineConfig().with_settings(
            ["load.frames_per_block=360", "localize.min_snr_db=40", "load.axes=tzyx",
             "load.voxel_um=100,100,100", "load.rate_hz=500", "load.wavelength_um=100"])
        acquisition = open_acquisition(sys.argv[1], config.load)
        execution = Execution(memory=sys.argv[2]) if len(sys.argv) > 2 else None
        print(run(acquisition, config, execution=execution).report.peak_memory_bytes)
    """)
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", code, str(tmp_path / "IQ.npy"), *budget],
                check=True, capture_output=True, text=True, timeout=200,
            ).stdout
        )
        for budget in ([], ["900MB"])
    ]  # fmt: skip
    assert peaks[0] > 1.0e9
    assert peaks[1] < 0.9e9
