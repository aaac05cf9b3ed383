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
from napari_ulm3d.localize.pieces import time_windows
from napari_ulm3d.networks.shipped import LoadedNetwork, find_weights, load_weights
from napari_ulm3d.pipeline.localizers import network_localizers

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
    window_bytes
        Memory at the peak of a prediction, by the law of the network (`networks.memory`): of the
        kept voxels of a window and its frames.
    at_once
        Windows that are computed at once.
    device
        ``cpu`` or ``cuda``.
    name
        Of the weights.
    localizer
        ``network`` or ``trajectory``.
    window_frames
        Frames of a window where the network has a length of its own; else the settings say it.
    context_frames
        How far `BubbleNet` looks ahead and back.
    dense
        Whether it computes every voxel, kept or not.
    """

    voxels_per_s: float
    window_bytes: Callable[[float, int], float]
    at_once: int
    device: str
    name: str
    localizer: str = "network"
    window_frames: int | None = None
    context_frames: int = 0
    dense: bool = False

    @property
    def whose(self) -> str:
        """The network in words."""
        kind = "trajectory network" if self.localizer == "trajectory" else "bubble network"
        return f"{kind} {self.name}"


@dataclass(frozen=True)
class Cost:
    """Time of the whole series and memory of its windows."""

    seconds: float
    memory_bytes: float

    def __str__(self) -> str:
        return f"{_time_text(self.seconds)}, {_memory_text(self.memory_bytes)}"


_rates: dict[tuple[str, str], Rate] = {}
_lock = threading.Lock()


def measured_rate(
    config: PipelineConfig, stop: Callable[[], bool] | None = None, *, flat: bool = False
) -> Rate:
    """The rate of a network with the settings' weights on their device; measured once a session.

    The trajectory network where the settings localize with it, else `BubbleNet`. Takes a few seconds the first time: not for the GUI thread. Where the settings' weights are
    not to be had, an untrained `BubbleNet` of the usual size stands in: speed does not depend on
    what it learnt.

    Parameters
    ----------
    flat
        Whether the acquisition is 2-D, for which there is a trajectory network of its own.

    Raises
    ------
    ConfigError, InputError
        The weights of the trajectory network cannot be used.
    BackendError
        The device of the settings is not there.
    Cancelled
        `stop` said so.
    """
    device = resolve_device(config.device)
    trajectory = config.localize.localizer == "trajectory"
    localizer = network_localizers()[config.localize.localizer if trajectory else "network"]
    if trajectory:
        path = find_weights(config.network.weights, localizer.default_weights(flat=flat))
        loaded = load_weights(path, localizer.architectures, device)
        identity = loaded.sha256
    else:
        network, name, identity = _network(config, device)
    with _lock:
        key = (identity, device)
        if key not in _rates:
            if trajectory:
                _rates[key] = _measure_trajectory(loaded, stop)
            else:
                _rates[key] = _measure(network, device, name, stop)
        return _rates[key]


def cost(rate: Rate, n_voxels: float, acquisition: Acquisition, config: PipelineConfig) -> Cost:
    """What a run over the series costs when every frame has this many voxels.

    Windows of `BubbleNet` overlap by their margins, so that some frames are computed twice. Where
    memory is short a run makes its windows shorter, or cuts them into tiles; here it is that of
    whole ones. Of trajectories it is that of bubbles that stay in a voxel for a time step of the
    network.

    Parameters
    ----------
    rate
        From `measured_rate`.
    n_voxels
        Voxels a frame: the kept ones, or all for a dense run.
    """
    network = config.network
    if rate.dense:
        n_voxels = acquisition.grid.size
    if rate.window_frames is not None:  # one after the other
        seconds = n_voxels * acquisition.n_frames / rate.voxels_per_s
        n_bytes = rate.window_bytes(n_voxels * rate.window_frames, rate.window_frames)
        return Cost(seconds, n_bytes * rate.at_once)
    block = min(config.load.frames_per_block, acquisition.n_frames)
    margin = rate.context_frames if network.margin_frames is None else network.margin_frames
    spans = time_windows(block, margin, network.window_frames, alone=rate.device == "cuda")
    given = [min(last + margin, block) - max(first - margin, 0) for first, last in spans]
    often = network.views * sum(given) / block
    seconds = n_voxels * acquisition.n_frames * often / rate.voxels_per_s
    window = max(given)
    return Cost(seconds, rate.window_bytes(n_voxels * window, window) * rate.at_once)


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
    config = NetworkConfig(window_frames=frames, margin_frames=0, min_score=0.99, views=1)
    grid = Grid(tuple(volume), (100.0, 100.0, 100.0))  # type: ignore[arg-type]

    def run(part: BubbleInput) -> float:
        began = time.perf_counter()
        localize_network(network, part, grid, 100.0, 100.0, config, device=device, stop=stop)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    run(given.window(0, frames))  # what is slow only once
    seconds = min(run(given) for _ in range(2))
    a_voxel = forward_bytes(network.config)
    return Rate(len(kept) / seconds, lambda n, _: n * a_voxel, at_once, device, name,
                context_frames=network.config.context_frames)  # fmt: skip


def _measure_trajectory(loaded: LoadedNetwork, stop: Callable[[], bool] | None) -> Rate:
    import torch

    from napari_ulm3d.config import NetworkConfig
    from napari_ulm3d.localize.trajectory import count_trajectories, window_of
    from napari_ulm3d.networks.architecture import SparseDeepSTULMConfig
    from napari_ulm3d.networks.memory import stored_bytes, trajectory_bytes
    from napari_ulm3d.sparse_frames import SparseFrames

    settings: Any = loaded.network.config
    device, frames = loaded.device, window_of(loaded.card)
    at_once = 1 if device == "cuda" else torch.get_num_threads()
    volume = (64, 1, 64) if settings.space_axes == 2 else (16, 16, 16)
    shape = (frames * at_once, *volume)
    # Bubbles of some voxels that stay where they are.
    from scipy.ndimage import maximum_filter

    rng = np.random.default_rng(0)
    seeds = rng.random(volume) < _OCCUPANCY / 27
    seeds[tuple(n // 2 for n in volume)] = True
    places = maximum_filter(seeds, 3)
    kept = np.argwhere(np.broadcast_to(places, shape)).astype(np.int32)
    values = (0.3 * rng.normal(size=(len(kept), 2)) @ [1, 1j]).astype(np.complex64)
    given = SparseFrames(kept, values, shape)
    grid = Grid(volume, (100.0, 100.0, 100.0))

    def run() -> float:
        began = time.perf_counter()
        count_trajectories(
            loaded.network, given, grid, frames, NetworkConfig(), device=device, stop=stop
        )
        return time.perf_counter() - began

    run()  # what is slow only once
    seconds = run()

    sparse = isinstance(settings, SparseDeepSTULMConfig)

    def window_bytes(n_kept: float, n_frames: int) -> float:
        steps = -(-n_frames // settings.head_time_stride)
        a_frame = n_kept / n_frames
        if sparse:
            return trajectory_bytes(settings, round(n_kept), round(a_frame * steps))
        # A dense network has no zeros to leave out; what training stores is more than it needs.
        side = max(a_frame, 1.0) ** (1 / settings.space_axes)
        return float(stored_bytes(settings, (n_frames, *[round(side)] * settings.space_axes)))

    name = loaded.card.name or loaded.path.stem
    n_voxels = len(kept) if sparse else int(np.prod(shape))
    speed = n_voxels / seconds
    return Rate(speed, window_bytes, at_once, device, name, "trajectory", frames, 0, not sparse)


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
