"""Whole runs with networks, tiny and untrained: what they get, keep, and go on with."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.cli import main
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled, ConfigError, InputError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.localize.probability import BetaCalibration
from napari_ulm3d.localize.trajectory import trajectory_grid
from napari_ulm3d.networks import build, save_weights
from napari_ulm3d.pipeline import BlockFinished, advice, run, run_events

BASE = ["load.frames_per_block=20", "clutter.svd_range=2,200", "maps.resolution_factor=4"]
TINY = {"stem": 2, "channels": (6, 8), "blocks": 1, "head": 8}
TRAJECTORY = {
    "channels": 4,
    "input_kernel": 3,
    "convolutions": 1,
    "separable": True,
    "time_pools": (2, 2),
    "transition_pool": 2,
    "doublings": 1,
}
UNPRUNED = {"pruning": False, "deep_supervision": False}


def bubblenet(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    model = build("BubbleNet", TINY)
    with torch.no_grad():
        model.head[-1].weight.mul_(20)
        model.head[-1].bias[0] = 0.0
        model.head[-1].bias[4:7] = -1.0  # sure of its places
    save_weights(path, model, scores={"min_score": 0.3})
    return path


def trajectory_net(path: Path, architecture: str, **settings) -> Path:
    torch.manual_seed(1)
    model = build(architecture, {**TRAJECTORY, **settings})
    model.eval()
    save_weights(path, model)
    return path


def config(localizer: str, weights: Path, *more: str) -> PipelineConfig:
    return PipelineConfig().with_settings(
        [*BASE, f"localize.localizer={localizer}", f"network.weights={weights}", *more]
    )


def sliced(acquisition: Acquisition, frames: np.ndarray) -> Acquisition:
    return Acquisition.from_array(
        frames, acquisition.grid.spacing_um, acquisition.rate_hz, wavelength_um=100.0
    )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return bubblenet(tmp_path / "tiny.safetensors")


@pytest.fixture(scope="module")
def finished(flow, tmp_path_factory: pytest.TempPathFactory) -> tuple[Acquisition, Path, Path]:
    """A run of one block, its folder, and its weights."""
    folder = tmp_path_factory.mktemp("finished")
    small = sliced(flow.acquisition, flow.frames[:20])
    weights = bubblenet(folder / "tiny.safetensors")
    run(small, config("network", weights), folder / "r")
    return small, folder / "r", weights


def reused(events) -> list[bool]:
    return [event.reused for event in events if isinstance(event, BlockFinished)]


def test_a_run_says_what_it_used(flow, weights, tmp_path: Path) -> None:
    out = tmp_path / "results"
    result = run(flow.acquisition, config("network", weights), out)
    found = result.localizations.table
    assert len(found) > 100
    assert found["score"].min() >= 0.3  # as the card says
    assert {"sigma_z_um", "vz_mm_s"} <= set(found.columns)
    facts = tomllib.loads((out / "run.toml").read_text())
    used = facts["weights"]["localizer"]
    assert used["architecture"] == "BubbleNet"
    assert len(used["sha256"]) == 64
    # The bubbles are three voxels wide; the settings' own widths were not asked for.
    # Along y, in which they swim in a row, the autocorrelation finds them wider than they are.
    z, y, x = facts["psf"]["fwhm_voxels"]
    np.testing.assert_allclose((z, x), 3, rtol=0.1)
    assert 2.7 < y < 6
    assert "widths from" in facts["psf"]["source"]
    log = (out / "log.txt").read_text()
    assert "tiny.safetensors" in log
    assert "kept_voxels" in log
    pd.testing.assert_frame_equal(ResultsFolder.open(out).localizations().table, found)


def test_a_stopped_run_goes_on_to_the_same_bits(flow, weights, tmp_path: Path) -> None:
    settings = config("network", weights)
    whole = run(flow.acquisition, settings, tmp_path / "whole")
    events = run_events(flow.acquisition, settings, tmp_path / "parts")
    for event in events:
        if isinstance(event, BlockFinished):
            break
    events.close()
    again = list(run_events(flow.acquisition, settings, tmp_path / "parts", resume=True))
    assert reused(again) == [True, False, False]
    parts = ResultsFolder.open(tmp_path / "parts")
    pd.testing.assert_frame_equal(parts.localizations().table, whole.localizations.table)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("network.memory_gb=3", True),
        ("localize.min_snr_db=20", True),
        ("sparsify.top_k=7", True),
        ("sparsify.threshold=0.3", False),
        ("network.min_score=0.5", False),
        ("network.window_frames=12", False),
        ("clutter.svd_range=3,200", False),
        ("other weights", False),
        ("same weights elsewhere", True),
    ],
)
def test_blocks_are_kept_unless_their_result_would_change(
    flow, finished, tmp_path: Path, change: str, kept: bool
) -> None:
    small, earlier, weights = finished
    out, weights = tmp_path / "r", Path(shutil.copy(weights, tmp_path / "elsewhere.safetensors"))
    shutil.copytree(earlier, out)
    settings = config("network", weights)
    if change == "other weights":
        bubblenet(weights, seed=5)
    elif change != "same weights elsewhere":
        settings = settings.with_settings([change])
    assert reused(run_events(small, settings, out, resume=True)) == [kept]


@pytest.mark.parametrize("window", ["network.window_frames=12", "network.window_frames=auto"])
def test_threads_change_no_bit(flow, weights, window: str) -> None:
    before = torch.get_num_threads()
    tables = []
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            settings = config("network", weights, window)
            tables.append(run(flow.acquisition, settings).localizations.table)
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)
    pd.testing.assert_frame_equal(*tables)


def test_stop_is_heard_within_a_window(flow, weights) -> None:
    settings = config("network", weights, "load.frames_per_block=60", "network.window_frames=60")
    asked = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 2  # after the frames were correlated

    with pytest.raises(Cancelled):
        list(run_events(flow.acquisition, settings, None, stop=stop))


def test_an_empty_block_is_a_result(flow, weights) -> None:
    settings = config("network", weights, "sparsify.threshold=1.0", "psf.source=analytic")
    result = run(flow.acquisition, settings)
    assert len(result.localizations) == len(result.tracks) == 0
    assert result.maps["density"].values.size == 0


def test_two_dimensions(flow, weights) -> None:
    flat = sliced(flow.acquisition, flow.frames[:20, :, 5:6])
    found = run(flat, config("network", weights)).localizations.table
    assert len(found)
    assert (found["y_um"] == 0).all()


def test_an_envelope_works_and_is_advised_against(flow, weights) -> None:
    envelope = sliced(flow.acquisition, np.abs(flow.frames[:20]).astype(np.float32))
    settings = config("network", weights)
    assert len(run(envelope, settings).localizations)
    assert any("phase" in line for line in advice(envelope, settings))


def test_advice_about_few_voxels_and_forgotten_weights(flow, weights) -> None:
    good = config("network", weights, "clutter.svd_range=6,200", "load.frames_per_block=60")
    assert advice(flow.acquisition, good) == ()
    high = good.with_settings(["sparsify.threshold=0.4"])
    assert any("sparsify.threshold" in line for line in advice(flow.acquisition, high))
    forgotten = good.with_settings(["localize.localizer=gaussian"])
    assert any("network.weights" in line for line in advice(flow.acquisition, forgotten))


def test_widths_that_are_given_are_obeyed(flow, weights, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(20, 12, 12, 12, 2)) @ [1, 1j]
    settings = config("network", weights, "psf.fwhm_voxels=2,2.5,3")
    run(sliced(flow.acquisition, noise.astype(np.complex64)), settings, tmp_path / "r")
    psf = tomllib.loads((tmp_path / "r" / "run.toml").read_text())["psf"]
    assert psf["fwhm_voxels"] == [2, 2.5, 3]
    assert psf["patch_voxels"] == [5, 5, 7]
    assert psf["source"] == "analytic Gaussian"


@pytest.mark.parametrize(
    ("localizer", "given", "error", "said"),
    [
        ("network", "nowhere.safetensors", InputError, "is not a file"),
        ("network", "magic", ConfigError, "no weights 'magic' in this version"),
        ("trajectory", "tiny", InputError, "SparseDeepSTULM or DeepSTULM is needed"),
    ],
)
def test_weights_that_will_not_do(
    flow, weights, tmp_path: Path, localizer: str, given: str, error: type, said: str
) -> None:
    name = weights if given == "tiny" else given
    with pytest.raises(error, match=said):
        run(flow.acquisition, config(localizer, name), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_trajectories_are_added_up_and_survive_a_resume(flow, tmp_path: Path) -> None:
    net = trajectory_net(tmp_path / "t.safetensors", "SparseDeepSTULM", space_axes=3, **UNPRUNED)
    settings = config("trajectory", net, "network.trajectory_score=0.3")
    whole = run(flow.acquisition, settings, tmp_path / "whole")
    counts = whole.maps["trajectory"]
    assert counts.grid == trajectory_grid(flow.acquisition.grid, 2)
    # Blocks of 20 frames are 2.5 windows of 8 frames each: 9 windows in all.
    assert 1 <= counts.values.max() <= 9
    assert counts.values.size > 100
    assert len(whole.localizations) == len(whole.tracks) == 0
    assert whole.saturation["voxels_reached"].iloc[-1] == counts.values.size
    assert whole.report.saturation > 0
    events = run_events(flow.acquisition, settings, tmp_path / "parts")
    for event in events:
        if isinstance(event, BlockFinished) and event.index == 1:
            break
    events.close()
    again = list(run_events(flow.acquisition, settings, tmp_path / "parts", resume=True))
    assert reused(again) == [True, True, False]
    parts = ResultsFolder.open(tmp_path / "parts")
    np.testing.assert_array_equal(parts.map("trajectory").dense(), counts.dense())
    assert len(parts.localizations()) == 0


@pytest.mark.parametrize("architecture", ["SparseDeepSTULM", "DeepSTULM"])
def test_trajectories_in_two_dimensions(flow, tmp_path: Path, architecture: str) -> None:
    more = UNPRUNED if architecture == "SparseDeepSTULM" else {}
    net = trajectory_net(tmp_path / "t.safetensors", architecture, space_axes=2, **more)
    settings = config("trajectory", net, "network.trajectory_score=0.3")
    flat = sliced(flow.acquisition, flow.frames[:20, :, 5:6])
    counts = run(flat, settings).maps["trajectory"]
    assert counts.shape == (40, 1, 32)
    assert counts.values.size
    with pytest.raises(ConfigError, match="2-D frames"):
        run(flow.acquisition, settings)


def test_the_command_line(
    flow, weights, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "iq.npy", flow.frames[:40])
    out = tmp_path / "results"
    command = ["run", str(tmp_path / "iq.npy"), "--out", str(out), "--rate", "260"]
    command += ["--voxel-um", "100", "150", "150", "--wavelength-um", "100", "--device", "cpu"]
    for assignment in BASE:
        command += ["--set", assignment]
    command += ["--localizer", "network", "--weights"]
    assert main([*command, str(weights)]) == 0
    assert len(ResultsFolder.open(out).localizations()) > 50
    assert main(["run", "--out", str(out), "--resume"]) == 0
    capsys.readouterr()
    assert main([*command, "nothing", "--overwrite"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "no weights 'nothing' in this version" in said


def test_half_precision_is_for_a_gpu(flow, weights) -> None:
    small = sliced(flow.acquisition, flow.frames[:20])
    with pytest.raises(ConfigError, match="precision=half needs CUDA"):
        run(small, config("network", weights, "network.precision=half", "device=cpu"))


def test_the_score_of_a_run_and_its_minimum_are_probabilities(finished, monkeypatch) -> None:
    small, earlier, weights = finished
    curve = BetaCalibration(offset=0.7, low=1.3, high=0.5)
    raw = ResultsFolder.open(earlier).localizations().table["score"].to_numpy()
    monkeypatch.setattr(
        "napari_ulm3d.pipeline.localizers.networks.bubbles.calibration_of", lambda _: curve
    )
    found = run(small, config("network", weights, "network.min_score=0.6")).localizations
    score = found.table["score"].to_numpy()
    expected = curve.probability(raw)
    assert 0 < len(score) < len(raw)
    np.testing.assert_allclose(score, expected[expected >= 0.6], rtol=1e-5)
