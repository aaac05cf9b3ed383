"""Tables and figures of `benchmarks.paper`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import markdown_table
from benchmarks.paper.scores import Score

__all__ = ["Row", "concentration_table", "cost_table", "plot_concentration", "plot_strategies"]


@dataclass(frozen=True)
class Row:
    """One method at all concentrations.

    Attributes
    ----------
    title
        Title in the table.
    scores
        Scores by number of bubbles.
    step
        Training step of the scored weights.
    of_steps, minutes
        Length of the training; 0: no training.
    """

    title: str
    scores: dict[int, Score]
    step: int = 0
    of_steps: int = 0
    minutes: float = 0.0

    @property
    def trained(self) -> str:
        if not self.of_steps:
            return "-"
        return f"{self.step} of {self.of_steps}, {self.minutes:.1f} min"


def concentration_table(rows: Sequence[Row]) -> str:
    """Dice coefficient (precision, recall) by number of bubbles in view."""
    counts = list(rows[0].scores)
    header = ["method", *(f"{n} bubbles" for n in counts), "step, training"]
    lines = []
    for row in rows:
        cells = [f"{s.dice:.3f} ({s.precision:.2f}, {s.recall:.2f})" for s in row.scores.values()]
        lines.append([row.title, *cells, row.trained])
    return markdown_table(header, lines)


def cost_table(rows: Sequence[Row]) -> str:
    """Dice coefficient by number of bubbles in view, with kept voxels and seconds per sample."""
    counts = list(rows[0].scores)
    header = [
        "strategy",
        *(f"Dice, {n} bubbles" for n in counts),
        "kept",
        "s a sample",
        "step, training",
    ]
    lines = []
    for row in rows:
        scores = list(row.scores.values())
        kept = sum(s.share_kept for s in scores) / len(scores)
        seconds = sum(s.seconds_per_sample for s in scores) / len(scores)
        dice = [f"{s.dice:.3f}" for s in scores]
        lines.append([row.title, *dice, f"{100 * kept:.1f} %", f"{seconds:.2f}", row.trained])
    return markdown_table(header, lines)


def plot_concentration(panels: dict[str, Sequence[Row]], path: Path) -> None:
    """Plot the Dice coefficient by number of bubbles in view, with panels for 2-D and 3-D."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(panels), 3.8), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, rows) in zip(all_axes, panels.items(), strict=True):
        for k, row in enumerate(rows):
            dice = [score.dice for score in row.scores.values()]
            axes.plot(list(row.scores), dice, f"C{k}o-", label=row.title)
        counts = sorted({n for row in rows for n in row.scores})
        axes.set(xscale="log", xlabel="bubbles in view", ylabel="Dice", title=title, ylim=(0, 1))
        axes.set_xticks(counts, [str(n) for n in counts])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    _save(figure, path)


def plot_strategies(rows: Sequence[Row], path: Path) -> None:
    """Plot the mean Dice coefficient against the share of kept voxels, by strategy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.subplots()
    kinds = {"threshold": "C0o-", "top": "C1s-", "mask": "C2*"}
    for kind, style in kinds.items():
        points = []
        for row in rows:
            scores = list(row.scores.values())
            kept = sum(s.share_kept for s in scores) / len(scores)
            if row.title.startswith(kind) and kept:
                points.append((100 * kept, sum(s.dice for s in scores) / len(scores), row.title))
        points.sort()
        axes.plot([p[0] for p in points], [p[1] for p in points], style, label=kind)
        for kept, dice, title in points:
            label = title.removeprefix("threshold ").partition(" of ")[0]
            axes.annotate(
                label, (kept, dice), fontsize=7, xytext=(3, 4), textcoords="offset points"
            )
    axes.set(xscale="log", xlabel="voxels kept, %", ylabel="Dice, mean over the concentrations")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    _save(figure, path)


def _save(figure, path: Path) -> None:  # type: ignore[no-untyped-def]
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
