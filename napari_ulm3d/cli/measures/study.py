"""`napari-ulm3d study`: compare animals, groups and time points in one table and on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ulm3d.cli import options

__all__ = ["study"]

_SCANS_LEFT_OUT = 3  # exit code, as of a run


@options.takes_execution_options
def study(
    plan: Annotated[
        Path, typer.Argument(metavar="STUDY.toml", help="Animals, groups, time points, regions.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for tables, page and runs. Default: next to the plan."
        ),
    ] = None,
    example: Annotated[
        bool,
        typer.Option(
            "--example", help="First write this plan, with ten simulated animals next to it."
        ),
    ] = False,
    execution: Any = None,
) -> None:
    """Measure all animals, compare groups and time points, write tables and one HTML page.

    Animals are results folders, or files that are run first; with --workers several at a time.
    Repeating the command measures only what is new. Scans that cannot be measured are left out
    and listed, and the exit code is 3.
    """
    from napari_ulm3d.cli.terminal.interrupt import heeding_interrupts
    from napari_ulm3d.config.execution import Execution
    from napari_ulm3d.studies import study as run_study
    from napari_ulm3d.studies.example import write_example

    def told(line: str) -> None:
        typer.echo(line, err=True)

    where = Execution.from_dict(execution)
    with heeding_interrupts() as stop:
        if example:
            write_example(plan, progress=told)
        done = run_study(plan, out, execution=where, progress=told, stop=stop)
    for note in done.notes:
        typer.echo(f"note: {note}")
    main = done.comparisons
    if not main.empty:
        main = main[main["family"] == "primary"]
        for row in main.to_dict("records"):
            when = f" {row['time']}" if row["time"] else ""
            typer.echo(f"{row['measure']}{when}: {row['b']} against {row['a']}. {row['says']}")
    typer.echo(f"Wrote {done.folder / 'study.html'}, measures.csv and comparisons.csv")
    if done.failed:
        for name, why in done.failed.items():
            typer.echo(f"left out: {name}: {why}", err=True)
        raise typer.Exit(_SCANS_LEFT_OUT)
