"""Results written as they come, and parts that end when their time is over."""

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
        Above it.
    share
        Of the minutes.
    rows
        Makes it row by row; between two rows it may be stopped. Each row is small enough to be
        made in a fraction of a minute.
    """

    title: str
    header: Row
    share: float
    rows: Callable[[], Iterator[Row]]


def run_parts(parts: list[Part], minutes: float, out: Path, device: str) -> bool:
    """Run all parts; the report stands in `out` after every row. Whether none failed."""
    total = sum(part.share for part in parts)
    began = time.monotonic()
    head = f"{machine_line('torch')}\n\nDevice: {device}."
    finished: list[str] = []
    faultless, spent = True, 0.0
    for part in parts:
        # What a part did not need goes to those that follow.
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
            except Exception as error:  # the other parts are still worth their time
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
