"""Speed of the network, the steps before it, a whole run, single convolutions, and training."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.parity import bubble_block
from benchmarks.gpu.report import Row
from napari_ulm3d.config import NetworkConfig, PipelineConfig
from napari_ulm3d.device import has_cuda_spconv
from napari_ulm3d.filtering import Psf, clutter_filter
from napari_ulm3d.filtering import device as filtering_device
from napari_ulm3d.localize.augmentation import averaged_output
from napari_ulm3d.localize.network import predict
from napari_ulm3d.networks.bubblenet import BubbleNet
from napari_ulm3d.sparse import SparseTensor, SubmanifoldConv, tables_everywhere

__all__ = ["convolutions", "network_rates", "preprocessing", "training", "whole_run"]

GRID = (40, 36, 32)


def seconds_of(work: Callable[[], Any], device: str, at_least: float = 0.3) -> float:
    """Mean time of a call in seconds, after a first call that is not counted."""

    def finished() -> float:
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    work()
    calls, began = 0, finished()
    while calls == 0 or finished() - began < at_least:
        work()
        calls += 1
    return (finished() - began) / calls


class _Bytes(TorchDispatchMode):
    """Bytes read and written by operators, counting each tensor once per operator."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {one.untyped_storage()._cdata for one in args if isinstance(one, torch.Tensor)}
        made = out if isinstance(out, (tuple, list)) else [out]
        fresh = [
            one
            for one in made
            if isinstance(one, torch.Tensor) and one.untyped_storage()._cdata not in given
        ]
        if fresh:  # a view moves nothing
            tensors = [*fresh, *(one for one in args if isinstance(one, torch.Tensor))]
            self.total += sum(one.numel() * one.element_size() for one in tensors)
        return out


def _peaks(device: str) -> tuple[float, float]:
    """Operations and bytes per second that this device reaches in 32 bits."""
    n = 512 if device == "cpu" else 8192
    a = torch.randn(n, n, device=device)
    flops = 2 * n**3 / seconds_of(lambda: a @ a, device)
    b = torch.empty((2 if device == "cpu" else 256) * 2**20, device=device)
    c = torch.empty_like(b)
    return flops, 2 * 4 * b.numel() / seconds_of(lambda: c.copy_(b), device)


def network_rates(device: str, network: BubbleNet, small: bool) -> Iterator[Row]:
    """Volumes per second by block size and occupancy, compared with the device's limit."""
    flops, bandwidth = _peaks(device)
    grid = (16, 16, 16) if small else GRID
    frames = (20,) if small else (100, 200, 400, 1000)
    for n_frames in frames:
        for share in (0.005, 0.02) if small else (0.003, 0.01, 0.03):
            block = bubble_block((n_frames, *grid), share)
            config = NetworkConfig(views=2, min_score=0.5)
            seconds = seconds_of(
                lambda b=block, c=config: list(predict(network, b, c, device=device)), device
            )  # type: ignore[misc]
            counted, moved = FlopCounterMode(display=False), _Bytes()
            # The GPU's code, counted on the CPU if there is no GPU.
            with (
                torch.inference_mode(),
                tables_everywhere() if device == "cpu" else nullcontext(),
                counted,
                moved,
            ):
                averaged_output(network, [block], 2, device, "torch", at_once=2)
            least = max(counted.get_total_flops() / flops, moved.total / bandwidth)
            yield [
                str(n_frames), f"{100 * share:g} %", f"{n_frames / seconds:,.0f}",
                f"{counted.get_total_flops() / n_frames / 1e9:.2f}", f"{moved.total / n_frames / 1e6:.0f}",
                f"{n_frames / least:,.0f}", f"{100 * least / seconds:.0f} %",
            ]  # fmt: skip


def preprocessing(device: str, small: bool) -> Iterator[Row]:
    """Filter, correlation, noise level and threshold of a block, with the CPU's code and on the device."""
    from napari_ulm3d.filtering import correlation_map
    from napari_ulm3d.networks.bubblenet_input import noise_level

    grid = (16, 16, 16) if small else GRID
    at = np.arange(9) - 4
    profile = np.exp(-((at / 1.6) ** 2)).astype(np.complex64)
    psf = Psf(np.einsum("z,y,x->zyx", *(profile,) * 3), (2.6,) * 3, factors=(profile,) * 3)
    rng = np.random.default_rng(0)
    for n_frames in (80,) if small else (200, 400, 1000):
        frames = (rng.normal(size=(n_frames, *grid, 2)) @ [1, 1j]).astype(np.complex64)
        config = PipelineConfig().clutter.replace(method="svd", svd_range=(9, 10**6))

        def on_cpu(frames: Any = frames, config: Any = config) -> None:
            filtered = clutter_filter(frames.copy(), 1000.0, config).frames
            np.flatnonzero(np.abs(correlation_map(filtered, psf)) ** 2 >= 0.1)
            noise_level(filtered)

        def there(frames: Any = frames) -> None:
            given = torch.from_numpy(frames).to(device, copy=True)
            filtered, _, _ = filtering_device.remove_leading(given, 8)
            c = filtering_device.correlation_map(filtered, psf)
            (c.abs().square() >= 0.1).flatten().nonzero()
            filtering_device.noise_level(filtered)

        for name, work, where in (
            ("NumPy and numba, CPU", on_cpu, "cpu"),
            (f"PyTorch, {device}", there, device),
        ):
            yield [name, str(n_frames), f"{n_frames / seconds_of(work, where):,.0f}"]


