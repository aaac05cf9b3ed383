"""Super-resolution scale by scale, against interpolation: 64 to 128 to 256, and 128 to 256 to 512 voxels a side."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.vessels.complete import coarse
from benchmarks.vessels.scenes import DATA, TEST, VALIDATION, Scene, scenes
from benchmarks.vessels.superres import ORDERS, THRESHOLDS, boundary_and_dice, interpolated
from napari_ulm3d.refinement import refine

__all__ = ["table"]

_FIELD_UM = 1792.0
_SIDES, _FACTORS = (64, 128), (2, 4)
_RIVALS = ("nearest", "trilinear", "Lanczos")
_SLAB_UM = 56.0
_LARGE = DATA.replace(
    field_um=(_FIELD_UM, _FIELD_UM),
    spacing_um=(150.0, 150.0),
    positions=(300_000.0, 300_000.0),
    bubbles=(12.0, 12.0),
)

# Dice and boundary Dice by method, and by voxels a side and factor.
_Scores = dict[str, dict[tuple[int, int], tuple[float, float]]]


def table(out: Path, weights: str | None) -> None:
    """Print the scores of the network and of interpolation at each scale, and draw both figures.

    Writes refined_scales.png, slabs of the maps, and refined_scales_scores.png.
    """
    scores = _Scores()
    for side in _SIDES:
        _rivals(side, scores)
    _maps(out, weights, scores)
    _chart(out, scores)


def _maps(out: Path, weights: str | None, scores: _Scores) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(14, 7.4), constrained_layout=True)
    titles = ("measured", "predicted, by 2", "predicted, by 4", "lumens")
    for row, side in zip(axes, _SIDES, strict=True):
        scene = _scene(TEST, side)
        images = [np.log1p(scene.maps["density"].dense())]
        images += [_predicted(scene, factor, weights, scores) for factor in _FACTORS]
        images.append(scene.true)
        sides = (side, 2 * side, 4 * side, 4 * side)
        for axis, image, title, n in zip(row, images, titles, sides, strict=True):
            axis.imshow(_slab(image), cmap="gray", interpolation="nearest")
            axis.set_title(f"{title}: {n} voxels of {_FIELD_UM / n:g} um a side", fontsize=9)
            axis.set_axis_off()
    figure.savefig(out / "refined_scales.png", dpi=75)
    plt.close(figure)


def _chart(out: Path, scores: _Scores) -> None:
    """Dice and boundary Dice of all methods at each scale."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, constrained_layout=True)
    for k, (axis, title) in enumerate(zip(axes, ("Dice", "boundary Dice, 1 voxel"), strict=True)):
        for j, (method, found) in enumerate(scores.items()):
            values = [found[scale][k] for scale in sorted(found)]
            places = np.arange(len(values)) + (j - (len(scores) - 1) / 2) / (len(scores) + 1)
            axis.bar(places, values, 1 / (len(scores) + 1), label=method)
        labels = [f"{side} to {side * factor}" for side, factor in sorted(scores["network"])]
        axis.set_xticks(np.arange(len(labels)), labels)
        axis.set_xlabel("voxels a side")
        axis.set_title(title)
        axis.set_ylim(0, 1)
        axis.grid(axis="y", alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(out / "refined_scales_scores.png", dpi=90)
    plt.close(figure)


def _rivals(side: int, scores: _Scores) -> None:
    """Scores of interpolation, with the threshold of a validation scene, and with the best one on the scene itself.

    `scores` receives the latter: no other threshold gives a higher Dice.
    """
    held, test = _scene(VALIDATION, side), _scene(TEST, side)
    for factor in _FACTORS:
        true = _true(test, factor)
        for name in _RIVALS:
            found = interpolated(test.maps["density"].dense(), factor, ORDERS[name])
            for where, scene in (("a validation scene", held), ("this scene", test)):
                least = _best_threshold(scene, factor, name)
                pair = boundary_and_dice([(true, found >= least)])
                print(f"{side} to {factor * side} voxels a side, {name} from {least:g}, best on {where}: Dice "
                      f"{pair[0]:.3f}, boundary Dice {pair[1]:.3f}; {(found >= least).sum():,} voxels", flush=True)  # fmt: skip
            scores.setdefault(name, {})[side, factor] = pair


def _best_threshold(scene: Scene, factor: int, name: str) -> float:
    """The one with the highest Dice."""
    finer = interpolated(scene.maps["density"].dense(), factor, ORDERS[name])
    true = _true(scene, factor)
    at, n = np.sort(finer[true]), int(true.sum())

    def score(least: float) -> float:
        both = at.size - np.searchsorted(at, least)
        return float(2 * both / (n + np.count_nonzero(finer >= least)))

    return float(max(THRESHOLDS, key=score))


def _scene(first: int, side: int) -> Scene:
    return scenes(first + 70, 1, (), (1.0,), side, _FIELD_UM / side, 2, _LARGE)[0]


def _true(scene: Scene, factor: int) -> NDArray[np.bool_]:
    return scene.true if factor == 4 else coarse(scene.true)


def _predicted(
    scene: Scene, factor: int, weights: str | None, scores: _Scores
) -> NDArray[np.bool_]:
    began = time.process_time()
    refined = refine(scene.maps, "superres", factor=factor, weights=weights, device="cpu")
    took = time.process_time() - began
    found = refined.mask().dense() > 0
    true = _true(scene, factor)
    side = scene.maps["density"].shape[0]
    overlap, border = boundary_and_dice([(true, found)])
    scores.setdefault("network", {})[side, factor] = (overlap, border)
    print(f"{side} to {found.shape[0]} voxels a side: Dice {overlap:.3f}, "
          f"boundary Dice {border:.3f}; {found.sum():,} voxels, {true.sum():,} in the lumens; "
          f"{took:.0f} s of one processor", flush=True)  # fmt: skip
    return found


def _slab(volume: NDArray[np.generic]) -> NDArray[np.float64]:
    """Maximum along y of a slab around the middle."""
    n = volume.shape[1]
    half = max(1, round(_SLAB_UM / (_FIELD_UM / n) / 2))
    return np.asarray(volume[:, n // 2 - half : n // 2 + half].max(axis=1), float)
