"""Find a network by the name of shipped weights or by file, and cache it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ulm3d.device import has_cuda_spconv
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.networks.weights import (
    WeightsCard,
    load_network,
    read_card,
    shipped_weights,
    weights_hash,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LoadedNetwork", "find_weights", "load_weights", "weights_facts"]


@dataclass(frozen=True)
class LoadedNetwork:
    """A network ready to predict, and its source.

    Attributes
    ----------
    network
        In evaluation mode, on `device`. Shared by all users of the same file; must not be changed.
    card
        Card of its weights file.
    path, sha256
        The weights file and its hash.
    device
        ``cpu`` or ``cuda``.
    """

    network: nn.Module
    card: WeightsCard
    path: Path
    sha256: str
    device: str

    def facts(self) -> dict[str, Any]:
        """Facts recorded by a run, as plain values."""
        return {**weights_facts(self.path, self.sha256, self.card), "device": self.device}


def weights_facts(path: Path, sha256: str, card: WeightsCard) -> dict[str, Any]:
    """Facts on a weights file that a run records, as plain values."""
    return {
        "name": card.name or path.stem,
        "architecture": card.architecture,
        "file": fspath(path),
        "sha256": sha256,
        "notes": list(card.notes),
    }


def find_weights(wanted: str | None, default: str) -> Path:
    """Resolve a setting to a weights file.

    Parameters
    ----------
    wanted
        A file, or a name in `shipped_weights`, which takes precedence over a file of that name.
        None: the default.
    default
        Name of the shipped weights that are the default of the setting.

    Raises
    ------
    ConfigError
        There are no shipped weights of that name.
    InputError
        There is no such file.
    """
    shipped = shipped_weights()
    name = wanted or default
    if name in shipped:
        return shipped[name]
    path = Path(name).expanduser()
    if wanted is not None and path.is_file():
        return path
    if wanted is None or (not path.suffix and len(path.parts) == 1):
        have = f"it has {', '.join(shipped)}" if shipped else "it has none"
        raise ConfigError(
            f"There are no weights '{name}' in this version of napari-ulm3d ({have}). Give "
            "the weights file that `napari-ulm3d train` wrote."
        )
    raise InputError(
        path,
        "does not exist or is not a file",
        "Give a .safetensors file that `napari-ulm3d train` wrote.",
    )


def load_weights(
    path: str | PathLike[str], architectures: tuple[str, ...], device: str = "cpu"
) -> LoadedNetwork:
    """Load the network of a weights file; an unchanged file is loaded only once.

    Parameters
    ----------
    path
        The file.
    architectures
        Accepted names of `networks.registry.ARCHITECTURES`.
    device
        Device for the network.

    Raises
    ------
    InputError
        As in `load_network`, or the file contains another network.
    """
    card = read_card(path)
    if card.architecture not in architectures:
        raise InputError(
            path,
            f"contains weights of {card.architecture}, but {' or '.join(architectures)} is needed",
            "Give other weights, or choose the localizer that these weights belong to.",
        )
    return _loaded(fspath(path), weights_hash(path), device)


@lru_cache(maxsize=4)
def _loaded(path: str, sha256: str, device: str) -> LoadedNetwork:
    network, card = load_network(path, device)
    if device.startswith("cuda") and has_cuda_spconv():
        from napari_ulm3d.sparse.backends.spconv_check import check_spconv

        check_spconv(network, device)  # before anything is computed by it
    return LoadedNetwork(network, card, Path(path), sha256, device)
