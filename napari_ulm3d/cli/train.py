"""`napari-ulm3d train`: train a network on simulated acquisitions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["train"]


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="Settings file of the training (TOML).")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the training.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the checkpoint in the folder.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda; overrides the settings file.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after this many minutes and save a checkpoint."),
    ] = None,
) -> None:
    """Train a network; log.txt, curves.png and the weights in the folder are updated as it runs.

    The setting `task` selects the network: bubblenet, trajectory (the sparse and dense networks of
    Rauby et al.), mask, complete, superres or segment.
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
