"""All conventional localizers by concentration of bubbles: `python -m benchmarks.concentration`.

The standard sets contain 10, 40 and 160 bubbles in 3.9 x 5.4 x 4.8 mm. Each is processed by the
stages of the pipeline with default settings, once per localizer, and scored
against its ground truth. The definitions are those of `napari_ulm3d.evaluate`: a hit is
closer than a quarter of the wavelength, and a border of half a wavelength is excluded.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from benchmarks.machine import machine_line, markdown_table
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import LocalizeConfig, PipelineConfig
from napari_ulm3d.evaluate import EvaluateConfig, Scores, Truth, evaluate
from napari_ulm3d.link import link
from napari_ulm3d.pipeline.blocks import acquisition_psf, filter_block, localize_block
from napari_ulm3d.pipeline.localizers import localizer_of
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.simulate import simulate, standard_config
from napari_ulm3d.tables import Localizations

LOCALIZERS = ("gaussian", "radial", "centroid", "parabolic")
SETS = ("standard-10", "standard-40", "standard-160")


@dataclass(frozen=True)
class Row:
    """One localizer on one set.

    Attributes
    ----------
    bubbles
        Mean number of bubbles in the field of view.
    seconds
        Correlation and localization of all frames, without simulation, clutter filter and linking.
    """

    set_name: str
    localizer: str
    bubbles: float
    n_frames: int
    seconds: float
    scores: Scores

    @property
    def volumes_per_s(self) -> float:
        return self.n_frames / self.seconds


def run_set(
    name: str,
    localizers: list[str],
    config: PipelineConfig,
    scoring: EvaluateConfig,
    n_frames: int | None = None,
    sample: int = 0,
) -> Iterator[Row]:
    """Simulate a standard set, and run and score every localizer on it."""
    settings = standard_config(name, sample)
    if n_frames is not None:
        settings = settings.replace(n_frames=n_frames)
    simulation = simulate(settings)
    acquisition, truth = simulation.acquisition, Truth(simulation.truth)
    found = localized(acquisition, localizers, config)
    for localizer, (localizations, seconds) in found.items():
        tracks = link(localizations, acquisition.rate_hz, config.link)
        scores = evaluate(
            localizations,
            tracks,
            truth,
            acquisition.grid,
            acquisition.wavelength_um,
            scoring,
            frames=(0, acquisition.n_frames),
        )
        bubbles = len(truth) / acquisition.n_frames
        yield Row(name, localizer, bubbles, acquisition.n_frames, seconds, scores)


def localized(
    acquisition: Acquisition, localizers: list[str], config: PipelineConfig
) -> dict[str, tuple[Localizations, float]]:
    """Localizations and time of every localizer; each block is filtered only once."""
    blocks = acquisition.blocks(config.load.block_frames)
    psf, filtered = acquisition_psf(acquisition, config, blocks[0])
    parts: dict[str, list[Localizations]] = {name: [] for name in localizers}
    seconds = dict.fromkeys(localizers, 0.0)
    for block in blocks:
        filtered = filtered or filter_block(block, acquisition, config)
        for name in localizers:
            chosen = config.replace(localize=config.localize.replace(localizer=name))
            began = time.perf_counter()
            weights = localizer_of(chosen).weights(acquisition, chosen)
            plan = BlockPlan(acquisition, chosen, psf, weights)
            result = localize_block(block, plan, lambda: False, filtered)
            seconds[name] += time.perf_counter() - began
            parts[name].append(result.localizations)
        filtered = None
    return {name: (Localizations.concat(parts[name]), seconds[name]) for name in localizers}


def warm_up(localizers: list[str], config: PipelineConfig) -> None:
    """Trigger compilation on a few frames."""
    settings = standard_config(SETS[0], sample=999).replace(n_frames=24)
    localized(simulate(settings).acquisition, localizers, config)


def table(rows: list[Row]) -> str:
    """The scores as a markdown table."""
    header = [
        "set", "localizer", "Jaccard", "precision", "recall", "RMSE um", "bias z, y, x um",
        "tracked Jaccard", "link precision", "link recall", "speed bias", "Dice", "volumes/s",
    ]  # fmt: skip
    lines = []
    for row in rows:
        found, tracked = row.scores.localization, row.scores.tracked
        linking = row.scores.linking
        lines.append(
            [
                row.set_name,
                row.localizer,
                f"{found.jaccard:.3f}",
                f"{found.precision:.3f}",
                f"{found.recall:.3f}",
                f"{found.rmse_um:.1f}",
                ", ".join(f"{value:+.1f}" for value in found.bias_um),
                f"{tracked.jaccard:.3f}",
                f"{linking.link_precision:.3f}",
                f"{linking.link_recall:.3f}",
                f"{100 * linking.speed_bias_relative:+.0f} %",
                f"{row.scores.map.dice:.3f}",
                f"{row.volumes_per_s:.0f}",
            ]
        )
    return markdown_table(header, lines)


def plot(rows: list[Row], path: Path) -> None:
    """Plot the Jaccard index by concentration, one line per localizer; dashed after linking."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.4, 4.2), layout="constrained")
    for number, localizer in enumerate(dict.fromkeys(row.localizer for row in rows)):
        mine = sorted((r for r in rows if r.localizer == localizer), key=lambda r: r.bubbles)
        bubbles = [r.bubbles for r in mine]
        colour = f"C{number}"
        found = [r.scores.localization.jaccard for r in mine]
        tracked = [r.scores.tracked.jaccard for r in mine]
        axes.plot(bubbles, found, "o-", color=colour, label=localizer)
        axes.plot(bubbles, tracked, "o--", color=colour, mfc="none", lw=1)
    axes.plot([], [], "k-", label="localizations")
    axes.plot([], [], "k--", lw=1, label="after linking")
    axes.set_xscale("log")
    ticks = sorted({round(row.bubbles) for row in rows})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, None)
    axes.set_xlabel("bubbles in the field of view")
    axes.set_ylabel("Jaccard index (hit: closer than a quarter wavelength)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--frames", type=int, help="frames of each set (default: the set's own, 400)"
    )
    parser.add_argument("--sample", type=int, default=0, help="sample of each set (default 0)")
    parser.add_argument("--sets", nargs="+", default=list(SETS), help="standard sets")
    parser.add_argument(
        "--localizers",
        nargs="+",
        default=list(LOCALIZERS),
        choices=get_args(LocalizeConfig.model_fields["localizer"].annotation),
    )
    parser.add_argument("--margin-um", type=float, help="border left out (default: wavelength / 2)")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE"
    )
    parser.add_argument("--plot", type=Path, help="picture to write")
    parser.add_argument("--json", type=Path, help="file for all scores")
    options = parser.parse_args(arguments)
    config = PipelineConfig().with_settings(options.settings)
    scoring = EvaluateConfig(margin_um=options.margin_um)

    print(f"{machine_line('scipy')}")
    print(
        f"Settings: {' '.join(options.settings) or 'defaults'}; sample {options.sample}.\n",
        flush=True,
    )
    warm_up(options.localizers, config)
    rows: list[Row] = []
    for name in options.sets:
        for row in run_set(
            name, options.localizers, config, scoring, options.frames, options.sample
        ):
            rows.append(row)
            print(
                f"{row.set_name} {row.localizer}: Jaccard {row.scores.localization.jaccard:.3f}",
                flush=True,
            )
    print(f"\n{table(rows)}")
    if options.plot:
        plot(rows, options.plot)
    if options.json:
        write_json(rows, options.json)


def write_json(rows: list[Row], path: Path) -> None:
    """Write all scores; the file appears complete or not at all."""
    values: list[dict[str, Any]] = [
        {
            "set": row.set_name,
            "localizer": row.localizer,
            "bubbles": row.bubbles,
            "volumes_per_s": row.volumes_per_s,
            **row.scores.to_dict(),
        }
        for row in rows
    ]
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


if __name__ == "__main__":
    main()
