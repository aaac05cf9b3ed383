"""Quality measures reported by a run, compared with the truth: `python -m benchmarks.evidence`

False tracks: predicted (`link.chance_tracks`) and true shares, on scenes of `benchmarks.crowds` with 10, 40 and 160
bubbles (imaged, and as true positions with random false ones added) and, with `--must FOLDER`, on an acquisition of
PyMUST's SIMUS3. Coverage: 90 % intervals of maps, compared with the mean of other acquisitions of the same vessels.
Cost: processor time relative to that of the conventional pipeline.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.crowds.scenes import NUMBERS, crowd_scene
from benchmarks.evidence.cost import costs
from benchmarks.evidence.coverage import coverage
from benchmarks.evidence.false_tracks import FalseTracks, of_images, with_noise
from benchmarks.machine import machine_line, markdown_table
from benchmarks.zoo.store import read_must3d_fine

_SEED = 2001  # not used for any choice
_FRAMES = 200
_NOISE = (10.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0)  # false localizations per frame
_RARE = 0.03  # below this share, a few false tracks decide


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--must", type=Path, help="the folder must3d_fine of the zoo")
    parser.add_argument("--only", choices=("tracks", "coverage", "cost"), help="a part alone")
    given = parser.parse_args()
    print(machine_line("scipy"), end="\n\n", flush=True)
    if given.only in (None, "tracks"):
        _tracks(given.must)
    if given.only in (None, "coverage"):
        _coverage()
    if given.only in (None, "cost"):
        _cost()


def _tracks(must: Path | None) -> None:
    rows: list[FalseTracks] = []
    for number in NUMBERS:
        scene = crowd_scene(number, _SEED, _FRAMES)
        for per_frame in _NOISE:
            rows += with_noise(scene, per_frame, _SEED)
        rows += of_images(scene)
    if must is not None:
        rows += of_images(read_must3d_fine(must))
    cells = [
        [row.scene, str(row.length), str(row.tracks), f"{100 * row.true:.1f} %",
         f"{100 * row.predicted:.1f} %", f"{100 * row.permuted:.1f} %",
         f"{row.factor:.2f}" if max(row.true, row.predicted) > _RARE else f"both under {100 * _RARE:.0f} %"]
        for row in rows
    ]  # fmt: skip
    header = [
        "scene",
        "at least, frames",
        "tracks",
        "truly false",
        "predicted",
        "permuted",
        "factor",
    ]
    print(markdown_table(header, cells), end="\n\n", flush=True)


def _coverage() -> None:
    cells = []
    for smoothing_um in (0.0, 100.0):
        for seed in (_SEED, _SEED + 1):
            share = coverage(seed, draws=60, judged=24, smoothing_um=smoothing_um)
            cells.append(
                [f"{smoothing_um:g}", str(seed), f"{share['voxels']:.0f}",
                 f"{100 * share['density']:.1f} %", f"{100 * share['speed']:.1f} %"]
            )  # fmt: skip
    header = ["smoothing, um", "seed", "voxels", "density within", "speed within"]
    print(markdown_table(header, cells), end="\n\n", flush=True)


def _cost() -> None:
    spent = costs(n_bubbles=40, frames=260, repeats=2, seed=_SEED)
    pipeline = spent["conventional pipeline"]
    cells = [
        [name, f"{seconds:.2f}", f"{100 * seconds / pipeline:.1f} %"]
        for name, seconds in spent.items()
    ]
    total = sum(spent.values()) - pipeline
    cells.append(["evidence in all", f"{total:.2f}", f"{100 * total / pipeline:.1f} %"])
    print(markdown_table(["520 frames, 40 bubbles", "processor s", "of the pipeline"], cells))


if __name__ == "__main__":
    main()