def whole_run(device: str, small: bool) -> Iterator[Row]:
    """From files to tracks."""
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.pipeline import process
    from napari_ulm3d.simulate import simulate, standard_config, write_simulation

    frames = 24 if small else 400
    config = PipelineConfig.from_dict({"device": device, "localize": {"localizer": "network"}})
    with tempfile.TemporaryDirectory() as folder:
        made = standard_config("standard-40").replace(n_frames=frames)
        acquired = Path(folder) / "acquired"
        write_simulation(simulate(made), acquired, "open3dulm")
        files = sorted(str(path) for path in acquired.glob("IQ*.mat"))
        if not small:
            files = files * 5
        for repeat in range(1 if small else 2):
            acquisition = open_acquisition(files)
            began = time.perf_counter()
            events = Counter(type(event).__name__ for event in process(acquisition, config))
            seconds = time.perf_counter() - began
            name = "first" if repeat == 0 else "again"
            yield [
                name,
                f"{acquisition.n_frames:,}",
                f"{acquisition.n_frames / seconds:,.0f}",
                str(events.total()),
            ]


def convolutions(device: str, small: bool) -> Iterator[Row]:
    """A 3x3x3 convolution of 32 channels: dense if it fits, plain PyTorch, spconv."""
    side = 24 if small else 96
    torch.manual_seed(0)
    for share in (0.01, 0.1) if small else (0.001, 0.01, 0.1):
        mask = torch.rand(1, side, side, side) < share
        indices, layer = mask.nonzero(), SubmanifoldConv(32, 32, (3, 3, 3)).to(device)
        ways = ["dense", "torch", *(["spconv"] if device != "cpu" and has_cuda_spconv() else [])]
        for way in ways:
            if way == "dense":
                conv = torch.nn.Conv3d(32, 32, 3, padding=1).to(device)
                given: Any = torch.randn(1, 32, side, side, side, device=device, requires_grad=True)
                call: Callable[[], torch.Tensor] = lambda c=conv, g=given: c(g)  # type: ignore[misc]  # noqa: E731
            else:
                features = torch.randn(len(indices), 32, device=device, requires_grad=True)
                x = SparseTensor.create(indices, features, (side,) * 3, 1, backend=way)  # type: ignore[arg-type]
                call = lambda x=x, conv=layer: conv(x).features  # type: ignore[misc]  # noqa: E731

            def trained(call: Any = call) -> None:
                call().square().sum().backward()

            with torch.no_grad():
                forward = seconds_of(call, device)
            yield [
                f"{100 * share:g} %",
                way,
                f"{1000 * forward:.2f}",
                f"{1000 * seconds_of(trained, device):.2f}",
            ]


def training(device: str, small: bool) -> Iterator[Row]:
    """Training steps per second on prepared windows, and on windows simulated in parallel."""
    from napari_ulm3d.train.bubbles.task import BubbleTask
    from napari_ulm3d.train.config import TrainConfig
    from napari_ulm3d.train.loop import new_state, train_step

    settings: dict[str, Any] = {
        "steps": 10_000,
        "device": device,
        "batch_windows": 2 if small else 8,
    }
    if small:
        settings["network"] = {"stem": 2, "channels": (6, 8), "blocks": 1, "head": 8}
        settings["data"] = {"scene_frames": 32, "windows_per_scene": 2, "window_frames": 8}
    task = BubbleTask(TrainConfig.from_dict(settings))
    began = time.perf_counter()
    windows = task.windows(1)
    simulated = len(windows) / (time.perf_counter() - began)
    batch = (windows * settings["batch_windows"])[: settings["batch_windows"]]
    state = new_state(task, device)
    seconds = seconds_of(lambda: train_step(state, batch, task, device), device)
    yield [str(len(batch)), f"{task.voxels(batch):,}", f"{1 / seconds:.2f}", f"{simulated:.2f}"]
