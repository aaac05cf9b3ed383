"""`napari-ulm3d info`: what a file holds, how it would be read, and what it does not say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ulm3d.cli import options
from napari_ulm3d.config import LoadConfig

__all__ = ["info"]


def info(
    file: Annotated[
        Path, typer.Argument(help="A file or folder of an acquisition, or a results folder.")
    ],
    variable: options.Variable = None,
    axes: options.Axes = None,
    voxel_um: options.VoxelUm = None,
    rate: options.Rate = None,
    origin_um: options.Origin = None,
    wavelength_um: options.WavelengthUm = None,
    frequency_mhz: options.FrequencyMHz = None,
    sound_speed: options.SoundSpeed = None,
    log_compressed: options.LogCompressed = None,
) -> None:
    """Show what a file or results folder holds, what was recognized and what is missing."""
    if (file / "run.toml").is_file():
        _show_results(file)
        return
    from napari_ulm3d.io import describe

    load = options.load_settings(
        variable=variable,
        axes=axes,
        voxel_um=voxel_um,
        rate=rate,
        origin_um=origin_um,
        wavelength_um=wavelength_um,
        frequency_mhz=frequency_mhz,
        sound_speed=sound_speed,
        log_compressed=log_compressed,
    )
    for line in describe(file, LoadConfig(**load)).lines():
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
