"""`napari-ulm3d vessels`: the vessels of a run or a map, with measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ulm3d.cli import options

if TYPE_CHECKING:
    from napari_ulm3d.vasculature import VesselGraph

__all__ = ["vessels"]


@options.takes_load_options
def vessels(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS|MAP",
            help="Results folder of a run; or a map, an image of vessels or a segmentation.",
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="PATH",
            help="File to write: .csv (with a second file for junctions), .swc, .graphml, or .vtp (ParaView).",
        ),
    ],
    labels: Annotated[
        bool,
        typer.Option("--labels", help="MAP contains segment labels: all but 0 is vessel."),
    ] = False,
    load: Any = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Settings as TOML. Default: those of the run."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="vessels.KEY=VALUE", help="Any setting of `vessels`."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
) -> None:
    """Measure vessels: length, diameter, tortuosity, speed, flow; and the flow balance of junctions.

    In a results folder, diameters and flow are measured on the tracks. Any other map gives only
    lengths and diameters, from its voxels.
    """
    from napari_ulm3d.config import LoadConfig, PipelineConfig
    from napari_ulm3d.errors import ConfigError, ResultsError
    from napari_ulm3d.io.results import ResultsFolder
    from napari_ulm3d.vasculature import vessels as measure
    from napari_ulm3d.vasculature.formats import SUFFIXES, junctions_path
    from napari_ulm3d.vasculature.source import open_source

    suffix = to.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{to}: unknown suffix. Use one of {' '.join(SUFFIXES)}.")
    written = [to, junctions_path(to)] if suffix == ".csv" else [to]
    for path in written:
        if path.exists() and not overwrite:
            raise ResultsError(f"{path}: already exists; add --overwrite or name another file.")
    opened = open_source(source, LoadConfig().replace(**load))
    of_run = isinstance(opened, ResultsFolder)
    if config is not None:
        settings = PipelineConfig.from_toml(config)
    else:
        settings = opened.config if isinstance(opened, ResultsFolder) else PipelineConfig()
    settings = settings.with_settings(assignments or [])
    graph = measure(opened, config=settings.vessels, labels=labels)
    graph.write(to)
    _print(graph, with_speeds=of_run)
    for path in written:
        typer.echo(f"Wrote {path}")


def _print(graph: VesselGraph, *, with_speeds: bool) -> None:
    from napari_ulm3d.vasculature.summary import summary

    for name, value in summary(graph, with_speeds=with_speeds):
        typer.echo(f"{name:<28}  {value}")
