"""The tables of the skull: how well holes are filled, and what that costs at full resolution."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.vessels.cost import KINDS
from benchmarks.vessels.skull.rivals import closed, mirror_image, symmetry_plane
from benchmarks.vessels.skull.scores import hole_scores
from benchmarks.vessels.skull.task import BLOCKS, RADII, SkullTask, settings
from benchmarks.vessels.skull.volume import (
    EDGE_MM,
    LATERAL,
    Hole,
    Mask,
    Side,
    block_means,
    draw_holes,
    read_skull,
    without,
)
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.refinement import refine
from napari_ulm3d.train.loop import train
from napari_ulm3d.volumes import VesselMap

__all__ = ["costs", "table", "train_side"]

Fill = Callable[[Mask], Mask]
# Between the sides, no hole and no crop of either.
_GAP_VOXELS = 6
_TEST, _CHOICE = 9_000_700_000, 8_700_100_000
_APART = 12.0
_CUBES = (48, 64, 96)
_AROUND = 4  # voxels around a hole in which false bone counts as well


@dataclass(frozen=True)
class _Size:
    """Holes of one size: their number, the voxels around one that a method sees, what is tried."""

    radii: tuple[float, float]
    count: int
    margin: int
    closings: tuple[float, ...]
    blocks: tuple[int, ...]


_SIZES = (
    _Size(RADII, 24, 14, (3.0, 5.0, 8.0, 12.0), (1, 2)),
    _Size((20.0, 40.0), 8, 32, (8.0, 16.0, 30.0), (2, 4)),
)


def train_side(
    path: Path, out: Path, steps: int, minutes: float | None, blocks: Sequence[int] = BLOCKS
) -> None:
    """Train on the first side, or go on with a training; the weights are `out`/skull.safetensors.

    `blocks` are the edges of the voxels of crops, in voxels of the skull.
    """
    skull = read_skull(path)
    config = settings(steps)
    task = SkullTask(config, skull, _sides(skull)[0], tuple(blocks))
    resume = (out / "checkpoint.safetensors").exists()
    train(config, out, resume=resume, max_minutes=minutes, task=task)


def table(path: Path, weights: str | None, blocks: Sequence[int] = BLOCKS) -> None:
    """Print the scores of the holes of the side that was not trained on."""
    skull = read_skull(path)
    sides = _sides(skull)
    print(f"\n{skull.sum():,} of {skull.size:,} voxels are bone; sides {sides[0]} and {sides[1]}.")
    for size in _SIZES:
        tried = tuple(n for n in size.blocks if n in blocks)
        _rows(skull, sides, replace(size, blocks=tried), weights)


def _rows(skull: Mask, sides: tuple[Side, Side], size: _Size, weights: str | None) -> None:
    """The table for holes of one size; of each group, the best on the first side is tested."""
    radii, count, margin = size.radii, size.count, size.margin
    groups: list[dict[str, Fill]] = [
        {f"closing, {r * EDGE_MM:g} mm": lambda m, r=r: closed(m, r) for r in size.closings}
    ]
    if weights is not None and size.blocks:
        groups.append(
            {
                f"network, voxels of {n * EDGE_MM:g} mm": lambda m, n=n: _completed(m, weights, n)
                for n in size.blocks
            }
        )
    tuning = _holes(skull, sides[0], _CHOICE, radii, count)
    holes = _holes(skull, sides[1], _TEST, radii, count)
    rows: dict[str, list[NDArray[np.float64]]] = {}
    for group in groups:
        score = {
            name: float(np.mean([_local(skull, h, fill, margin)[0] for h in tuning]))
            for name, fill in group.items()
        }
        print("\nDice on the first side: " + ", ".join(f"{n} {v:.3f}" for n, v in score.items()))
        best = max(score, key=lambda name: score[name])
        rows[best] = [_local(skull, hole, group[best], margin) for hole in holes]
    cut = without(skull, holes)
    mirrored = mirror_image(cut, symmetry_plane(cut))
    rows["mirror of the other side"] = [_scores(skull, cut, mirrored, hole) for hole in holes]
    low, high = (EDGE_MM * r for r in radii)
    print(f"\n| {len(holes)} holes of {low:g} to {high:g} mm | Dice | boundary Dice | "
          "95 % Hausdorff, mm | Dice, hole given | worst | best |\n| --- |" + " ---: |" * 6)  # fmt: skip
    for name, values in rows.items():
        dice, border, far, given = np.mean(values, axis=0)
        ends = [f(v[0] for v in values) for f in (min, max)]
        print(f"| {name} | {dice:.3f} | {border:.3f} | {far:.2f} | {given:.3f} | {ends[0]:.3f} | "
              f"{ends[1]:.3f} |", flush=True)  # fmt: skip


def _completed(mask: Mask, weights: str, block: int) -> Mask:
    """The network's completion of a part of the skull, on voxels `block` times as large."""
    coarse = block_means(mask, block) >= 0.5
    grid = Grid(coarse.shape, (1000 * block * EDGE_MM,) * 3)
    source = VesselMap.from_dense("density", coarse, grid, "tracks")
    refined = refine(source, "complete", weights=weights, device="cpu")
    probability = refined.probability.dense()
    if block > 1:
        fine = {"order": 1, "mode": "grid-constant", "grid_mode": True}
        probability = ndimage.zoom(probability, block, **fine)
    z, y, x = mask.shape
    return np.asarray(probability[:z, :y, :x] >= refined.least)


