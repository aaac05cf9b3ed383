"""Weights of several trainings in one: `python -m napari_ulm3d.train.average OUT FILE FILE ...`

Trainings that continued from the same weights with different data end in the same valley of
the loss; the mean of their weights often performs as well on all of their data as the best of them
(model soups, Wortsman et al., ICML 2022, arXiv 2203.05482).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from napari_ulm3d.errors import ConfigError, UlmError
from napari_ulm3d.networks.weights import WeightsCard, load_network, save_weights

__all__ = ["average_weights"]


def average_weights(
    files: Sequence[str | PathLike[str]], out: str | PathLike[str], **facts: Any
) -> WeightsCard:
    """Write the unweighted mean of the weights in several files.

    Parameters
    ----------
    files
        Two or more weights files with the same architecture and sizes.
    out
        Target file.
    **facts
        Fields of the `WeightsCard`, for instance scores on validation scenes. By default,
        name and data are those of the first file, steps and hours the sum over all files.

    Returns
    -------
    WeightsCard
        The card of the new file; its data name the source files.

    Raises
    ------
    ConfigError
        There are fewer than two files, or the networks differ.
    InputError
        A file cannot be read.
    """
    if len(files) < 2:
        raise ConfigError("An average needs at least two weights files.")
    network, first = load_network(files[0])
    cards = [first]
    sums = {name: value.double() for name, value in network.state_dict().items()}
    for file in files[1:]:
        other, card = load_network(file)
        if (card.architecture, card.config) != (first.architecture, first.config):
            raise ConfigError(
                f"{Path(file).name} and {Path(files[0]).name} are different networks. All "
                "networks of an average must have the same architecture and size."
            )
        cards.append(card)
        for name, value in other.state_dict().items():
            sums[name] += value.double()
    state = network.state_dict()
    network.load_state_dict(
        {name: (value / len(files)).to(state[name].dtype) for name, value in sums.items()}
    )
    parts = [
        {"name": card.name, "steps": card.steps, "sha256": card.weights_sha256, "data": card.data}
        for card in cards
    ]
    made = {
        "name": first.name,
        "data": {"average_of": parts},
        "steps": sum(card.steps or 0 for card in cards),
        "hours": sum(card.hours or 0.0 for card in cards),
        "device": first.device,
    }
    return save_weights(out, network, **(made | facts))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command-line entry point; returns the exit code."""
    names = list(sys.argv[1:] if arguments is None else arguments)
    if len(names) < 3:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    try:
        card = average_weights(names[1:], names[0])
    except UlmError as error:
        print(f"napari-ulm3d: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{names[0]}: mean of {len(names) - 1} files of {card.architecture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
