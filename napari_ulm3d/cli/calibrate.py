"""`napari-ulm3d calibrate`: measurements on the data before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ulm3d.cli import options
from napari_ulm3d.config import PipelineConfig

__all__ = ["calibrate"]


@options.takes_load_options
def calibrate(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Files of one acquisition in temporal order, or the folder that contains them."
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Settings file (TOML). Default: the default settings."),
    ] = None,
    load: Any = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            help="Any setting, such as clutter.svd_range=8,150.",
        ),
    ] = None,
) -> None:
    """Measure noise, bubble widths and tissue on a few blocks, and show what a run would use.

    Each number is shown with how it was measured and how certain it is. Nothing is written.
    """
    from napari_ulm3d.calibrate import calibrate as measure
    from napari_ulm3d.io import open_acquisition

    settings = PipelineConfig() if config is None else PipelineConfig.from_toml(config)
    values = settings.model_dump()
    values["load"] |= load
    settings = PipelineConfig.from_dict(values).with_settings(assignments or [])
    acquisition = open_acquisition(files, settings.load, keep_damaged=True)
    found = measure(acquisition, settings)
    width = max(len(finding.name) for finding in found.findings)
    for finding in found.findings:
        sure = f"; {finding.sure}" if finding.sure else ""
        typer.echo(f"{finding.name:<{width}}  {finding.value}  ({finding.how}{sure})")
    for warning in found.warnings:
        typer.echo(f"warning: {warning}")
