"""Networks by name: the classes to which weights files and settings refer.

Networks in this folder are listed in `ARCHITECTURES`. A network defined in the file of its
localizer (`config.methods.networks`) is registered by `architecture`, in this package or another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from napari_ulm3d.config import StageConfig
from napari_ulm3d.config.methods.networks import network_entries
from napari_ulm3d.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ARCHITECTURES",
    "PRESETS",
    "Preset",
    "architecture",
    "build",
    "config_of",
    "name_of",
    "preset",
]

Network = TypeVar("Network", bound="type[nn.Module]")

# Architecture to (module, network, settings); imported when first built, because torch is slow.
ARCHITECTURES: dict[str, tuple[str, str, str]] = {
    "DeepSTULM": ("deepstulm", "DeepSTULM", "DeepSTULMConfig"),
    "SparseDeepSTULM": ("sparse_deepstulm", "SparseDeepSTULM", "SparseDeepSTULMConfig"),
    "MaskCNN": ("mask_cnn", "MaskCNN", "MaskCNNConfig"),
    "BubbleNet": ("bubblenet", "BubbleNet", "BubbleNetConfig"),
    "CompletionNet": ("volumes.completion", "CompletionNet", "CompletionNetConfig"),
    "SuperResolutionNet": (
        "volumes.superresolution",
        "SuperResolutionNet",
        "SuperResolutionNetConfig",
    ),
    "SegmentationNet": ("volumes.segmentation", "SegmentationNet", "SegmentationNetConfig"),
}


_registered: dict[str, tuple[type[nn.Module], type[StageConfig]]] = {}


def architecture(config: type[StageConfig]) -> Callable[[Network], Network]:
    """Register a network under the name of its class, so that weights files can refer to it.

    Parameters
    ----------
    config
        Its settings: the only argument of its class, stored as its attribute `config`.
    """

    def register(network: Network) -> Network:
        _registered[network.__name__] = (network, config)
        return network

    return register


@dataclass(frozen=True)
class Preset:
    """Named sizes of a network."""

    architecture: str
    settings: dict[str, Any]


# A quarter of the channels' products, a third (2-D) or a fifth (3-D) of the taps, and one
# high-resolution stage less (the most expensive one), for training on a CPU.
_SMALL: dict[str, Any] = {
    "channels": 8,
    "separable": True,
    "convolutions": 2,
    "transition_pool": 4,
    "doublings": 2,
}

PRESETS: dict[str, Preset] = {
    "dense-2d": Preset("DeepSTULM", {}),
    "sparse-2d": Preset("SparseDeepSTULM", {}),
    "sparse-3d": Preset("SparseDeepSTULM", {"space_axes": 3}),
    "dense-2d-small": Preset("DeepSTULM", _SMALL),
    "sparse-2d-small": Preset("SparseDeepSTULM", _SMALL),
    "sparse-3d-small": Preset("SparseDeepSTULM", {"space_axes": 3, **_SMALL}),
    "mask": Preset("MaskCNN", {}),
    "bubblenet": Preset("BubbleNet", {}),
    "complete": Preset("CompletionNet", {}),
    "superres": Preset("SuperResolutionNet", {}),
    "segment": Preset("SegmentationNet", {}),
}


def config_of(architecture: str, settings: dict[str, Any]) -> StageConfig:
    """The validated settings of an architecture.

    Raises
    ------
    ConfigError
        The architecture or a setting is unknown, or a value is out of range.
    """
    return _entry(architecture)[1].from_dict(settings)


def build(architecture: str, settings: dict[str, Any] | StageConfig | None = None) -> nn.Module:
    """Build a network with new weights from torch's random generator.

    Parameters
    ----------
    architecture
        A name in `ARCHITECTURES`.
    settings
        Its settings, plain or validated; None: the defaults.

    Raises
    ------
    ConfigError
        As in `config_of`.
    """
    if not isinstance(settings, StageConfig):
        settings = config_of(architecture, settings or {})
    return _entry(architecture)[0](settings)


def preset(name: str) -> nn.Module:
    """Build a network from `PRESETS` with new weights.

    Raises
    ------
    ConfigError
        There is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no network {name!r}. Use one of {', '.join(PRESETS)}.")
    return build(PRESETS[name].architecture, PRESETS[name].settings)


def name_of(network: nn.Module) -> str:
    """Name of a network in weights files.

    Raises
    ------
    ConfigError
        The network is not registered.
    """
    name = type(network).__name__
    if name not in ARCHITECTURES and name not in _registered:
        raise ConfigError(f"{name} is not a registered network. Use one of {_known()}.")
    return name


def _entry(architecture: str) -> tuple[type[nn.Module], type[StageConfig]]:
    if architecture in ARCHITECTURES:
        place, network, config = ARCHITECTURES[architecture]
        module = import_module(f"napari_ulm3d.networks.{place}")
        return getattr(module, network), getattr(module, config)
    if architecture not in _registered:
        for entry in network_entries().values():  # defined in files not imported yet
            entry.load()
    if architecture not in _registered:
        raise ConfigError(f"There is no network {architecture!r}. Use one of {_known()}.")
    return _registered[architecture]


def _known() -> str:
    return ", ".join((*ARCHITECTURES, *_registered))
