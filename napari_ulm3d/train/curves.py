"""Progress of a training as CSV and PNG, rewritten on each update."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from math import nan
from pathlib import Path
from statistics import median

from napari_ulm3d.system.atomic import atomic_path

__all__ = ["write_csv", "write_plot"]

Rows = Sequence[dict[str, float]]


def write_csv(path: Path, rows: Rows) -> None:
    """Write rows as CSV; columns are those of all rows in order of first appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_plot(path: Path, curve: Rows, validations: Rows, metric: str = "jaccard") -> None:
    """Plot the loss with its terms, and validation scores, against steps.

    Parameters
    ----------
    path
        The PNG.
    curve
        Rows with ``step``, ``loss`` and terms; ``rate`` and ``seconds`` are not drawn.
    validations
        Rows with ``step``, ``score`` and ``METRIC_...``.
    metric
        Name of the score.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    terms = [n for n in _names(curve) if n not in ("rate", "seconds", "voxels")]
    _lines(losses, _running_median(curve, terms), terms)
    losses.set(xlabel="step", ylabel="loss, running median", yscale="symlog")
    shown = [n for n in _names(validations) if n == "score" or n.startswith(f"{metric}_")]
    _lines(scores, validations, shown)
    scores.set(xlabel="step", ylabel=f"{metric.capitalize()}, validation", ylim=(0, 1))
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def _names(rows: Rows) -> list[str]:
    return [name for name in (rows[-1] if rows else {}) if name != "step"]


def _running_median(rows: Rows, names: list[str]) -> Rows:
    """Smooth the curves, because individual batches scatter too widely."""
    half = len(rows) // 40
    near = [rows[max(0, k - half) : k + half + 1] for k in range(len(rows))]
    return [
        # A term may begin later than the training, in its own phase.
        {"step": row["step"]}
        | {n: float(median([r[n] for r in some if n in r] or [nan])) for n in names}
        for row, some in zip(rows, near, strict=True)
    ]


def _lines(axes, rows: Rows, names: list[str]) -> None:  # type: ignore[no-untyped-def]
    for name in names:
        axes.plot(
            [row["step"] for row in rows],
            [row[name] for row in rows],
            label=name,
            lw=1,
            marker=".",
            ms=3,
        )
    if names:
        axes.legend(fontsize=7)
