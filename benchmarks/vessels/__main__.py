"""Refined vessel maps and their rivals: ``python -m benchmarks.vessels [complete|superres|segment|scaling]``.

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
from benchmarks.vessels import complete, others, pictures, scaling, segment, superres


def main() -> int:
    """Print the requested table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "what",
        nargs="?",
        default="complete",
        choices=("complete", "superres", "segment", "scaling", "pictures", "others"),
    )
    parser.add_argument("--weights", type=Path, help="Weights; none: the included ones.")
    parser.add_argument("--trees", nargs="*", default=[], help="Networks never trained on.")
    parser.add_argument("--scenes", type=int, default=8, help="Test scenes.")
    parser.add_argument("--sides", type=int, nargs="*", default=[64, 128, 256, 512])
    parser.add_argument("--extent-um", type=float, help="Scaling: one cube, finer and finer.")
    parser.add_argument("--stacks", type=Path, help="Others: the folder of the images and masks.")
    parser.add_argument("--out", type=Path, default=Path("."), help="Folder of the pictures.")
    options = parser.parse_args()
    print(machine_line("torch", "scikit-image"))
    weights = None if options.weights is None else str(options.weights)
    if options.what == "scaling":
        scaling.table(options.sides, weights, options.extent_um)
    elif options.what == "others":
        others.table(options.stacks, weights)
    elif options.what == "pictures":
        pictures.draw(options.out, weights)
    else:
        task = {"complete": complete, "superres": superres, "segment": segment}[options.what]
        task.table(options.scenes, options.trees, weights)
    return 0


if __name__ == "__main__":
    sys.exit(main())
