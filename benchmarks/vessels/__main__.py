"""Refined vessel maps and their rivals: ``python -m benchmarks.vessels [complete|superres|segment|scaling|skull|...]``.

Scenes have seeds not used in training; every other one is a measured network (``--trees``)
if any is given, none of which was used in training. The truth is the lumen of the vessels visited in the
full acquisition. Thresholds of rivals are chosen on validation scenes, like that of the
network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.machine import machine_line
from benchmarks.vessels import (
    complete,
    mouse,
    oracle,
    others,
    pictures,
    scales,
    scaling,
    segment,
    superres,
)
from benchmarks.vessels.dense_rival import equal
from benchmarks.vessels.skull import table as skull

_TASKS = {"complete": complete, "superres": superres, "segment": segment, "oracle": oracle}
_OTHERS = ("equal", "scaling", "scales", "pictures", "others", "mouse", "skull")


def main() -> int:
    """Print the requested table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "what",
        nargs="?",
        default="complete",
        choices=(*_TASKS, *_OTHERS),
    )
    parser.add_argument("--weights", type=Path, help="Weights; none: the included ones.")
    parser.add_argument("--trees", nargs="*", default=[], help="Networks never trained on.")
    parser.add_argument("--scenes", type=int, default=8, help="Test scenes.")
    parser.add_argument("--sides", type=int, nargs="*", default=[64, 128, 256, 512])
    parser.add_argument("--extent-um", type=float, help="Scaling: one cube, finer and finer.")
    parser.add_argument("--stacks", type=Path, help="Others: the folder of the images and masks.")
    parser.add_argument("--out", type=Path, default=Path("."), help="Folder of the pictures.")
    parser.add_argument("--skull", type=Path, help="Skull: the .mat file of its mask.")
    parser.add_argument("--mice", type=Path, help="Mouse, pictures: the folder of whole 2-D maps.")
    parser.add_argument("--train", type=Path, help="Skull, equal: train in this folder.")
    parser.add_argument("--steps", type=int, default=1500, help="Skull, equal: steps.")
    parser.add_argument(
        "--minutes", type=float, help="Skull, equal: stop a training after this time."
    )
    parser.add_argument(
        "--blocks", type=int, nargs="*", default=[1, 2, 4], help="Skull: edges of the voxels."
    )
    parser.add_argument("--cost", action="store_true", help="Skull: memory and time, too.")
    options = parser.parse_args()
    print(machine_line("torch", "scikit-image"))
    weights = None if options.weights is None else str(options.weights)
    if options.what == "scaling":
        scaling.table(options.sides, weights, options.extent_um)
    elif options.what == "equal":
        equal.table(options.train, options.steps, options.scenes, options.trees, options.minutes)
    elif options.what == "others":
        others.table(options.stacks, weights)
    elif options.what == "pictures":
        pictures.draw(options.out, weights, options.mice)
    elif options.what == "scales":
        scales.table(options.out, weights)
    elif options.what == "mouse":
        mouse.table(options.mice, weights)
    elif options.what == "skull" and options.train is not None:
        skull.train_side(
            options.skull, options.train, options.steps, options.minutes, options.blocks
        )
    elif options.what == "skull":
        skull.table(options.skull, weights, options.blocks)
        if options.cost:
            skull.costs(options.skull, weights)
    else:
        _TASKS[options.what].table(options.scenes, options.trees, weights)
    return 0


if __name__ == "__main__":
    sys.exit(main())
