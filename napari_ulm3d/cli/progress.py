"""Following a run in the terminal: progress with the time left, then a short report."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import (
    BlockFailed,
    BlockFinished,
    ClusterReady,
    Event,
    Noted,
    RunFinished,
    RunReport,
    StageStarted,
    advice,
)

__all__ = ["follow", "print_report"]


def follow(
    events: Iterator[Event], acquisition: Acquisition, config: PipelineConfig, out: Path
) -> RunReport:
    """Consume a run's events, show its progress on stderr and its report on stdout."""
    console = Console(stderr=True)
    t, z, y, x = acquisition.shape
    spacing = " x ".join(f"{s:g}" for s in acquisition.grid.spacing_um)
    console.print(
        f"{acquisition.name}: {t} frames of {z} x {y} x {x} voxels ({spacing} um) at {acquisition.rate_hz:g} Hz, "
        f"{acquisition.kind}",
        highlight=False,
        soft_wrap=True,
    )
    for note in (*acquisition.notes, *advice(acquisition, config)):
        console.print(f"  note: {note}", highlight=False, markup=False, soft_wrap=True)

    report: RunReport | None = None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames, {task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=not sys.stderr.isatty()) as progress:
            task = progress.add_task("localizing", total=t, rate="")
            for event in events:
                if isinstance(event, BlockFinished):
                    rate = (
                        "reused"
                        if event.reused
                        else f"{event.n_frames / max(event.seconds, 1e-9):.0f} volumes/s"
                    )
                    progress.update(task, advance=event.n_frames, rate=rate)
                elif isinstance(event, BlockFailed):
                    said = f"  block {event.index + 1} of {event.n_blocks} is left out: "
                    console.print(
                        said + event.reason, highlight=False, markup=False, soft_wrap=True
                    )
                    progress.update(task, advance=event.n_frames)
                elif isinstance(event, Noted):
                    console.print(
                        f"  note: {event.text}", highlight=False, markup=False, soft_wrap=True
                    )
                elif isinstance(event, ClusterReady):
                    workers = f"{event.n_workers} worker{'s' if event.n_workers > 1 else ''}"
                    shown = f", shown at {event.dashboard}" if event.dashboard else ""
                    console.print(f"  {workers}{shown}", highlight=False, soft_wrap=True)
                elif isinstance(event, StageStarted):
                    progress.update(task, description=event.name)
                elif isinstance(event, RunFinished):
                    report = event.report
    except KeyboardInterrupt:
        if (out / "run.toml").is_file():
            console.print(
                f"Finished blocks are kept: add --resume to go on in {out}.", highlight=False
            )
        raise
    if report is None:
        raise RuntimeError("the run ended without a report")
    print_report(report, out)
    return report


def print_report(report: RunReport, out: Path) -> None:
    """The short report of a run, as a table on stdout."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in report.rows():
        table.add_row(name, value)
    console = Console()
    console.print(table, highlight=False)
    console.print(f"Results in {out}", highlight=False, soft_wrap=True)
