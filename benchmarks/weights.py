"""BubbleNet's weights on validation scenes: `python -m benchmarks.weights FILE ...`

This table is used to choose the shipped weights: whole pipeline, scenes of 10, 40 and 160 bubbles
with seeds used in neither training nor test. It includes the scores of the Gaussian fit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.machine import machine_line, markdown_table
from benchmarks.scenes import (
    Scene,
    above,
    three_scores,
    validation_scenes,
    with_first,
    with_localizer,
)
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run
from napari_ulm3d.tables import Localizations

LEAST_FIT_DB = (16.0, 18.0)


def summary(
    samples: Sequence[Sequence[Scene]],
    found: Sequence[Sequence[Localizations]],
    config: PipelineConfig,
) -> list[str]:
    """Jaccard index, that of tracked positions and Dice, by number of bubbles and on average."""
    pairs = zip(samples, found, strict=True)
    means = np.mean([three_scores(*pair, config.link) for pair in pairs], axis=0)
    return [" ".join(f"{v:.3f}" for v in row) + f" ({row.mean():.3f})" for row in means]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", nargs="*", help="files or names (default: shipped)")
    parser.add_argument("--cuts", type=int, nargs="+", default=[6, 8, 12])
    parser.add_argument("--least", type=float, nargs="+", default=[0.06, 0.1, 0.15, 0.2])
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--samples", type=int, default=1, help="scenes of each number of bubbles")
    parser.add_argument("--gaussian", action="store_true", help="the Gaussian fit as well")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE"
    )
    options = parser.parse_args(arguments)
    base = PipelineConfig().with_settings(["maps.fsc=false", *options.settings])
    samples = [validation_scenes(options.frames, k) for k in range(options.samples)]
    print(machine_line("torch", "scipy"))
    print(f"Settings: {' '.join(options.settings) or 'defaults'}.\n", flush=True)

    def found(config: PipelineConfig) -> list[list[Localizations]]:
        return [[run(s.acquisition, config).localizations for s in scenes] for scenes in samples]

    lines = []

    def add(cut: int, name: str, parts: list[list[Localizations]], seconds: float) -> None:
        lines.append([str(cut), name, *summary(samples, parts, base), f"{seconds:.0f}"])
        print(" | ".join(lines[-1]), flush=True)

    for cut in options.cuts:
        config = with_first(base, cut)
        for level in LEAST_FIT_DB if options.gaussian else ():
            fit = config.localize.replace(min_fit_snr_db=level)
            began = time.perf_counter()
            parts = found(config.replace(localize=fit))
            add(cut, f"gaussian, {level:g} dB", parts, time.perf_counter() - began)
        for weights in options.weights or [None]:
            network = config.network.replace(weights=weights, min_score=min(options.least))
            began = time.perf_counter()
            every = found(with_localizer(config.replace(network=network), "network"))
            seconds = time.perf_counter() - began
            for least in options.least:
                kept = [[above(part, least) for part in parts] for parts in every]
                add(cut, f"{weights or 'shipped'}, {least:g}", kept, seconds)
    header = ["first component", "settings", "Jaccard 10, 40, 160", "tracked", "Dice", "seconds"]
    print(f"\n{markdown_table(header, lines)}")


if __name__ == "__main__":
    main()
