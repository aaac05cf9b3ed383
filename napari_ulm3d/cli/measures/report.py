"""`napari-ulm3d report`: one-page report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of a run.")],
    to: Annotated[Path, typer.Option("--to", metavar="HTML", help="File to write, .html.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
) -> None:
    """Write one self-contained HTML file: maps, vessels, measurements, quality, provenance."""
    from napari_ulm3d.report import write_report

    write_report(folder, to, overwrite=overwrite)
    typer.echo(f"Wrote {to}")
