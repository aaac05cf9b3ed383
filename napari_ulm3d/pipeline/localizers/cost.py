"""Cost of a network run: time from a rate measured on this device, memory from a model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.methods.networks import USUAL_NETWORK
from napari_ulm3d.device import resolve_device
from napari_ulm3d.errors import UlmError
from napari_ulm3d.localize.pieces import time_windows
from napari_ulm3d.networks.shipped import LoadedNetwork, find_weights, load_weights
from napari_ulm3d.pipeline.localizers.protocol import NetworkLocalizer, Rate
from napari_ulm3d.pipeline.localizers.registry import network_named

__all__ = ["Cost", "MeasuredNetwork", "cost", "measured_network"]


@dataclass(frozen=True)
class MeasuredNetwork:
    """A network on a device, and its measured rate."""

    localizer: NetworkLocalizer
    loaded: LoadedNetwork
    rate: Rate

    @property
    def whose(self) -> str:
        """Name of the network for display."""
        return f"{self.localizer.title} {self.loaded.card.name or self.loaded.path.stem}"


@dataclass(frozen=True)
class Cost:
    """Time of the whole series and memory of its windows."""

    seconds: float
    memory_bytes: float

    def __str__(self) -> str:
        return f"{_time_text(self.seconds)}, {_memory_text(self.memory_bytes)}"


_rates: dict[tuple[str, str], Rate] = {}
_lock = threading.Lock()


def measured_network(
    config: PipelineConfig, stop: Callable[[], bool] | None = None, *, flat: bool = False
) -> MeasuredNetwork:
    """The network of the settings and its rate on their device, measured once per session.

    Without a network in the settings, the usual one is measured. If the given weights are not
    available, the shipped ones are used, since the speed hardly depends on them. The first call
    takes a few seconds: do not make it in the GUI thread.

    Parameters
    ----------
    flat
        Whether the acquisition is 2-D, for which there may be a separate network.

    Raises
    ------
    ConfigError, InputError
        No usable weights for the network.
    BackendError
        The device of the settings is not available.
    Cancelled
        `stop` returned true.
    """
    device = resolve_device(config.device)
    chosen = config.localize.by_network
    localizer = network_named(config.localize.localizer if chosen else USUAL_NETWORK)

    def load(given: str | None) -> LoadedNetwork:
        default = "" if given else localizer.default_weights(flat=flat)
        return load_weights(find_weights(given, default), localizer.architectures, device)

    try:
        loaded = load(config.network.weights if chosen else None)
    except UlmError:
        loaded = load(None)
    with _lock:
        key = (loaded.sha256, device)
        if key not in _rates:
            _rates[key] = localizer.rate(loaded, stop or (lambda: False))
        return MeasuredNetwork(localizer, loaded, _rates[key])


def cost(
    measured: MeasuredNetwork, n_voxels: float, acquisition: Acquisition, config: PipelineConfig
) -> Cost:
    """Cost of a run over the series with this many voxels per frame.

    Windows of a given length overlap by their margins, so some frames are computed twice. If memory
    is short, a run uses shorter windows or tiles; the memory given here is that of whole windows.

    Parameters
    ----------
    measured
        From `measured_network`.
    n_voxels
        Voxels per frame: the kept ones, or all for a dense run.
    """
    network, rate = config.network, measured.rate

    def window_bytes(frames: int) -> float:
        return measured.localizer.memory_bytes(measured.loaded, n_voxels * frames, frames)

    if rate.dense:
        n_voxels = acquisition.grid.size
    if rate.window_frames is not None:  # one after the other
        seconds = n_voxels * acquisition.n_frames / rate.voxels_per_s
        return Cost(seconds, window_bytes(rate.window_frames) * rate.at_once)
    block = min(config.load.block_frames, acquisition.n_frames)
    margin = rate.context_frames if network.margin_frames is None else network.margin_frames
    alone = measured.loaded.device == "cuda"
    spans = time_windows(block, margin, network.window_frames, alone=alone)
    given = [min(last + margin, block) - max(first - margin, 0) for first, last in spans]
    often = network.views * sum(given) / block
    window = max(given)
    seconds = n_voxels * acquisition.n_frames * often / rate.voxels_per_s
    return Cost(seconds, window_bytes(window) * rate.at_once)


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
