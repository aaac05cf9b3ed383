"""`napari-ulm3d export`: a run's tracks or maps as a file for another program."""

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
            help="File to write. Tables: .csv .parquet .vtp (ParaView). Maps: .tif .nii.gz .zarr .mat .png .npy",
        ),
    ],
    what: Annotated[
        str,
        typer.Option(
            "--what",
            help="tracks, localizations, or a map's name (density, speed, velocity_z, direction, power_doppler). "
            "Default: tracks for a table, density for a map.",
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it is there.")
    ] = False,
) -> None:
    """Write tracks, localizations or a vessel map of a run in another format."""
    from napari_ulm3d.io.export import export_results

    export_results(folder, to, what or None, overwrite=overwrite)
    typer.echo(f"Wrote {to}")
