"""Generate the acquisitions of the zoo if they are missing, and score the defaults on them.

`python -m benchmarks.zoo` generates missing development scenes (an hour or more on two
cores, most of it for SIMUS) and prints a table: for every scene the defaults, the best settings found
by a search with the ground truth (cut, threshold, speed limit, widths, patch), and ulmtools and
trackpy, each at its best. `--made` scores only existing scenes; `--defaults` omits searches and
rivals.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import machine_line, markdown_table
from benchmarks.scenes import Scene, with_localizer
from benchmarks.zoo.bound import Isolated, isolated_bubbles
from benchmarks.zoo.figures import HEADER, Radii, figures
from benchmarks.zoo.prepared import Prepared
from benchmarks.zoo.recipes import recipes
from benchmarks.zoo.rivals import RIVALS, best_of
from benchmarks.zoo.search import search
from benchmarks.zoo.store import default_cache, is_made, make, read, read_must3d_fine
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run

_CUTS_AFTER_THE_FIRST = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", help="names; all of the split otherwise")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder to keep them")
    parser.add_argument("--made", action="store_true", help="only what is in the cache")
    parser.add_argument("--must3d-fine", type=Path, help="folder of that acquisition's files")
    parser.add_argument("--localizers", nargs="+", default=["gaussian", "network"])
    parser.add_argument("--defaults", action="store_true", help="no search, no rivals")
    parser.add_argument("--rivals", nargs="*", choices=tuple(RIVALS), default=list(RIVALS))
    parser.add_argument("--match-um", type=float, help="hits within this, and no margin")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    arguments = parser.parse_args()
    print(machine_line("pymust", "ulmtools", "trackpy"), end="\n\n", flush=True)
    fast = ["maps.fsc=false", "maps.confidence=none"]
    config = PipelineConfig().with_settings([*arguments.settings, *fast])
    radii = Radii(arguments.match_um)
    rows = []
    for scene in _scenes(arguments):
        for row in _rows(scene, config, radii, arguments):
            print(" ".join(row), flush=True)
            rows.append(row)
    print("\n" + markdown_table(HEADER, rows))


def _scenes(arguments: argparse.Namespace) -> Iterator[Scene]:
    only_must = arguments.must3d_fine is not None and not arguments.scenes
    for recipe in [] if only_must else recipes(arguments.split, arguments.scenes):
        if arguments.made and not is_made(recipe, arguments.cache):
            continue
        seconds = make(recipe, arguments.cache)
        if seconds:
            print(f"made {recipe.name} in {seconds:.0f} s", flush=True)
        yield read(recipe, arguments.cache)
    if arguments.must3d_fine is not None:
        yield read_must3d_fine(arguments.must3d_fine)


def _rows(
    scene: Scene, config: PipelineConfig, radii: Radii, arguments: argparse.Namespace
) -> Iterator[list[str]]:
    """Rows of a scene: defaults and best settings of each localizer, then the rivals."""
    prepared = Prepared.of(scene, config)
    isolated = isolated_bubbles(scene, prepared)
    cuts: tuple[int, ...] = ()
    for localizer in arguments.localizers:
        chosen = with_localizer(config, localizer)
        yield _row(scene, f"{localizer}, defaults", chosen, (), isolated, radii)
        if arguments.defaults:
            continue
        best = search(scene, chosen, prepared, radii, cuts or None)
        # The following localizers use only the best cuts of the first.
        cuts = cuts or best.cuts[:_CUTS_AFTER_THE_FIRST]
        yield _row(scene, f"{localizer}, best settings", chosen, best.settings, isolated, radii)
    if arguments.defaults:
        return
    for rival in arguments.rivals:
        result = best_of(rival, scene, prepared, radii, cuts)
        scores = figures(scene, result.found, result.tracks, result.seconds, isolated, radii)
        yield scores.row(scene.name, f"{rival}, best settings", result.settings)


def _row(
    scene: Scene,
    what: str,
    config: PipelineConfig,
    settings: tuple[str, ...],
    isolated: Isolated,
    radii: Radii,
) -> list[str]:
    began = time.perf_counter()
    result = run(scene.acquisition, config.with_settings(list(settings)))
    seconds = time.perf_counter() - began
    scores = figures(scene, result.localizations, result.tracks, seconds, isolated, radii)
    return scores.row(scene.name, what, " ".join(settings))


if __name__ == "__main__":
    main()
