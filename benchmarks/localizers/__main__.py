"""BubbleNet and the conventional localizers by concentration: `python -m benchmarks.localizers`

The whole pipeline (filter, PSF, localization, linking, map; no Fourier shell correlation) on the
standard test sets, with frames in memory. Scores are those of `napari_ulm3d.evaluate`: a hit is
closer than a quarter of the wavelength, a border of half a wavelength is excluded; Dice at 25 um.
All localizers use their defaults (that of the Gaussian fit was chosen by `fit_threshold`, the minimum
score of BubbleNet is in the card of its weights, both on validation scenes) and the
same clutter filter. `--choose` shows other cuts and minimum scores on validation scenes:
nothing is chosen on the test sets.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.concentration import LOCALIZERS as CONVENTIONAL
from benchmarks.concentration import SETS, Row, plot, write_json
from benchmarks.machine import machine_line, markdown_table
from benchmarks.scenes import (
    VALIDATION_SEED,
    Scene,
    above,
    make_scene,
    score,
    three_scores,
    validation_scenes,
    with_first,
    with_localizer,
)
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.networks.shipped import find_weights
from napari_ulm3d.networks.weights import read_card
from napari_ulm3d.pipeline import Run, run
from napari_ulm3d.simulate import preset, standard_config
from napari_ulm3d.tables import Localizations

CUTS = (6, 8, 10, 12, 14)
"""First singular components kept, as tested by `--choose`."""
LEAST_SCORES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
LEAST_FIT_DB = (12.0, 14.0, 16.0, 18.0, 20.0)


def run_scene(scene: Scene, config: PipelineConfig) -> tuple[Row, Run]:
    """Run the whole pipeline and score it."""
    began = time.perf_counter()
    done = run(scene.acquisition, config)
    seconds = time.perf_counter() - began
    scores = score(scene, done.localizations, done.tracks)
    n_frames = scene.acquisition.n_frames
    bubbles = len(scene.truth) / n_frames
    name = config.localize.localizer
    return Row(scene.name, name, bubbles, n_frames, seconds, scores), done


def table(rows: list[Row]) -> str:
    """Scores, and ratios of BubbleNet to the best conventional localizer."""
    header = [
        "set", "localizer", "Jaccard", "precision", "recall", "RMSE um", "Dice 25 um",
        "tracked Jaccard", "volumes/s", "Jaccard / best", "RMSE / least",
    ]  # fmt: skip
    lines = []
    for row in rows:
        found, rivals = row.scores.localization, _rivals(rows, row)
        jaccard = max((r.scores.localization.jaccard for r in rivals), default=np.nan)
        rmse = min((r.scores.localization.rmse_um for r in rivals), default=np.nan)
        lines.append(
            [
                row.set_name,
                row.localizer,
                f"{found.jaccard:.3f}",
                f"{found.precision:.3f}",
                f"{found.recall:.3f}",
                f"{found.rmse_um:.1f}",
                f"{row.scores.map.dice:.3f}",
                f"{row.scores.tracked.jaccard:.3f}",
                f"{row.volumes_per_s:.1f}",
                f"{found.jaccard / jaccard:.2f}",
                f"{found.rmse_um / rmse:.2f}",
            ]
        )
    return markdown_table(header, lines)


def _rivals(rows: list[Row], row: Row) -> list[Row]:
    return [r for r in rows if r.set_name == row.set_name and r.localizer in CONVENTIONAL]


def compare(options: argparse.Namespace, config: PipelineConfig) -> list[Row]:
    """The rows of the table: every set and localizer."""
    rows = []
    for name in options.sets:
        settings = standard_config(name, options.sample)
        if options.frames is not None:
            settings = settings.replace(n_frames=options.frames)
        scene = make_scene(settings)
        for localizer in options.localizers:
            row, _ = run_scene(scene, with_localizer(config, localizer))
            rows.append(row)
            found = row.scores.localization
            print(
                f"{scene.name} {localizer}: Jaccard {found.jaccard:.3f}, RMSE {found.rmse_um:.1f} um, "
                f"Dice {row.scores.map.dice:.3f}, {row.volumes_per_s:.1f} volumes/s",
                flush=True,
            )
    return rows


def warm_up(localizers: list[str], config: PipelineConfig) -> None:
    """Trigger compilation and loading on a few frames."""
    base = preset("mouse-brain-15MHz")
    scene = make_scene(base.replace(n_frames=40, seed=VALIDATION_SEED - 1))
    for localizer in localizers:
        run(scene.acquisition, with_localizer(config, localizer))


def choose(options: argparse.Namespace, config: PipelineConfig) -> str:
    """Validation scenes with 10, 40 and 160 bubbles, by cut and minimum score: Jaccard index of the
    localizations and of tracked positions, and Dice."""
    scenes = validation_scenes(options.frames or 200)
    lines = []
    for first in options.cuts:
        cut = with_first(config, first)
        network = with_localizer(cut, "network")
        low = network.replace(network=network.network.replace(min_score=LEAST_SCORES[0]))
        found = [run_scene(scene, low)[1].localizations for scene in scenes]
        for least in LEAST_SCORES:
            kept = [above(part, least) for part in found]
            lines.append([str(first), f"network, {least:g}", *_scored(scenes, kept, config)])
        for level in LEAST_FIT_DB:
            fit = cut.replace(localize=cut.localize.replace(min_fit_snr_db=level))
            kept = [run_scene(scene, fit)[1].localizations for scene in scenes]
            lines.append([str(first), f"gaussian, {level:g} dB", *_scored(scenes, kept, config)])
        print(f"first component {first}: done", flush=True)
    return markdown_table(
        [
            "first component",
            "settings",
            "Jaccard 10, 40, 160",
            "mean",
            "tracked",
            "mean",
            "Dice",
            "mean",
        ],
        lines,
    )


def _scored(scenes: list[Scene], found: list[Localizations], config: PipelineConfig) -> list[str]:
    cells = []
    for column in three_scores(scenes, found, config.link):
        cells += [" ".join(f"{value:.3f}" for value in column), f"{column.mean():.3f}"]
    return cells


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", help="of BubbleNet: a file or a name (default: shipped)")
    parser.add_argument("--first", type=int, help="first singular component kept, for all")
    parser.add_argument("--min-score", type=float, help="(default: as the weights' card says)")
    parser.add_argument("--frames", type=int, help="frames of each set (default: its own, 400)")
    parser.add_argument("--sample", type=int, default=0, help="sample of each set")
    parser.add_argument("--sets", nargs="+", default=list(SETS), help="standard sets")
    parser.add_argument("--localizers", nargs="+", default=[*CONVENTIONAL, "network"])
    parser.add_argument("--choose", action="store_true", help="try cuts on validation scenes")
    parser.add_argument("--cuts", type=int, nargs="+", default=list(CUTS), help="for --choose")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE"
    )
    parser.add_argument("--plot", type=Path, help="picture to write")
    parser.add_argument("--json", type=Path, help="file for all scores")
    options = parser.parse_args(arguments)
    config = PipelineConfig().with_settings(["maps.fsc=false", *options.settings])
    network = config.network.replace(weights=options.weights, min_score=options.min_score)
    config = config.replace(network=network)
    if options.first is not None:
        config = with_first(config, options.first)

    print(machine_line("torch", "scipy"))
    if "network" in options.localizers or options.choose:
        path = find_weights(options.weights, "bubblenet")
        card = read_card(path)
        least = options.min_score
        least = card.scores.get("min_score") if least is None else least
        print(
            f"Weights: {path.name}, {card.steps} steps; least score {least}. {' '.join(card.notes)}"
        )
    print(
        f"Components kept: {config.clutter.svd_range}. Settings: {' '.join(options.settings) or 'defaults'}.\n"
    )
    if options.choose:
        print(f"\n{choose(options, config)}")
        return
    warm_up(options.localizers, config)
    rows = compare(options, config)
    print(f"\n{table(rows)}")
    if options.plot:
        plot(rows, options.plot)
    if options.json:
        write_json(rows, options.json)


if __name__ == "__main__":
    main()
