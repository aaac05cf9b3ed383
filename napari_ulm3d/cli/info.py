"""`napari-ulm3d info`: what a file contains, how it would be read, and what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ulm3d.cli import options
from napari_ulm3d.config import LoadConfig

__all__ = ["info"]


@options.takes_load_options
def info(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files or folder of one acquisition, or a results folder."),
    ],
    load: Any = None,
) -> None:
    """Show what a file or results folder contains, how it would be read, and what is missing."""
    if (files[0] / "run.toml").is_file():
        _show_results(files[0])
        return
    from napari_ulm3d.io import describe

    for line in describe(files, LoadConfig().replace(**load)).lines():
        typer.echo(line)


def _show_results(folder: Path) -> None:
    from napari_ulm3d.io.results import ResultsFolder

    results = ResultsFolder.open(folder)
    facts = results.facts()
    for section in ("program", "acquisition", "result"):
        typer.echo(f"[{section}]")
        for key, value in facts.get(section, {}).items():
            typer.echo(f"  {key}: {value}")
    typer.echo(f"maps: {', '.join(results.map_names()) or 'none'}")
