"""Write results as they arrive, and stop parts when their time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import machine_line, markdown_table

__all__ = ["Part", "Row", "run_parts"]

Row = list[str]


@dataclass(frozen=True)
class Part:
    """A table of the report.

    Attributes
    ----------
    title, header
        Title and header of the table.
    share
        Share of the total time.
    rows
        Yields the rows; it may be stopped between two rows. Each row takes a fraction of a minute.
    """

    title: str
    header: Row
    share: float
    rows: Callable[[], Iterator[Row]]


def run_parts(parts: list[Part], minutes: float, out: Path, device: str) -> bool:
    """Run all parts, writing the report to `out` after every row; return whether none failed."""
    total = sum(part.share for part in parts)
    began = time.monotonic()
    head = f"{machine_line('torch')}\n\nDevice: {device}."
    finished: list[str] = []
    faultless, spent = True, 0.0
    for part in parts:
        # Unused time is passed on to the following parts.
        spent += part.share
        until = began + 60 * minutes * spent / total
        rows: list[Row] = []
        note = ""
        source = part.rows()
        while True:
            if time.monotonic() > until and rows:
                note = "Stopped when its time was over."
                break
            try:
                row = next(source)
            except StopIteration:
                break
            except Exception as error:  # continue with the other parts
                faultless, note = False, f"FAILED: {type(error).__name__}: {error}"
                break
            faultless = faultless and "FAILED" not in row
            rows.append(row)
            print(f"{time.monotonic() - began:6.1f} s  {part.title}: {' | '.join(row)}", flush=True)
            _write(out, [head, *finished, _table(part, rows, "")])
        finished.append(_table(part, rows, note))
        if note:
            print(f"{part.title}: {note}", flush=True)
        _write(out, [head, *finished])
    return faultless


def _table(part: Part, rows: list[Row], note: str) -> str:
    table = markdown_table(part.header, rows) if rows else "Nothing was measured."
    return f"### {part.title}\n\n{table}" + (f"\n\n{note}" if note else "")


def _write(out: Path, pieces: list[str]) -> None:
    out.write_text("\n\n".join(pieces) + "\n", encoding="utf-8")
