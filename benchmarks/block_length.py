"""Recall by true speed, and cost, as a function of the block length.

`python -m benchmarks.block_length` simulates 1,000 frames of 40 bubbles each (with a seed used in
neither training nor test) and runs the defaults with blocks of each length; `auto` is the default.
`--set clutter.svd_range=12,200` compares with a fixed cut.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

import numpy as np

from benchmarks.machine import machine_line, markdown_table
from benchmarks.scenes import VALIDATION_SEED, Scene, make_scene, score
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.evaluate import EvaluateConfig
from napari_ulm3d.evaluate.linking import true_speed_mm_s
from napari_ulm3d.evaluate.pairing import match
from napari_ulm3d.pipeline import BlockFinished, MapsFinished, run_events
from napari_ulm3d.simulate import preset
from napari_ulm3d.tables import Localizations, Tracks

_SPEEDS = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0, np.inf)
_HEADER = [
    "frames a block", "localizer", "precision", "recall", "tracked Jaccard", "recall .2-1 mm/s",
    *(f"{low:g}-{high:g}" for low, high in pairwise(_SPEEDS)),
    "blocks, ms CPU a frame",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lengths", nargs="*", default=["200", "500", "1000", "auto"])
    parser.add_argument("--localizers", nargs="+", default=["gaussian"])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    print(machine_line(), end="\n\n", flush=True)
    base = preset("mouse-brain-15MHz")
    scene = make_scene(
        base.replace(
            name="validation-40",
            n_frames=arguments.frames,
            seed=VALIDATION_SEED + 501,
            bubbles=base.bubbles.replace(n_bubbles=40),
        )
    )
    rows = [
        _row(scene, length, localizer, arguments.settings)
        for localizer in arguments.localizers
        for length in arguments.lengths
    ]
    print(markdown_table(_HEADER, rows))


def _row(scene: Scene, length: str, localizer: str, more: list[str]) -> list[str]:
    own = [f"load.frames_per_block={length}", f"localize.localizer={localizer}", "maps.fsc=false"]
    config = PipelineConfig().with_settings([*own, *more])
    found, tracks, cpu_s = [], [], []
    for event in run_events(scene.acquisition, config):
        if isinstance(event, BlockFinished):
            found.append(event.result.localizations)
            cpu_s.append((event.n_frames, time.process_time()))
        if isinstance(event, BlockFinished | MapsFinished):
            tracks.append(event.tracks)
    everything = Localizations.concat(found)
    scores = score(scene, everything, Tracks.concat(tracks))
    grid, wave = scene.acquisition.grid, scene.acquisition.wavelength_um
    tolerances = EvaluateConfig().tolerances(wave)
    pairs = match(everything.frames, everything.positions_um, scene.truth, grid, tolerances)
    hit = np.zeros(len(scene.truth), bool)
    near = (pairs.truth_row >= 0) & (pairs.distance_um <= tolerances.hit_um)
    hit[pairs.truth_row[near]] = True
    speed = true_speed_mm_s(scene.truth, grid)

    def recall(low: float, high: float) -> str:
        some = pairs.truth_counted & (speed >= low) & (speed < high)
        return f"{hit[some].mean():.2f}" if some.any() else "-"

    # The first block is filtered during calibration, so it is not timed.
    timed = sum(n for n, _ in cpu_s[1:])
    cost = f"{1e3 * (cpu_s[-1][1] - cpu_s[0][1]) / timed:.1f}" if timed else "-"
    return [
        length, localizer,
        f"{scores.localization.precision:.3f}", f"{scores.localization.recall:.3f}",
        f"{scores.tracked.jaccard:.3f}",
        recall(0.2, 1.0),
        *(recall(low, high) for low, high in pairwise(_SPEEDS)),
        cost,
    ]  # fmt: skip


if __name__ == "__main__":
    main()
