"""The commands, gathered."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_ulm3d import __version__
from napari_ulm3d.cli.demo import demo
from napari_ulm3d.cli.doctor import doctor
from napari_ulm3d.cli.evaluate import evaluate
from napari_ulm3d.cli.export import export
from napari_ulm3d.cli.info import info
from napari_ulm3d.cli.run import run
from napari_ulm3d.cli.simulate import simulate

__all__ = ["app"]

app = typer.Typer(
    name="napari-ulm3d",
    help="3-D ultrasound localization microscopy: from a lab's files to microbubble tracks and vessel maps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for command in (run, info, export, evaluate, simulate, demo, doctor):
    app.command()(command)
