"""`napari-ulm3d export`: write a run's tracks or maps for another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of a run.")],
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="PATH",
            help=(
                "File to write. Tables: .csv .parquet .vtp (ParaView). Maps: .tif .nii.gz .zarr "
                ".mat .png .npy .vti"
            ),
        ),
    ],
    what: Annotated[
        str,
        typer.Option(
            "--what",
            help=(
                "What to export: tracks, localizations, or a map (density, speed, velocity_z, "
                "direction, power_doppler). Default: tracks for table formats, density for map "
                "formats."
            ),
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
) -> None:
    """Write a run's tracks, localizations or vessel map in another format."""
    from napari_ulm3d.io.export import export_results

    export_results(folder, to, what or None, overwrite=overwrite)
    typer.echo(f"Wrote {to}")
