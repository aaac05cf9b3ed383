"""`napari-ulm3d train`: train a network on simulated acquisitions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["train"]


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="Settings of the training.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the training.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda, instead of the settings' one.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after so many minutes, with a checkpoint to go on from."),
    ] = None,
) -> None:
    """Train a network; the folder's log.txt, curves.png and weights grow as it goes.

    The settings' `task` says which: bubblenet, trajectory (the sparse and dense networks of
    Rauby et al.) or mask.
    """
    from napari_ulm3d.train.loop import train as run
    from napari_ulm3d.train.registry import read_config

    settings = read_config(config)
    if device is not None:
        settings = settings.replace(device=device)
    state = run(settings, out, resume=resume, max_minutes=minutes, say=typer.echo)
    typer.echo(
        f"{out}: step {state.step} of {settings.steps}, best validation score "
        f"{state.best_score:.3f} at step {state.best_step}"
    )
