"""Reliability of the scores: is .8 correct in eight of ten cases? `python -m benchmarks.reliability`

Validation scenes of both generators (`benchmarks.scenes`, `benchmarks.crowds`), whole pipeline. For each
range of the score: the share of localizations within a quarter of the wavelength of a bubble (each
bubble counts once), and their number. `--fit network` and `--fit refined` fit the coefficients that turn
evidence into these probabilities (`localize.probability`, `synthesis.probability`) on other scenes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from benchmarks.crowds.scenes import crowd_scene
from benchmarks.machine import machine_line, markdown_table
from benchmarks.reliability.fit import fit
from benchmarks.reliability.judged import FIRST_KEPT, judged
from benchmarks.scenes import NUMBERS, Scene, validation_scenes, with_first, with_localizer
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run
from napari_ulm3d.tables import Localizations

EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def judged_scores(
    scene: Scene, found: Localizations
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores of the localizations that count, and whether each is a hit."""
    counted, hit = judged(scene, found)
    return found.table["score"].to_numpy(np.float64)[counted], hit[counted]


def reliability(score: NDArray[np.float64], hit: NDArray[np.bool_]) -> list[str]:
    """Share of hits in each range, and number of localizations."""
    cells = []
    for low, high in pairwise(EDGES):
        part = (score >= low) & ((score < high) | (high == EDGES[-1]))
        cells.append(f"{hit[part].mean():.2f} ({part.sum()})" if part.any() else "-")
    return cells


def scenes(frames: int, seed: int) -> Iterator[Scene]:
    """One scene per number of bubbles, from both generators."""
    yield from validation_scenes(frames, seed)
    for n in NUMBERS:
        yield crowd_scene(n, 1 + seed, frames)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--sample", type=int, default=0, help="which validation scenes, from 0")
    parser.add_argument("--localizer", default="network")
    parser.add_argument("--refine", nargs="+", default=["none", "window"])
    parser.add_argument("--least", type=float, default=0.05, help="least score of the network")
    parser.add_argument("--fit", choices=("network", "refined"))
    options = parser.parse_args(arguments)
    base = PipelineConfig().with_settings(["maps.fsc=false", f"network.min_score={options.least}"])
    print(machine_line("torch", "scipy"))
    if options.fit:
        print(fit(options.fit, base))
        return
    rows = []
    for scene in scenes(options.frames, options.sample):
        config = with_localizer(base, options.localizer)
        config = with_first(config, FIRST_KEPT[scene.name.partition("-")[0]])
        for refine in options.refine:
            found = run(
                scene.acquisition, config.with_settings([f"localize.refine={refine}"])
            ).localizations
            rows.append([scene.name, refine, *reliability(*judged_scores(scene, found))])
            print(" | ".join(rows[-1]), flush=True)
    header = ["scene", "refine", *(f"{low:g} to {high:g}" for low, high in pairwise(EDGES))]
    print(f"\n{markdown_table(header, rows)}")


if __name__ == "__main__":
    main()
