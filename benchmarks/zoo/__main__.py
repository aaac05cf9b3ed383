"""Make the zoo's acquisitions where they are not there yet, and score the defaults on them.

`python -m benchmarks.zoo` makes what is missing of the scenes to choose by (an hour or more on two
cores, most of it SIMUS) and prints a table; `--made` scores only what is there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import machine_line, markdown_table
from benchmarks.scenes import Scene, score
from benchmarks.zoo.recipes import recipes
from benchmarks.zoo.store import default_cache, is_made, make, read, read_must3d_fine
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run

_HEADER = [
    "scene", "localizer", "precision", "recall", "Jaccard",
    "tracked Jaccard", "error, um", "chance tracks", "volumes/s",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", help="names; all of the split otherwise")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder to keep them")
    parser.add_argument("--made", action="store_true", help="only what is in the cache")
    parser.add_argument("--must3d-fine", type=Path, help="folder of that acquisition's files")
    parser.add_argument("--localizers", nargs="+", default=["gaussian", "network"])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    print(machine_line("pymust"), end="\n\n", flush=True)
    config = PipelineConfig().with_settings([*arguments.settings, "maps.fsc=false"])
    rows = [
        row
        for scene in _scenes(arguments)
        for localizer in arguments.localizers
        for row in [_row(scene, localizer, config)]
    ]
    print(markdown_table(_HEADER, rows))


def _scenes(arguments: argparse.Namespace) -> Iterator[Scene]:
    for recipe in recipes(arguments.split, arguments.scenes):
        if arguments.made and not is_made(recipe, arguments.cache):
            continue
        seconds = make(recipe, arguments.cache)
        if seconds:
            print(f"made {recipe.name} in {seconds:.0f} s", flush=True)
        yield read(recipe, arguments.cache)
    if arguments.must3d_fine is not None:
        yield read_must3d_fine(arguments.must3d_fine)


def _row(scene: Scene, localizer: str, config: PipelineConfig) -> list[str]:
    chosen = config.replace(localize=config.localize.replace(localizer=localizer).model_dump())
    began = time.perf_counter()
    result = run(scene.acquisition, chosen)
    seconds = time.perf_counter() - began
    scores = score(scene, result.localizations, result.tracks)
    found, tracked = scores.localization, scores.tracked
    share = result.report.chance_share
    return [
        scene.name, localizer,
        f"{found.precision:.3f}", f"{found.recall:.3f}", f"{found.jaccard:.3f}",
        f"{tracked.jaccard:.3f}", f"{found.rmse_um:.1f}",
        "-" if share is None else f"{100 * share:.0f} %",
        f"{scene.acquisition.n_frames / seconds:.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
