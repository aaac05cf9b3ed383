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
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.maps.disk_spill import SortedRuns
from napari_ulm3d.networks.bubblenet import BubbleNetConfig
from napari_ulm3d.networks.memory import forward_bytes, most_voxels
from napari_ulm3d.pipeline import Noted, run, run_events
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
    given = PipelineConfig().with_settings(["clutter.svd_range=12,200"])
    fitted = fit_to_memory(large(), given, execution)
    assert fitted.config.load.frames_per_block == frames
    # The share of the components that is tissue stays: 11 of 200.
    first, last = fitted.config.clutter.svd_range
    assert (first - 1) / frames == pytest.approx(11 / 200, abs=1 / frames)
    assert first - 1 >= 11 / 200 * frames
    assert last == frames
    (note,) = fitted.notes
    assert f"at most {frames} frames" in note
    assert f"clutter.svd_range={first},{last} instead of 12,200" in note
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
    with pytest.raises(ConfigError, match=r"fewer than 32.*Allow at least (\d+\.\d)GB") as refused:
        fit_to_memory(large(), PipelineConfig(), execution)
    # What it asks for is enough.
    least = str(refused.value).split("Allow at least ")[1].split("GB")[0]
    enough = execution.replace(memory=f"{least}GB")
    assert fit_to_memory(large(), PipelineConfig(), enough).config.load.frames_per_block >= 32


NETWORK = PipelineConfig(device="cpu").with_settings(
    ["localize.localizer=network", "load.frames_per_block=200"]
)


@pytest.mark.parametrize(
    ("execution", "frames", "memory_gb"),
    [
        (Execution(memory="8.95GB"), 162, 2.02),
        (Execution(memory="12GB"), 200, 3.66),
        (Execution(memory="16.7GB", workers=2), 149, 1.85),
        (Execution(memory="9GB", scheduler="tcp://h:1"), 169, 2.11),
    ],
)
def test_a_network_gets_what_the_blocks_leave(
    execution: Execution, frames: int, memory_gb: float
) -> None:
    fitted = fit_to_memory(large(), NETWORK, execution)
    assert fitted.config.load.frames_per_block == frames
    assert fitted.config.network.memory_gb == pytest.approx(memory_gb, abs=0.02)
    assert f"{fitted.config.network.memory_gb:g} GB (network.memory_gb)" in fitted.notes[-1]
    again = fit_to_memory(large(), fitted.config, execution)
    assert again.config == fitted.config
    assert not again.notes


def test_the_windows_of_a_network_shrink_to_its_share() -> None:
    fitted = fit_to_memory(large(edge=64), NETWORK, Execution(memory="1.5GB"))
    memory_gb = fitted.config.network.memory_gb
    assert memory_gb is not None
    assert memory_gb < 0.2
    architecture = BubbleNetConfig()
    voxels = most_voxels(architecture, "cpu", memory_gb)
    assert voxels * forward_bytes(architecture) <= 1e9 * memory_gb
    assert voxels < most_voxels(architecture, "cpu", 100.0)


def test_memory_that_was_set_for_a_network_is_left_to_it() -> None:
    config = NETWORK.with_settings(["network.memory_gb=3.0"])
    fitted = fit_to_memory(large(), config, Execution(memory="8.95GB"))
    assert fitted.config.network.memory_gb == 3.0
    # (8.95 - 0.95 - 3) GB at 2.2 times 16.8 MB a frame
    assert fitted.config.load.frames_per_block == 135
    for other in (PipelineConfig(), NETWORK.with_settings(["device=cuda"])):
        if other.device == "cuda":  # its memory is not this one
            fitted = fit_to_memory(large(), other, Execution(memory="9GB", scheduler="tcp://h:1"))
        else:
            fitted = fit_to_memory(large(), other, Execution(memory="9GB"))
        assert fitted.config.network.memory_gb is None


def test_maps_get_what_is_left_over() -> None:
    assert fit_to_memory(large(), PipelineConfig(), Execution()).map_bytes is None
    for execution, map_gb in (
        (Execution(memory="4GB"), 0.2),
        (Execution(memory="9GB"), 0.2 + 9 - 0.7 - 2.2 * 200 * 128**3 * 8 / 1e9),
        (Execution(memory="20GB", workers=2), 0.2),
        (Execution(memory="20GB", scheduler="tcp://h:1"), 0.2 + 20 - 0.7),
    ):
        config = PipelineConfig().with_settings(["load.frames_per_block=200"])
        map_bytes = fit_to_memory(large(), config, execution).map_bytes
        assert map_bytes == pytest.approx(map_gb * 1e9, rel=0.2 if map_gb < 0.3 else 0.01)


def test_maps_on_the_disk_are_the_same(
    flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole run, with room for a single voxel; nothing of it stays in the folder."""
    written = []
    append = SortedRuns.append
    monkeypatch.setattr(
        SortedRuns, "append", lambda runs, rows: written.append(runs) or append(runs, rows)
    )
    config = PipelineConfig().with_settings(
        [
            "load.frames_per_block=20",
            "clutter.svd_range=2,200",
            "link.min_length_frames=4",
            "maps.resolution_factor=4",
        ]
    )
    monkeypatch.setattr("napari_ulm3d.maps.resolved.FEWEST_TRACKS", 1)  # a local resolution too
    run(flow.acquisition, config, tmp_path / "free")
    assert not written
    monkeypatch.setattr("napari_ulm3d.maps.accumulator._FEWEST_VOXELS", 1)
    monkeypatch.setattr("napari_ulm3d.pipeline.memory._MAP_BYTES", -(10**12) + 1)
    monkeypatch.setattr("napari_ulm3d.pipeline.memory._PROCESS_BYTES", 0)
    run(flow.acquisition, config, tmp_path / "bound", execution=Execution(memory="1TB"))
    assert written
    names = sorted(p.relative_to(tmp_path / "free") for p in (tmp_path / "free").rglob("*.*"))
    assert names == sorted(
        p.relative_to(tmp_path / "bound") for p in (tmp_path / "bound").rglob("*.*")
    )
    for name in ("saturation.csv", "fsc.csv", "tracks.parquet"):
        assert (tmp_path / "free" / name).read_bytes() == (tmp_path / "bound" / name).read_bytes()
    free, bound = (ResultsFolder.open(tmp_path / name) for name in ("free", "bound"))
    assert len(free.map_names()) == 8
    for name in free.map_names():
        assert free.map(name).index.tobytes() == bound.map(name).index.tobytes()
        assert free.map(name).values.tobytes() == bound.map(name).values.tobytes()


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


@pytest.mark.long
@pytest.mark.slow
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
        from napari_ulm3d.config.execution import Execution
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
                check=True, capture_output=True, text=True, timeout=300,
            ).stdout
        )
        for budget in ([], ["900MB"])
    ]  # fmt: skip
    assert peaks[0] > 1.0e9
    assert peaks[1] < 0.9e9
