"""The tables of Rauby et al. with our own data and results: `python -m benchmarks.paper --cache DIR`.

Reproduction of Rauby et al. (arXiv 2402.09359; IEEE TIP 2025): Dice coefficient of the trajectories
by concentration of bubbles, for conventional ULM, the dense and the sparse network in 2-D, and
conventional ULM and the sparse network in 3-D; all sparsification strategies; and deep
supervision, pruning and cascaded training on and off. The published weights and 3-D data are not
available, so all networks are trained here on simulated scenes, and none of the numbers is from
the publication.

Stage 1 trains the networks that the cache lacks, each for at most --minutes-each; running it again
continues the training. Stage 2 (--evaluate, or when all are trained) takes the best or the last
weights of each training, whichever are better on more validation scenes than a training can
afford, and scores them on the sets paper2d-N and paper3d-N: each sample's output is binarized,
all samples of a scene are summed, and one Dice coefficient is computed. Scores are cached
too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine_line
from benchmarks.paper.choice import choose_weights, trained_weights
from benchmarks.paper.scores import Predict, Score, TestScene, conventional, pooled, scene_of
from benchmarks.paper.tables import (
    Row,
    concentration_table,
    cost_table,
    plot_concentration,
    plot_strategies,
)
from benchmarks.paper.variants import MASK, SCALES, Scale, Variant, variants
from napari_ulm3d.device import resolve_device
from napari_ulm3d.networks.weights import load_network, read_card, weights_hash
from napari_ulm3d.system.atomic import atomic_path
from napari_ulm3d.train.checkpoint import read_progress
from napari_ulm3d.train.loop import CHECKPOINT, train
from napari_ulm3d.train.trajectory.config import TrajectoryTrainConfig
from napari_ulm3d.train.trajectory.task import predicted_volume
from napari_ulm3d.train.trajectory.windows import keeper, scene_windows

GROUPS = {
    "2d": "Concentration, 2-D",
    "3d": "Concentration, 3-D",
    "strategy": "From dense to sparse, 2-D",
    "ablation": "Deep supervision, pruning and cascaded training, 2-D",
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder of trainings and scores")
    parser.add_argument("--scale", choices=SCALES, default="small", help="sizes (full: for a GPU)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try everything")
    parser.add_argument("--minutes-each", type=float, help="longest training of one network, now")
    parser.add_argument("--minutes", type=float, help="begin no training after so long")
    parser.add_argument("--steps", type=float, default=1.0, help="times the scale's steps")
    parser.add_argument("--tables", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="train and score these networks")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--evaluate", action="store_true", help="score what is trained so far")
    parser.add_argument("--list", action="store_true", help="name the networks and their steps")
    parser.add_argument("--plot", type=Path, help="folder for the figures")
    options = parser.parse_args(arguments)
    scale = _scaled(SCALES["quick" if options.quick else options.scale], options.steps)
    wanted = _wanted(variants(scale, options.cache, options.device), options)
    if options.list:
        for variant in wanted:
            print(
                f"{variant.name}: {_steps_done(variant, options.cache)} of {variant.config.steps} steps"
            )
        return
    whole = True
    if not options.evaluate:
        whole = train_all(wanted, options.cache, options.minutes_each, options.minutes)
    if not whole:
        print("Not all networks are trained. Run again to go on, or with --evaluate to score them.")
        return
    print(machine_line("torch"), flush=True)
    rows = score_all(wanted, scale, options)
    for group, title in GROUPS.items():
        if rows.get(group):
            table = cost_table if group == "strategy" else concentration_table
            print(f"\n## {title}\n\n{table(rows[group])}", flush=True)
    if options.plot:
        _plots(rows, options.plot)


def train_all(
    wanted: Sequence[Variant], cache: Path, minutes_each: float | None, minutes: float | None
) -> bool:
    """Train the networks that are not trained yet; return whether all are trained."""
    began, whole = time.perf_counter(), True
    mask_done = (cache / MASK / f"{MASK}.safetensors").is_file() and not any(
        variant.name == MASK and _steps_done(variant, cache) < variant.config.steps
        for variant in wanted
    )
    for variant in wanted:
        done, steps = _steps_done(variant, cache), variant.config.steps
        config = variant.config
        learned = isinstance(config, TrajectoryTrainConfig) and config.data.strategy == "learned"
        if learned and not mask_done:
            print(f"{variant.name}: waits until the mask network is trained", flush=True)
        elif done < steps and (minutes is None or time.perf_counter() - began < 60 * minutes):
            out = cache / variant.name
            print(f"{variant.name}: from step {done} of {steps}", flush=True)
            state = train(
                variant.config,
                out,
                resume=(out / CHECKPOINT).is_file(),
                max_minutes=minutes_each,
                say=lambda _: None,
                task=variant.task(),
            )
            done = state.step
            print(
                f"{variant.name}: step {done} after {state.seconds / 60:.1f} min, best validation "
                f"{state.best_score:.3f}",
                flush=True,
            )
        whole &= done >= steps
        mask_done |= variant.name == MASK and done >= steps
    return whole


def score_all(
    wanted: list[Variant], scale: Scale, options: argparse.Namespace
) -> dict[str, list[Row]]:
    """Rows of every table; cached scores are not computed again."""
    rows: dict[str, list[Row]] = {group: [] for group in GROUPS}
    store = _Scores(options.cache / "scores.json", scale)
    device = resolve_device(options.device)
    for axes in (2, 3):
        group = f"{axes}d"
        own = [v for v in wanted if v.group and _axes(v) == axes and _trained(v, options.cache)]
        counts = scale.bubbles_3d if axes == 3 else scale.bubbles_2d
        if not own:
            continue
        weights = {v.name: choose_weights(v, options.cache, device) for v in own}
        trajectory = [v.config for v in own if isinstance(v.config, TrajectoryTrainConfig)]
        up = trajectory[0].network.upsampling
        methods: dict[str, tuple[str, Predict]] = {
            f"ulm-{axes}d-x{up}": ("", conventional(axes, up))
        }
        for variant in own:
            methods[variant.name] = (
                weights_hash(weights[variant.name]),
                _network(variant, weights[variant.name], device),
            )
        scores: dict[str, dict[int, Score]] = {name: {} for name in methods}
        for n in counts:
            missing = [m for m, (key, _) in methods.items() if store.get(m, n, key) is None]
            scenes = (
                [scene_of(axes, n, s, scale, up) for s in range(scale.test_scenes)]
                if missing
                else []
            )
            for name, (key, predict) in methods.items():
                score = store.get(name, n, key)
                if score is None:
                    score = pooled(predict, scenes)
                    store.put(name, n, key, score)
                    print(f"{name}, {n} bubbles: Dice {score.dice:.3f}", flush=True)
                scores[name][n] = score
        rows[group].append(Row("conventional ULM", scores[next(iter(methods))]))
        for variant in own:
            card = read_card(weights[variant.name])
            of_steps, seconds = read_progress(options.cache / variant.name / CHECKPOINT)
            for table in variant.group:
                row = Row(
                    _title(variant, table),
                    scores[variant.name],
                    card.steps or 0,
                    of_steps,
                    seconds / 60,
                )
                rows[table].append(row)
    return {group: found if len(found) else [] for group, found in rows.items()}


class _Scores:
    """Scores by method, bubbles, weights and scale, in a JSON file."""

    def __init__(self, path: Path, scale: Scale) -> None:
        self.path = path
        self.scale = json.dumps(asdict(scale), sort_keys=True)
        self.values: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}

    def get(self, name: str, bubbles: int, key: str) -> Score | None:
        found = self.values.get(f"{name} {bubbles}")
        if found is None or found["weights"] != key or found["scale"] != self.scale:
            return None
        return Score(**found["score"])

    def put(self, name: str, bubbles: int, key: str, score: Score) -> None:
        self.values[f"{name} {bubbles}"] = {
            "weights": key,
            "scale": self.scale,
            "score": asdict(score),
        }
        with atomic_path(self.path) as partial:
            partial.write_text(json.dumps(self.values, indent=1) + "\n")


def _network(variant: Variant, weights: Path, device: str) -> Predict:
    """A trained network as a method: voxels chosen as in its training, output binarized at 1/2."""
    config = variant.config
    assert isinstance(config, TrajectoryTrainConfig)
    network, _ = load_network(weights, device)
    keep = keeper(config.data)

    def predict(test: TestScene) -> list[tuple[NDArray[np.bool_], float]]:
        windows = scene_windows(
            test.scene,
            test.starts,
            test.size,
            upsampling=config.network.upsampling,
            keep=keep,
            threshold=config.validation.threshold,
        )
        return [
            (predicted_volume(network, window, device) > 0.5, window.frames.occupancy)
            for window in windows
        ]

    return predict


def _wanted(made: list[Variant], options: argparse.Namespace) -> list[Variant]:
    if options.only:
        unknown = set(options.only) - {variant.name for variant in made}
        if unknown:
            raise SystemExit(f"There is no network {', '.join(sorted(unknown))}; see --list.")
        return [variant for variant in made if variant.name in options.only]
    tables = set(options.tables)
    masked = "strategy" in tables
    return [v for v in made if tables & set(v.group) or (not v.group and masked)]


def _title(variant: Variant, table: str) -> str:
    base = variant.group[0] == "strategy" and table != "strategy"
    if not base:
        return variant.title
    return "sparse" if table == "2d" else "deep supervision, pruning"


def _axes(variant: Variant) -> int:
    config = variant.config
    return config.network.space_axes if isinstance(config, TrajectoryTrainConfig) else 0


def _trained(variant: Variant, cache: Path) -> bool:
    return trained_weights(variant, cache).is_file()


def _steps_done(variant: Variant, cache: Path) -> int:
    """Number of steps of the cached checkpoint."""
    return read_progress(cache / variant.name / CHECKPOINT)[0]


def _scaled(scale: Scale, times: float) -> Scale:
    def steps(n: int) -> int:
        return max(1, round(n * times))

    return replace(
        scale,
        steps_2d=steps(scale.steps_2d),
        steps_3d=steps(scale.steps_3d),
        steps_mask=steps(scale.steps_mask),
    )


def _plots(rows: dict[str, list[Row]], folder: Path) -> None:
    panels = {name: rows[key] for name, key in (("2-D", "2d"), ("3-D", "3d")) if rows.get(key)}
    if panels:
        plot_concentration(panels, folder / "paper_dice.png")
    if rows.get("strategy"):
        plot_strategies(rows["strategy"], folder / "paper_strategies.png")


if __name__ == "__main__":
    main()
