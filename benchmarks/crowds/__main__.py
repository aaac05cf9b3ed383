"""Localizers on crowds from a generator not used in training: `python -m benchmarks.crowds`

Scenes of `benchmarks.crowds.scenes`: 10, 40 and 160 bubbles that share trunks, in 40 x 36 x 32 voxels at 260 Hz,
with tissue. Each localizer is scored for each given first component kept. The one with the best tracked Jaccard
index is used for the recall by distance to the nearest bubble and by speed. Weights and components are chosen
on the seeds of `validation`; those of `test` are evaluated with one component each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.crowds.scenes import NUMBERS, WAVELENGTH_UM, crowd_scene
from benchmarks.localizers.misses import bins, by, judged, nearest_other
from benchmarks.machine import machine_line, markdown_table
from benchmarks.scenes import Scene, above, three_scores, with_first, with_localizer
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run
from napari_ulm3d.tables import Localizations

FIRST_SEED = {"validation": 1, "test": 1001}
DISTANCES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, np.inf)
"""In wavelengths."""
SPEEDS_MM_S = (0.0, 2.0, 4.0, 8.0, 12.0, 20.0, np.inf)


@dataclass(frozen=True)
class Found:
    """Localizations of one localizer at one cut and minimum score, with their scores."""

    name: str
    first: int
    localizations: list[Localizations]
    scores: NDArray[np.float64]  # (3, scenes): Jaccard index, tracked, Dice

    @property
    def quality(self) -> float:
        """The mean tracked Jaccard index, used to choose the cut."""
        return float(self.scores[1].mean())


def tried(
    scenes: Sequence[Scene],
    base: PipelineConfig,
    first: int,
    weights: str | None,
    least: list[float],
) -> list[Found]:
    """The Gaussian fit (without weights), or a network at each minimum score, for one cut."""
    config = with_first(base, first)
    if weights is None:
        found = [
            run(s.acquisition, with_localizer(config, "gaussian")).localizations for s in scenes
        ]
        return [Found("gaussian", first, found, three_scores(scenes, found, config.link))]
    given = None if weights == "shipped" else weights
    network = config.network.replace(weights=given, min_score=min(least))
    config = with_localizer(config.replace(network=network), "network")
    found = [run(s.acquisition, config).localizations for s in scenes]
    parts = [[above(part, level) for part in found] for level in least]
    return [
        Found(f"{weights}, {level:g}", first, part, three_scores(scenes, part, config.link))
        for level, part in zip(least, parts, strict=True)
    ]


def means(scenes: Sequence[Scene], scores: NDArray[np.float64]) -> list[str]:
    """Jaccard index, tracked Jaccard index and Dice, each by number of bubbles."""
    columns = [
        [scores[:, k] for k, s in enumerate(scenes) if s.name == f"crowd-{n}"] for n in NUMBERS
    ]
    table = np.array([np.mean(column, axis=0) for column in columns]).T
    return [" ".join(f"{value:.3f}" for value in row) for row in table]


def recalls(scenes: Sequence[Scene], found: Found) -> tuple[list[list[str]], list[list[str]]]:
    """Rows by distance and by speed, one per number of bubbles."""
    far_rows, fast_rows = [], []
    for n in NUMBERS:
        hits, far, fast = [], [], []
        for scene, part in zip(scenes, found.localizations, strict=True):
            if scene.name != f"crowd-{n}":
                continue
            hit, counted, _ = judged(scene, part)
            velocity = scene.truth.velocities_mm_s
            assert velocity is not None
            hits.append(hit[counted])
            far.append(nearest_other(scene.truth)[counted] / WAVELENGTH_UM)
            fast.append(np.linalg.norm(velocity, axis=1)[counted])
        hit = np.concatenate(hits)
        head = [str(n), found.name]
        far_rows.append(head + by(np.concatenate(far), DISTANCES, hit))
        fast_rows.append(head + by(np.concatenate(fast), SPEEDS_MM_S, hit))
    return far_rows, fast_rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "weights", nargs="*", default=["shipped"], help="files, names, or 'shipped'"
    )
    parser.add_argument("--seeds", choices=sorted(FIRST_SEED), default="validation")
    parser.add_argument("--samples", type=int, default=2, help="scenes of each number of bubbles")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--gaussian", type=int, nargs="*", default=[5, 8, 12], help="its cuts")
    parser.add_argument("--network", type=int, nargs="*", default=[5, 8], help="the networks' cuts")
    parser.add_argument("--least", type=float, nargs="+", default=[0.1, 0.2])
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE"
    )
    options = parser.parse_args(arguments)
    if options.seeds == "test" and max(len(options.gaussian), len(options.network)) > 1:
        parser.error("choose the cuts on the validation seeds; for the test name one each")
    base = PipelineConfig().with_settings(["maps.fsc=false", *options.settings])
    first = FIRST_SEED[options.seeds]
    scenes = [
        crowd_scene(n, seed, options.frames)
        for n in NUMBERS
        for seed in range(first, first + options.samples)
    ]
    print(machine_line("torch", "scipy"))
    for n in NUMBERS:
        truths = [scene.truth for scene in scenes if scene.name == f"crowd-{n}"]
        apart = np.concatenate([nearest_other(truth) for truth in truths])
        speed = np.concatenate([np.linalg.norm(t.velocities_mm_s, axis=1) for t in truths])
        print(f"{n}: median {np.median(apart):.0f} um apart, {np.median(speed):.1f} mm/s")
    jobs: list[tuple[int, str | None]] = [(cut, None) for cut in options.gaussian]
    jobs += [(cut, weights) for weights in options.weights for cut in options.network]
    rows, best = [], dict[str, Found]()
    for cut, weights in jobs:
        for found in tried(scenes, base, cut, weights, options.least):
            rows.append([found.name, str(cut), *means(scenes, found.scores)])
            print(" | ".join(rows[-1]), flush=True)
            kind = weights or "gaussian"
            if kind not in best or found.quality > best[kind].quality:
                best[kind] = found
    header = ["localizer", "from", "Jaccard 10, 40, 160", "tracked", "Dice 25 um"]
    print(f"\n{markdown_table(header, rows)}\n")
    tables = [recalls(scenes, found) for found in best.values()]
    for title, edges, part in (
        ("distance to the nearest other bubble, wavelengths", DISTANCES, 0),
        ("speed, mm/s", SPEEDS_MM_S, 1),
    ):
        print(f"Recall by {title}, each at its best:\n")
        lines = sorted((line for table in tables for line in table[part]), key=lambda r: int(r[0]))
        print(markdown_table(["bubbles", "localizer", *bins(edges)], lines) + "\n")


if __name__ == "__main__":
    main()