def _sides(skull: Mask) -> tuple[Side, Side]:
    """Left and right of the middle of the bone."""
    others = tuple(axis for axis in range(3) if axis != LATERAL)
    held = np.flatnonzero(skull.any(others))
    middle = int(held[0] + held[-1] + 1) // 2
    return (0, middle - _GAP_VOXELS), (middle + _GAP_VOXELS, skull.shape[LATERAL])


def _holes(
    skull: Mask, side: Side, seed: int, radii: tuple[float, float], count: int
) -> list[Hole]:
    """Holes of a skull that do not touch."""
    drawn = draw_holes(skull, side, radii, seed, _APART)
    return [hole for _, hole in zip(range(count), drawn, strict=False)]


def _part(skull: Mask, hole: Hole, margin: int) -> tuple[slice, ...]:
    wide = Hole(hole.centre, hole.radius + margin)
    return wide.ball(skull.shape)[0]


def _local(skull: Mask, hole: Hole, fill: Fill, margin: int) -> NDArray[np.float64]:
    """Scores of a method that needs only the surroundings of the hole."""
    where = _part(skull, hole, margin)
    cut = without(skull, [hole])
    filled = np.zeros_like(skull)
    filled[where] = fill(cut[where])
    return _scores(skull, cut, filled, hole)


def _scores(skull: Mask, cut: Mask, filled: Mask, hole: Hole) -> NDArray[np.float64]:
    """(4,) scores of what a method adds in and around a hole, and Dice if the hole is given."""
    where = _part(skull, hole, _AROUND)
    _, near = Hole(hole.centre, hole.radius + _AROUND).ball(skull.shape)
    inner, ball = hole.ball(skull.shape)
    missing = skull & ~cut
    given = filled[inner] & ~cut[inner] & ball, missing[inner] & ball
    found = filled[where] & ~cut[where] & near
    scores = hole_scores(found, missing[where] & near)
    return np.append(scores, 2 * (given[0] & given[1]).sum() / (given[0].sum() + given[1].sum()))


def costs(path: Path, weights: str | None) -> None:
    """Print the cost of a forward pass and a training step on cubes of the skull, and on all of it.

    What does not fit on the whole is extrapolated by the number of voxels; the dense network always is.
    """
    print(
        "\n| part | bone voxels | what | processor seconds | MB |\n| --- | ---: | --- | ---: | ---: |"
    )
    whole = read_skull(path)
    for what in KINDS:
        rows = []
        dense = what.startswith("dense")
        for side in _CUBES:
            row = _cost(path, what, weights, side)
            if row is None:
                print(f"| {side}^3 | | {what} | did not fit | |", flush=True)
                continue
            rows.append(row)
            print(f"| {side}^3 | {row[0]:,} | {what} | {row[1]:.1f} | {row[2]:.0f} |", flush=True)
        if not rows:
            continue
        last = rows[-1]
        times = whole.size / last[3] if dense else whole.sum() / last[0]
        seconds, mb = times * last[1], times * last[2]
        if not dense:
            row = _cost(path, what, weights, 0)
            if row is not None:
                print(f"| whole | {row[0]:,} | {what} | {row[1]:.1f} | {row[2]:.0f} |", flush=True)
                continue
        print(
            f"| whole | {whole.sum():,} | {what} (by its law) | {seconds:.0f} | {mb:.0f} |",
            flush=True,
        )


def _cost(path: Path, what: str, weights: str | None, side: int) -> list[float] | None:
    """Bone voxels, processor seconds, MB, voxels; of a cube, or of the whole (0)."""
    module = "benchmarks.vessels.skull.cost"
    line = [sys.executable, "-m", module, str(path), what, weights or "", str(side)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return None if done.returncode else json.loads(done.stdout.splitlines()[-1])
