"""What a network run would cost here: time by a rate measured on this device, memory by law."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.device import resolve_device
from napari_ulm3d.errors import UlmError
from napari_ulm3d.networks.shipped import find_weights, load_weights

__all__ = ["Cost", "Rate", "cost", "measured_rate"]

# A calibration: windows of this many voxels at a tenth of the volume, as many as run at once.
_WINDOW_SHAPE = (8, 24, 24, 24)
_OCCUPANCY = 0.08
_WINDOWS = 2


@dataclass(frozen=True)
class Rate:
    """How fast a network is on a device, and what it needs.

    Attributes
    ----------
    voxels_per_s
        Kept voxels a second, all windows that run at once together.
    bytes_per_voxel
        At the peak of a prediction, by `networks.memory.forward_bytes`.
    at_once
        Windows that are computed at once.
    device
        ``cpu`` or ``cuda``.
    name
        Of the weights.
    """

    voxels_per_s: float
    bytes_per_voxel: float
    at_once: int
    device: str
    name: str


@dataclass(frozen=True)
class Cost:
    """Time of the whole series and memory of its windows."""

    seconds: float
    memory_bytes: float

    def __str__(self) -> str:
        return f"{_time_text(self.seconds)}, {_memory_text(self.memory_bytes)}"


_rates: dict[tuple[str, str], Rate] = {}
_lock = threading.Lock()


def measured_rate(config: PipelineConfig, stop: Callable[[], bool] | None = None) -> Rate:
    """The rate of `BubbleNet` with the settings' weights on their device; measured once a session.

    Takes a few seconds the first time: not for the GUI thread. Where the settings' weights are
    not to be had, an untrained network of the usual size stands in: speed does not depend on what
    it learnt.

    Raises
    ------
    BackendError
        The device of the settings is not there.
    Cancelled
        `stop` said so.
    """
    device = resolve_device(config.device)
    network, name, identity = _network(config, device)
    with _lock:
        key = (identity, device)
        if key not in _rates:
            _rates[key] = _measure(network, device, name, stop)
        return _rates[key]


def cost(rate: Rate, n_voxels: float, acquisition: Acquisition, config: PipelineConfig) -> Cost:
    """What a run over the series costs when every frame has this many voxels.

    Windows overlap by their margins, so that some frames are computed twice. Where memory is
    short a run makes its windows shorter; here it is that of whole ones.

    Parameters
    ----------
    rate
        From `measured_rate`.
    n_voxels
        Voxels a frame: the kept ones, or all for a dense run.
    """
    network = config.network
    window = min(network.window_frames, config.load.frames_per_block, acquisition.n_frames)
    own = max(window - 2 * network.margin_frames, 1)
    seconds = n_voxels * acquisition.n_frames * max(window / own, 1.0) / rate.voxels_per_s
    return Cost(seconds, n_voxels * window * rate.bytes_per_voxel * rate.at_once)


def _network(config: PipelineConfig, device: str) -> tuple[Any, str, str]:
    try:
        wanted = config.network.weights if config.localize.localizer == "network" else None
        loaded = load_weights(find_weights(wanted, "bubblenet"), ("BubbleNet",), device)
    except UlmError:
        import torch

        from napari_ulm3d.networks.registry import preset

        with torch.random.fork_rng(devices=[]):  # leave the caller's random numbers alone
            return preset("bubblenet").to(device).eval(), "BubbleNet", "preset"
    return loaded.network, loaded.card.name or loaded.path.stem, loaded.sha256


def _measure(network: Any, device: str, name: str, stop: Callable[[], bool] | None) -> Rate:
    import torch

    from napari_ulm3d.config import NetworkConfig
    from napari_ulm3d.localize.network import localize_network
    from napari_ulm3d.networks.bubblenet_input import BubbleInput
    from napari_ulm3d.networks.memory import forward_bytes

    at_once = 1 if device == "cuda" else torch.get_num_threads()
    frames, *volume = _WINDOW_SHAPE
    shape = (frames * at_once * _WINDOWS, *volume)
    rng = np.random.default_rng(0)
    # In clumps, as bubbles leave them: neighbours cost time, scattered voxels have none.
    seeds = rng.random(shape) < _OCCUPANCY / 27
    from scipy.ndimage import maximum_filter

    kept = np.argwhere(maximum_filter(seeds, (1, 3, 3, 3))).astype(np.int32)
    values = (rng.normal(size=(len(kept), 2)) @ [1, 1j]).astype(np.complex64)
    given = BubbleInput(kept, 0.3 * values, values, shape, (3.0, 3.0, 3.0))  # type: ignore[arg-type]
    config = NetworkConfig(window_frames=frames, margin_frames=0, min_score=0.99)
    grid = Grid(tuple(volume), (100.0, 100.0, 100.0))  # type: ignore[arg-type]

    def run(part: BubbleInput) -> float:
        began = time.perf_counter()
        localize_network(network, part, grid, 100.0, 100.0, config, device=device, stop=stop)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    run(given.window(0, frames))  # what is slow only once
    seconds = min(run(given) for _ in range(2))
    return Rate(len(kept) / seconds, forward_bytes(network.config), at_once, device, name)


def _time_text(seconds: float) -> str:
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def _memory_text(n_bytes: float) -> str:
    if n_bytes < 1e9:
        return f"{max(n_bytes / 1e6, 1):.0f} MB"
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes < 1e12 else f"{n_bytes / 1e12:.1f} TB"
