"""`napari-ulm3d demo`: run, score and show a small simulated acquisition."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Results folder.")] = Path(
        "demo-results"
    ),
    no_view: Annotated[
        bool, typer.Option("--no-view", help="Do not open the result in napari.")
    ] = False,
) -> None:
    """Run the pipeline on a sample acquisition, score it against the ground truth, show the map."""
    from napari_ulm3d.cli.doctor import has_display
    from napari_ulm3d.cli.evaluate import evaluate
    from napari_ulm3d.cli.terminal.progress import follow
    from napari_ulm3d.config import PipelineConfig
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.io.results import ResultsFolder
    from napari_ulm3d.io.writers import write
    from napari_ulm3d.pipeline import run_events
    from napari_ulm3d.simulate import sample_data_path

    folder = sample_data_path()
    acquisition = open_acquisition(folder)
    config = PipelineConfig()
    resume = (out / "run.toml").is_file()
    follow(
        lambda tell, stop: run_events(
            acquisition, config, out, resume=resume, stop=stop, tell=tell
        ),
        acquisition,
        config,
        out,
    )

    typer.echo("")
    evaluate(out, folder / "truth.parquet")
    picture = out / "density.png"
    write(ResultsFolder.open(out).map("density"), picture)
    typer.echo(f"\nDensity map: {picture}")
    if no_view:
        return
    if not has_display():
        typer.echo("No display found. Open the result on another machine with `napari-ulm3d view`.")
        return
    from napari_ulm3d.cli.view import view

    view(out)
