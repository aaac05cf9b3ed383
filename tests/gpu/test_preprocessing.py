"""The steps before a network on a PyTorch device, against those on NumPy arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.gpu.counting import counted
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate import WorkingGrid, calibrate
from napari_ulm3d.config import ClutterConfig, PipelineConfig
from napari_ulm3d.filtering import FilteredBlock, clutter_filter, correlation_map, device
from napari_ulm3d.filtering.psf import Psf
from napari_ulm3d.networks.bubblenet_input import noise_level
from napari_ulm3d.pipeline import blocks
from napari_ulm3d.pipeline.localizers.network import kept_voxels
from napari_ulm3d.pipeline.localizers.on_device import block_device, filtered_there
from napari_ulm3d.pipeline.plan import BlockPlan

GRID = (18, 7, 12)


def block(n_frames: int = 60, *, real: bool = False) -> np.ndarray:
    """Strong tissue of a few components, bubbles as points, noise."""
    rng = np.random.default_rng(0)
    shape = (n_frames, *GRID)
    noise = (rng.normal(size=(*shape, 2)) @ [1, 1j]).astype(np.complex64)
    courses = np.cumsum(rng.normal(size=(n_frames, 4)), axis=0)
    images = rng.normal(size=(4, *GRID, 2)) @ [1, 1j]
    # 59 dB over the noise. At 69 dB five last bits of a single-precision tissue are 1e-4 of a
    # bubble, and no two orders of summation agree to that.
    tissue = 100 * np.einsum("tk,kzyx->tzyx", courses, images)
    for t in range(n_frames):
        noise[t, t % 18, (t // 5) % 7, (t // 7) % 12] += 40
    made = (noise + tissue).astype(np.complex64)
    return np.abs(made).astype(np.float32) if real else made


def psf(*, separable: bool, real: bool = False) -> Psf:
    def profile(n: int, step: float) -> np.ndarray:
        at = np.arange(n) - n // 2
        return np.exp(-((at / 1.6) ** 2) + 1j * step * at).astype(np.complex64)

    factors = (profile(7, 0.0 if real else 0.9), profile(5, 0.0), profile(9, 0.0))
    array = np.einsum("z,y,x->zyx", *factors)
    if not separable:
        array[0, 0, 0] = 0.3 if real else 0.3j
        return Psf(array, (2.6, 2.6, 2.6))
    return Psf(array, (2.6, 2.6, 2.6), factors=factors)


def close(found: torch.Tensor, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(
        found.cpu().numpy(), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max()
    )


@pytest.mark.parametrize("real", [False, True], ids=["IQ", "envelope"])
def test_the_clutter_filter_agrees(real: bool) -> None:
    frames = block(80, real=real)
    config = ClutterConfig(method="svd", svd_range=(6, 10_000), decomposition="randomized")
    wanted = clutter_filter(frames.copy(), 500.0, config)
    found, values, vectors = device.remove_leading(torch.from_numpy(frames.copy()), 5)
    assert wanted.singular_values is not None
    assert wanted.removed is not None
    np.testing.assert_allclose(values.numpy(), wanted.singular_values, rtol=1e-4)
    projections = [v @ v.conj().T for v in (vectors.numpy(), wanted.removed)]
    np.testing.assert_allclose(*projections, atol=1e-3)
    close(found, wanted.frames)


@pytest.mark.parametrize("real", [False, True], ids=["IQ", "envelope"])
@pytest.mark.parametrize("separable", [True, False])
def test_the_correlation_map_agrees(real: bool, separable: bool) -> None:
    frames = block(6, real=real)
    frames[2] *= 1e-30  # still the same map
    frames[3] = 0
    frames[4, :9] = 0
    one = psf(separable=separable, real=real)
    wanted = correlation_map(frames, one)
    found = device.correlation_map(torch.from_numpy(frames), one)
    assert np.abs(wanted).max() > 0.2
    close(found, wanted)
    assert found.abs().max() <= 1
    assert not found[3].any()
    again = device.correlation_map(torch.from_numpy(frames), one)
    assert torch.equal(again, found)
    bright = replace(one, bright_only=True)
    close(device.correlation_map(torch.from_numpy(frames), bright), correlation_map(frames, bright))


def test_real_frames_want_a_real_psf() -> None:
    with pytest.raises(ValueError, match="real PSF"):
        device.correlation_map(torch.zeros(1, *GRID), psf(separable=True))


@pytest.mark.parametrize("n_frames", [1, 33])
@pytest.mark.parametrize("masked", [False, True])
def test_the_noise_level_agrees(n_frames: int, masked: bool) -> None:
    frames, valid = block(n_frames), None
    if masked:
        valid = np.zeros(GRID, bool)
        valid[3:9, :5] = True
    wanted = noise_level(frames, np.ones(GRID, bool) if valid is None else valid)
    assert float(device.noise_level(torch.from_numpy(frames), valid)) == pytest.approx(
        wanted, rel=1e-5
    )
    assert float(device.noise_level(torch.from_numpy(frames), np.zeros(GRID, bool))) == 0


def test_nothing_waits_for_the_device() -> None:
    frames, one = torch.from_numpy(block(40)), psf(separable=True)
    device.correlation_map(frames, one)  # prepared

    def work() -> torch.Tensor:
        filtered, _, _ = device.remove_leading(frames.clone(), 5)
        return device.correlation_map(filtered, one) / device.noise_level(filtered)

    _, counts = counted(work)
    assert counts.waits == 0
    assert counts.launches < 100


def acquisition(frames: np.ndarray) -> Acquisition:
    return Acquisition.from_array(frames, (100.0,) * 3, 500.0, wavelength_um=200.0)


def test_a_block_filtered_there_gives_what_the_cpu_gives(monkeypatch) -> None:
    given = acquisition(block(80))
    config = PipelineConfig.from_dict(
        {
            "device": "cpu",
            "clutter": {"svd_range": [6, 10000]},
            "localize": {"localizer": "network"},
        }
    )
    (one,) = given.blocks(80)
    there, here = [], []
    for where, kept_in in ((None, here), ("cpu", there)):
        monkeypatch.setattr(blocks, "block_device", lambda config, where=where: where)
        filtered = blocks.filter_block(one, given, config)
        plan = BlockPlan(given, config, psf(separable=True), ())
        kept_in += [filtered, kept_voxels(one, filtered, plan, lambda: False)]
    assert here[0].resident is None
    assert there[0].components == here[0].components
    close(there[0].resident, here[0].frames)
    np.testing.assert_array_equal(there[0].resident.numpy(), there[0].frames)
    # Voxels that reach the threshold by a rounding error may be in one and not in the other.
    found = [
        dict(zip(map(tuple, k.coordinates.tolist()), k.values, strict=True))
        for _, k in (here, there)
    ]
    both = found[0].keys() & found[1].keys()
    assert len(both) > 0.999 * max(map(len, found)) > 50
    for at in both:
        assert abs(found[0][at] - found[1][at]) < 1e-4


@pytest.mark.parametrize(
    "clutter",
    [
        {"method": "bandpass"},
        {"svd_range": None},
        {"svd_range": [6, 40]},
        {"svd_range": [6, 10000], "decomposition": "full"},
        {"svd_range": [60, 10000]},
    ],
    ids=str,
)
def test_what_the_cpu_does_better_is_left_to_it(clutter) -> None:
    config = ClutterConfig.from_dict(clutter)
    assert filtered_there(block(80), config, "cpu") is None


def test_memory_that_ends_leaves_the_block_to_the_cpu(monkeypatch) -> None:
    def ends(*given):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    frames = block(80)
    before = frames.copy()
    config = ClutterConfig(svd_range=(6, 10_000))
    assert filtered_there(frames.copy(), config, "cpu") is not None
    monkeypatch.setattr(device, "remove_leading", ends)
    assert filtered_there(frames, config, "cpu") is None
    np.testing.assert_array_equal(frames, before)


def on_a_working_grid(given: Acquisition, frames: np.ndarray, *, resident: bool) -> tuple:
    """A block that the plan thins, and the result; the frames are on a device, or on the CPU."""
    working = WorkingGrid(given.grid, (3, 1, 2), 0.4)
    fitted = replace(calibrate(given, PipelineConfig()), working=working)
    plan = BlockPlan(given, PipelineConfig(), psf(separable=True), (), fitted)
    valid = np.zeros(GRID, bool)
    valid[2:] = True
    whole = FilteredBlock(
        frames, valid=valid, resident=torch.from_numpy(frames) if resident else None
    )
    return whole, blocks.on_working_grid(whole, plan)


@pytest.mark.parametrize("real", [False, True], ids=["IQ", "envelope"])
def test_a_block_is_thinned_where_it_is(real: bool) -> None:
    frames = block(30, real=real)
    given = acquisition(frames)
    (_, here), (_, there) = (
        on_a_working_grid(given, frames, resident=resident) for resident in (False, True)
    )
    assert here.resident is None
    assert there.frames.shape == here.frames.shape == (30, 6, 7, 6)
    assert there.frames.dtype == here.frames.dtype
    close(there.resident, here.frames)
    np.testing.assert_array_equal(there.resident.numpy(), there.frames)
    np.testing.assert_array_equal(there.valid, here.valid)


def test_thinning_without_memory_is_left_to_the_cpu(monkeypatch) -> None:
    def ends(*given):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(WorkingGrid, "resident", ends)
    whole, thin = on_a_working_grid(acquisition(block(30)), block(30), resident=True)
    assert whole.resident is not None
    assert thin.resident is None
    assert thin.frames.shape == (30, 6, 7, 6)


def test_without_a_gpu_blocks_stay_on_the_cpu() -> None:
    for where in ("cpu", "auto"):
        config = PipelineConfig.from_dict({"device": where, "localize": {"localizer": "gaussian"}})
        assert block_device(config) is None
    config = PipelineConfig.from_dict({"device": "cpu", "localize": {"localizer": "network"}})
    assert block_device(config) is None
