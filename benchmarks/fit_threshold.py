"""Choice of `localize.min_fit_snr_db`: `python -m benchmarks.fit_threshold`

On validation scenes (the mouse-brain preset with 10, 40 and 160 bubbles, SNR 18 dB, tissue 25 dB;
seeds not in any test set): the Jaccard index of the localizations, and the final results, the
Jaccard index of the tracked positions and the Dice coefficient of the map at 25 um. Means over
scenes.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.machine import machine_line, markdown_table
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.evaluate import Truth, evaluate
from napari_ulm3d.link import link
from napari_ulm3d.localize import localize
from napari_ulm3d.pipeline.blocks import filter_block
from napari_ulm3d.simulate import preset, simulate

SEEDS = (101, 102)
BUBBLES = (10, 40, 160)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", type=float, nargs="+", default=[10, 12, 14, 16, 18, 20, 22])
    parser.add_argument("--frames", type=int, default=200)
    arguments = parser.parse_args()
    config = PipelineConfig()
    base = preset("mouse-brain-15MHz")
    figures: dict[float, list[tuple[float, ...]]] = {level: [] for level in arguments.levels}
    for seed in SEEDS:
        for n_bubbles in BUBBLES:
            scene = base.replace(
                n_frames=arguments.frames,
                seed=seed,
                bubbles=base.bubbles.replace(n_bubbles=n_bubbles),
                noise=base.noise.replace(snr_db=18.0),
                clutter=base.clutter.replace(level_db=25.0),
            )
            simulation = simulate(scene)
            acquisition, truth = simulation.acquisition, Truth(simulation.truth)
            block = acquisition.blocks(arguments.frames)[0]
            frames = filter_block(block, acquisition, config).frames
            for level in arguments.levels:
                settings = config.localize.replace(min_fit_snr_db=level)
                found = localize(frames, acquisition.grid, settings, rate_hz=acquisition.rate_hz)
                tracks = link(found.localizations, acquisition.rate_hz, config.link)
                scores = evaluate(
                    found.localizations,
                    tracks,
                    truth,
                    acquisition.grid,
                    acquisition.wavelength_um,
                    frames=(0, arguments.frames),
                )
                one = scores.localization
                figures[level].append(
                    (
                        one.precision,
                        one.recall,
                        one.jaccard,
                        scores.tracked.jaccard,
                        scores.map.dice,
                    )
                )
    print(machine_line(), end="\n\n")
    header = ["min_fit_snr_db", "precision", "recall", "Jaccard", "Jaccard, tracked", "map Dice"]
    rows = [
        [f"{level:g}", *(f"{value:.3f}" for value in np.mean(values, axis=0))]
        for level, values in figures.items()
    ]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
