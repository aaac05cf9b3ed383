"""Networks by name: what a weights file or a setting says, and the class that is meant."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_ulm3d.config import StageConfig
from napari_ulm3d.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "PRESETS", "Preset", "build", "config_of", "preset"]

# Architecture to (module, network, settings); imported when first built, since torch is heavy.
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


@dataclass(frozen=True)
class Preset:
    """A network with its sizes, by name."""

    architecture: str
    settings: dict[str, Any]


# A quarter of the channels' products, a third (2-D) or a fifth (3-D) of the taps, and one
# high-resolution stage less, which is the one that costs most: for training on a CPU.
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
        An unknown architecture or setting, or a value out of range.
    """
    module, _, config = _entry(architecture)
    return getattr(module, config).from_dict(settings)


def build(architecture: str, settings: dict[str, Any] | StageConfig | None = None) -> nn.Module:
    """A network with new weights, drawn from torch's random generator.

    Parameters
    ----------
    architecture
        A name of `ARCHITECTURES`.
    settings
        Its settings, plain or validated; None takes the defaults.

    Raises
    ------
    ConfigError
        As of `config_of`.
    """
    if not isinstance(settings, StageConfig):
        settings = config_of(architecture, settings or {})
    module, network, _ = _entry(architecture)
    return getattr(module, network)(settings)


def preset(name: str) -> nn.Module:
    """A network of `PRESETS` with new weights.

    Raises
    ------
    ConfigError
        There is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no network {name!r}. Use one of {', '.join(PRESETS)}.")
    return build(PRESETS[name].architecture, PRESETS[name].settings)


def _entry(architecture: str) -> tuple[Any, str, str]:
    if architecture not in ARCHITECTURES:
        raise ConfigError(
            f"There is no network {architecture!r}. Use one of {', '.join(ARCHITECTURES)}."
        )
    module, network, config = ARCHITECTURES[architecture]
    return import_module(f"napari_ulm3d.networks.{module}"), network, config
