"""Display a run in the terminal: progress with remaining time, then a short report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.cli.terminal.interrupt import heeding_interrupts
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.pipeline import (
    BlockFailed,
    BlockFinished,
    BlockProgress,
    ClusterReady,
    Event,
    FramesDone,
    Noted,
    RunFinished,
    RunPrepared,
    RunReport,
    StageStarted,
    advice,
)
from napari_ulm3d.pipeline.progress import Tell

__all__ = ["follow", "print_report"]


def follow(
    start: Callable[[Tell, Callable[[], bool]], Iterator[Event]],
    acquisition: Acquisition,
    config: PipelineConfig,
    out: Path,
) -> RunReport:
    """Consume a run's events; show its progress on stderr and its report on stdout.

    `start` begins the run. It receives a callback that shows the progress within a block, and one
    that returns whether Ctrl-C was pressed.
    """
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
        TextColumn("frames"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    done = FramesDone()
    try:
        with (
            heeding_interrupts() as interrupted,
            Progress(*columns, console=console, transient=not sys.stderr.isatty()) as progress,
        ):
            task = progress.add_task("localizing", total=t, pace="")

            def show(event: Event | BlockProgress) -> None:
                done.hear(event)
                progress.update(task, completed=int(done.frames), pace=done.text(t))

            for event in start(show, interrupted):
                if isinstance(event, BlockFinished):
                    show(event)
                elif isinstance(event, BlockFailed):
                    said = f"  skipped block {event.index + 1} of {event.n_blocks}: "
                    console.print(
                        said + event.reason, highlight=False, markup=False, soft_wrap=True
                    )
                    show(event)
                elif isinstance(event, RunPrepared):
                    for note in event.notes:
                        console.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)
                elif isinstance(event, Noted):
                    console.print(
                        f"  note: {event.text}", highlight=False, markup=False, soft_wrap=True
                    )
                elif isinstance(event, ClusterReady):
                    workers = f"{event.n_workers} worker{'s' if event.n_workers > 1 else ''}"
                    shown = f", dashboard at {event.dashboard}" if event.dashboard else ""
                    console.print(f"  {workers}{shown}", highlight=False, soft_wrap=True)
                elif isinstance(event, StageStarted):
                    done.hear(event)
                    progress.update(task, description=event.name)
                elif isinstance(event, RunFinished):
                    report = event.report
    except (KeyboardInterrupt, Cancelled) as error:
        if (out / "run.toml").is_file():
            console.print(
                f"Finished blocks are kept. To continue, run again with --resume --out {out}.",
                highlight=False,
            )
        raise KeyboardInterrupt from error
    if report is None:
        raise RuntimeError("the run ended without a report")
    print_report(report, out)
    return report


def print_report(report: RunReport, out: Path) -> None:
    """Print a short report of a run as a table on stdout."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in report.rows():
        table.add_row(name, value)
    console = Console()
    console.print(table, highlight=False)
    console.print(f"Results in {out}", highlight=False, soft_wrap=True)
    if report.verdict:
        console.print(f"Warning: {report.verdict}", highlight=False, markup=False, soft_wrap=True)
    for hint in report.hints:
        console.print(f"What next: {hint}", highlight=False, markup=False, soft_wrap=True)
