"""`napari-ulm3d refine`: complete, sharpen or segment a vessel map; the result is a prediction."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ulm3d.cli import options

__all__ = ["refine"]


class _Task(StrEnum):
    complete = "complete"
    superres = "superres"
    segment = "segment"


@options.takes_load_options
def refine(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS|MAP",
            help="Results folder of a run, a density map (.ome.tif), or any volume (.tif, .nii.gz, .npy).",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            help="File for the predicted probability: .ome.tif .nii.gz .zarr .vti .npy .mat .png",
        ),
    ],
    task: Annotated[
        _Task,
        typer.Option(
            "--task",
            help="complete: vessels that a longer acquisition would fill; superres: finer voxels; "
            "segment: vessels against noise, arteries and veins.",
        ),
    ] = _Task.complete,
    factor: Annotated[
        int, typer.Option("--factor", metavar="N", help="superres: 2 or 4 times as fine.")
    ] = 2,
    least: Annotated[
        float | None,
        typer.Option(
            "--least",
            metavar="P",
            help="Probability from which a voxel counts as vessel; the file holds all.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="FILE", help="Other weights.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
    load: Any = None,
) -> None:
    """Complete, sharpen or segment a vessel map with a sparse network.

    The output is marked as a prediction: it enters no resolution, saturation or score.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from napari_ulm3d.errors import ConfigError, ResultsError
    from napari_ulm3d.io.writers import suffixes_for, write
    from napari_ulm3d.refinement import refine as predict
    from napari_ulm3d.volumes import VesselMap

    if out.exists() and not overwrite:
        raise ResultsError(f"{out}: already exists; add --overwrite or name another file.")
    if not out.name.lower().endswith(suffixes_for(VesselMap)):
        raise ConfigError(f"{out}: unknown suffix. Use one of {' '.join(suffixes_for(VesselMap))}.")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("reading the map", total=1.0)
        refined = predict(
            source,
            task.value,
            factor=factor,
            least=least,
            weights=weights,
            load=load,
            progress=lambda share, what: bar.update(shown, completed=share, description=what),
        )
    write(refined.probability, out)
    for note in refined.notes:
        typer.echo(f"note: {note}")
    vessels, added = refined.mask(), refined.added()
    typer.echo(
        f"Predicted: {vessels.index.size:,} vessel voxels (probability from {refined.least:g}), of "
        f"which {added.index.size:,} contain no measurement."
    )
    typer.echo(f"Wrote {out}")
