"""Weight files: safetensors with a card that describes the network and its training.

Nothing is ever unpickled, because opening a pickle can run any code. The card is JSON
in the file's header, so a weights file is self-contained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_ulm3d._version import __version__
from napari_ulm3d.errors import ConfigError, InputError, ResultsError
from napari_ulm3d.networks.registry import build, config_of, name_of
from napari_ulm3d.system.atomic import atomic_path

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "WeightsCard",
    "load_network",
    "read_card",
    "save_weights",
    "shipped_weights",
    "weights_hash",
]

_KEY = "napari_ulm3d_card"
_REMEDY = "Give a .safetensors file that `napari-ulm3d train` wrote."
_FOLDER = Path(__file__).parent / "weights"


class WeightsCard(BaseModel):
    """Description of weights and their training.

    Attributes
    ----------
    architecture
        A name in `networks.registry.ARCHITECTURES`.
    config
        The network's settings.
    name
        Display name.
    data
        Training data, as plain values: simulation settings, seeds, normalization.
    seed, steps, hours, device
        Facts about the training.
    scores
        Scores on held-out data, by name.
    notes
        Information for users, for instance that training was shorter than needed.
    version
        Version of this package that wrote the file.
    weights_sha256
        Hash of the weights, which `load_network` verifies; empty in older files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: str
    config: dict[str, Any] = Field(default_factory=dict)
    name: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None
    steps: int | None = None
    hours: float | None = None
    device: str = ""
    scores: dict[str, float] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    version: str = __version__
    weights_sha256: str = ""


def save_weights(path: str | PathLike[str], network: nn.Module, **facts: Any) -> WeightsCard:
    """Write a network's weights and card; the file appears complete or not at all.

    Parameters
    ----------
    path
        Target; overwritten if it exists.
    network
        A registered network, with its `config`. Parameters and buffers (running statistics) are
        stored unchanged.
    **facts
        Fields of `WeightsCard` other than architecture and config.

    Returns
    -------
    WeightsCard
        The card that was written.

    Raises
    ------
    ConfigError
        The network is not registered, a fact is not a field of the card, or a weight is not
        finite.
    ResultsError
        The file cannot be written.
    """
    from safetensors.torch import save_file

    architecture = name_of(network)
    settings: Any = network.config
    try:
        card = WeightsCard(
            architecture=architecture, config=settings.model_dump(mode="json"), **facts
        )
    except ValidationError as error:
        raise ConfigError(
            f"The card of the weights is invalid: {_first(error)}. Correct it."
        ) from error
    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in network.state_dict().items()
    }
    for name, value in tensors.items():
        if not bool(value.isfinite().all()):
            raise ConfigError(f"The weight {name} is not finite. Train with a lower learning rate.")
    card = card.model_copy(update={"weights_sha256": _tensors_hash(tensors)})
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{path}: cannot be written ({error}). Choose another location."
        ) from error
    with atomic_path(path) as partial:
        save_file(tensors, partial, {_KEY: card.model_dump_json()})
    return card


def read_card(path: str | PathLike[str]) -> WeightsCard:
    """Read the card of a weights file, without its weights.

    Raises
    ------
    InputError
        The file is missing, a pickle, damaged, or has no card of this program.
    """
    with _opened(path) as file:
        return _card(path, file)


def load_network(path: str | PathLike[str], device: str = "cpu") -> tuple[nn.Module, WeightsCard]:
    """Load the network in a weights file, ready to predict (in `eval` mode).

    Parameters
    ----------
    path
        The file.
    device
        Device for the network.

    Raises
    ------
    InputError
        As in `read_card`, or the weights do not match the card or the network.
    """
    import torch

    with _opened(path) as file:
        card = _card(path, file)
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        settings = config_of(card.architecture, card.config)
    except ConfigError as error:
        raise InputError(
            path,
            f"contains a network that this version cannot build ({error})",
            "Update napari-ulm3d.",
        ) from error
    # The initial weights are discarded: do not change the caller's random state.
    with torch.random.fork_rng(devices=[]):
        network = build(card.architecture, settings)
    _check_fit(path, network.state_dict(), tensors)
    if card.weights_sha256 and card.weights_sha256 != _tensors_hash(tensors):
        raise InputError(
            path,
            "contains other weights than its card states",
            "It was damaged or modified: copy it again from the original.",
        )
    network.load_state_dict(tensors)
    return network.to(device).eval(), card


def shipped_weights() -> dict[str, Path]:
    """The weight files included in the package, by name."""
    return {file.stem: file for file in sorted(_FOLDER.glob("*.safetensors"))}


def weights_hash(path: str | PathLike[str]) -> str:
    """SHA-256 of a weights file, as recorded by a run.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error})", _REMEDY) from error


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(path, "does not exist or is not a file", _REMEDY)
    if _is_pickle(path):
        raise InputError(
            path,
            "is a PyTorch or pickle file, which can run any program when opened",
            _REMEDY,
        )
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise InputError(path, f"is not a complete safetensors file ({error})", _REMEDY) from error


def _is_pickle(path: Path) -> bool:
    """Whether the file is a zip, as written by torch.save, or a pickle of protocol 2 to 5.

    A safetensors file begins with the length of its header, eight bytes that can look like the
    first two of a pickle; the opening brace of its JSON distinguishes them.
    """
    with open(path, "rb") as file:
        head = file.read(9)
    if head[:4] == b"PK\x03\x04":
        return True
    return head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5") and head[8:] != b"{"


def _card(path: str | PathLike[str], file: Any) -> WeightsCard:
    text = (file.metadata() or {}).get(_KEY)
    if text is None:
        raise InputError(path, "contains weights of another program, without our card", _REMEDY)
    try:
        return WeightsCard.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            path, f"has a card that cannot be read ({_first(error)})", _REMEDY
        ) from error


def _tensors_hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes, sorted by name."""
    import torch

    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def _check_fit(
    path: str | PathLike[str], wanted: dict[str, Tensor], found: dict[str, Tensor]
) -> None:
    for names, what in (
        (sorted(wanted.keys() - found.keys()), "lacks"),
        (sorted(found.keys() - wanted.keys()), "has, and its network has not,"),
    ):
        if names:
            raise InputError(path, f"{what} the weight {names[0]}", _REMEDY)
    for name, value in found.items():
        if value.shape != wanted[name].shape or value.dtype != wanted[name].dtype:
            raise InputError(
                path,
                f"has the weight {name} as {tuple(value.shape)} of {value.dtype}, but its network "
                f"needs {tuple(wanted[name].shape)} of {wanted[name].dtype}",
                _REMEDY,
            )
        if not bool(value.isfinite().all()):
            raise InputError(path, f"has NaN or infinite values in the weight {name}", _REMEDY)
