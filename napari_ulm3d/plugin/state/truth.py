"""The ground truth beside a simulated acquisition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["find_truth"]

_NAMES = ("truth.parquet", "truth.csv")


def find_truth(paths: Sequence[str]) -> Path | None:
    """The ground truth in an acquisition's folder or beside its first file; None if missing."""
    if not paths:
        return None
    first = Path(paths[0])
    folder = first if first.is_dir() else first.parent
    for name in _NAMES:
        if (folder / name).is_file():
            return folder / name
    return None
