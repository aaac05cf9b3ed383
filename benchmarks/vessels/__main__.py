"""Refined vessel maps beside their rivals: ``python -m benchmarks.vessels [complete|superres|segment|scaling]``.

Scenes of seeds that training never draws; every other one is a measured network (``--trees``)
where one is given, none of which was trained on. The truth is the lumen of the vessels that the
full acquisition passes. Rivals choose their threshold on validation scenes, as the network's
card does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.machine import machine_line
from benchmarks.vessels import complete, others, pictures, scaling, segment, superres


def main() -> int:
    """The table that is asked for."""
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
