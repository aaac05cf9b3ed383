"""How long blocks are when that is left to the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.calibrate import calibrate, chosen_length, longest_block, shares_removed
from napari_ulm3d.config import PipelineConfig, settings_preset
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.errors import InputError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.pipeline import BlockFinished, run_events
from napari_ulm3d.pipeline.memory import fit_to_memory

SHAPE = (16, 1, 16)
CONFIG = PipelineConfig().with_settings(["maps.fsc=false"])


def bubbles(n_frames: int, rng: np.random.Generator) -> NDArray[np.complex64]:
    """Three bubbles that cross the plane, in white noise of the receiver."""
    noise = rng.standard_normal((2, n_frames, *SHAPE)) * 0.05
    frames = noise[0] + 1j * noise[1]
    z, x = np.arange(16.0)[:, None], np.arange(16.0)
    for k in range(3):
        speed, start = rng.uniform(0.01, 0.05), rng.uniform(0, 16)
        for t in range(n_frames):
            at = (start + speed * t) % 24 - 4
            spot = np.exp(-((z - 3 - 4 * k) ** 2 + (x - at) ** 2) / 2) * np.exp(
                1j * (k + z - 0.3 * at)
            )
            frames[t, :, 0, :] += spot
    return frames.astype(np.complex64)


def made(frames: NDArray[np.complex64]) -> Acquisition:
    return Acquisition.from_array(frames, (50, 50, 50), 300.0, wavelength_um=100.0)


def breathing(n_frames: int) -> Acquisition:
    """Tissue of a few components however long one looks: it stands, breathes and beats."""
    rng = np.random.default_rng(3)
    t = np.arange(n_frames) / 300
    courses = np.stack([np.ones_like(t), np.sin(9 * t), np.cos(40 * t), np.sin(80 * t)])
    speckle = rng.standard_normal((2, 4, *SHAPE))
    weight = np.array([100, 40, 20, 10])[:, None, None, None]
    tissue = np.einsum("kt,kzyx->tzyx", courses, weight * (speckle[0] + 1j * speckle[1]))
    return made((tissue + bubbles(n_frames, rng)).astype(np.complex64))


def renewed(n_frames: int) -> Acquisition:
    """Tissue whose speckle is another one every 50 frames: a fiftieth of any number of components."""
    rng = np.random.default_rng(6)
    speckle = 30 * rng.standard_normal((2, n_frames // 50, *SHAPE))
    tissue = np.repeat(speckle[0] + 1j * speckle[1], 50, axis=0)
    return made((tissue + bubbles(n_frames, rng)).astype(np.complex64))


def band_limited(n_frames: int) -> Acquisition:
    """Tissue with a course of its own for each voxel, all within a band of .04 of the rate."""
    rng = np.random.default_rng(4)
    spectrum = rng.standard_normal((2, n_frames, *SHAPE))
    spectrum[:, np.abs(np.fft.fftfreq(n_frames)) > 0.02] = 0
    tissue = np.fft.ifft(spectrum[0] + 1j * spectrum[1], axis=0)
    tissue *= 30 / np.abs(tissue).std()
    return made((tissue + bubbles(n_frames, rng)).astype(np.complex64))


def test_blocks_grow_where_tissue_has_few_components() -> None:
    acquisition = breathing(1500)
    length = chosen_length(shares_removed, acquisition, CONFIG)
    assert length.frames == 1000
    assert length.finding is not None
    assert length.finding.value == "at most 1000"
    assert [b.n_frames for b in acquisition.blocks(length.frames)] == [750, 750]
    found = calibrate(acquisition, CONFIG)
    assert found.findings[0] == length.finding
    assert found.svd_first == pytest.approx(5, abs=1)


def test_blocks_stay_where_longer_ones_lose_as_much_flow() -> None:
    acquisition = renewed(1000)
    shares = shares_removed(acquisition.blocks(1000)[0])
    assert list(shares.values()) == pytest.approx([0.02] * 3, abs=0.006)
    assert chosen_length(shares_removed, acquisition, CONFIG).frames == 200


def test_tissue_in_a_band_is_recognized_at_any_length() -> None:
    shares = shares_removed(band_limited(1000).blocks(1000)[0])
    assert shares[1000] == pytest.approx(0.04, abs=0.015)  # 2 B T: twice the band of 0.02
    # The edges of the band cost a few components more, however short the window is.
    assert 0.04 < shares[500] < shares[200] < 0.09


def test_blocks_stay_without_tissue() -> None:
    acquisition = made(bubbles(400, np.random.default_rng(5)))
    length = chosen_length(shares_removed, acquisition, CONFIG)
    assert length.frames == 200
    assert length.finding is not None
    assert "no tissue" in length.finding.how


def never(block: Block) -> dict[int, float]:
    raise AssertionError("nothing has to be measured")


@pytest.mark.parametrize(
    ("settings", "frames"),
    [
        (["load.frames_per_block=120"], 120),
        (["clutter.svd_range=12,200"], 200),
        (["clutter.svd_automatic=true"], 200),
        (["clutter.method=bandpass"], 200),
        (["clutter.method=none"], 200),
    ],
)
def test_what_is_given_is_obeyed(settings: list[str], frames: int) -> None:
    config = CONFIG.with_settings(settings)
    length = chosen_length(never, breathing(600), config)
    assert (length.frames, length.finding) == (frames, None)


def test_short_files_and_presets_are_as_before() -> None:
    assert chosen_length(never, breathing(200), CONFIG).frames == 200
    assert chosen_length(never, breathing(600), settings_preset("open-3dulm")).frames == 200


def test_memory_bounds_a_block() -> None:
    acquisition = breathing(1200)
    assert chosen_length(shares_removed, acquisition, CONFIG, 340).frames == 340
    assert longest_block(acquisition, CONFIG) == 1000
    large = Acquisition.from_array(
        np.broadcast_to(np.complex64(0), (2000, 64, 64, 64)), (50, 50, 50), 300.0
    )  # 2 MB a frame
    assert longest_block(large, CONFIG) == 476
    # With a budget, as much as it has room for beside all else; the settings stay.
    fitted = fit_to_memory(large, CONFIG, Execution(memory="4GB"))
    assert fitted.config == CONFIG
    assert fitted.block_frames is not None
    assert 700 * 2.2 * 2.1e6 < 4e9 - 0.7e9
    assert fitted.block_frames == pytest.approx((4e9 - 0.7e9) / (2.2 * 2.1e6), rel=0.01)


def test_a_damaged_block_is_passed_over() -> None:
    acquisition = breathing(1500)
    asked: list[int] = []

    def measured(block: Block) -> dict[int, float]:
        asked.append(block.index)
        if not block.index:
            raise InputError(block.name, "contains NaN", "Replace it.")
        return {200: 0.03, 375: 0.02, 750: 0.029}

    length = chosen_length(measured, acquisition, CONFIG)
    assert asked == [0, 1]
    assert length.frames == 375  # the longest that is worth it


def test_a_run_records_its_length_and_resumes(tmp_path: Path) -> None:
    acquisition = breathing(450)
    first = [
        e for e in run_events(acquisition, CONFIG, tmp_path / "r") if isinstance(e, BlockFinished)
    ]
    assert [e.n_frames for e in first] == [450]
    record = ResultsFolder.open(tmp_path / "r").facts()
    assert record["config"]["load"]["frames_per_block"] == 450  # the same again on any machine
    finding = record["calibration"]["findings"][0]
    assert (finding["name"], finding["value"]) == ("frames per block", "at most 450")
    again = run_events(acquisition, CONFIG, tmp_path / "r", resume=True)
    assert [e.reused for e in again if isinstance(e, BlockFinished)] == [True]
