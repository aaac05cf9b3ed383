"""Figures of a test scene, and of a mouse brain map thinned to a tenth of its counts, before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.vessels.complete import coarse
from benchmarks.vessels.scenes import TEST, scenes
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.refinement import refine
from napari_ulm3d.refinement.refined import RefinedMap
from napari_ulm3d.volumes import VesselMap

__all__ = ["draw"]

_MOUSE = Path(__file__).parents[2] / "tests" / "data" / "mouse_brain_ulm_map.mat"
_MOUSE_UM = 6.25
_SLAB = 10


def draw(out: Path, weights: str | None) -> None:
    """Write refined_scene.png and refined_mouse.png."""
    scene = next(s for s in scenes(TEST + 3, 1, (), (0.1,)))
    refined = refine(scene.maps, weights=weights)
    _figure(out / "refined_scene.png", refined, scene.true, "lumens of the full acquisition")
    whole, thin = mouse_maps()
    refined = refine(thin, weights=weights)
    true = whole.dense() > 0
    _figure(out / "refined_mouse.png", refined, true, "the whole map")
    measured = refined.measured.dense() > 0
    added = refined.mask().dense() > 0
    shape = measured.shape
    if shape == true.shape:
        for name, found in (("a tenth of the counts", measured), ("completed", added)):
            a, b = (_flat_blocks(m) for m in (found, true))
            print(f"mouse, {name}: Dice {2 * (a & b).sum() / (a.sum() + b.sum()):.3f} "
                  f"of 12.5 um pixels with the whole map")  # fmt: skip


def mouse_maps(seed: int = 0, share: float = 0.1) -> tuple[VesselMap, VesselMap]:
    """A crop of a measured density map, and a random share of its counts."""
    import scipy.io

    stored = scipy.io.loadmat(_MOUSE, squeeze_me=True)["ULM_final"][()]["mapCounter"]
    counts = np.asarray(stored, np.int64)[:, None]
    grid = Grid(counts.shape, (_MOUSE_UM, 100.0, _MOUSE_UM))
    drawn = np.random.default_rng(seed).binomial(counts, share)
    return tuple(VesselMap.from_dense("density", d, grid, "tracks") for d in (counts, drawn))


def _flat_blocks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return coarse(np.repeat(mask, 2, axis=1))


def _figure(path: Path, refined: RefinedMap, true: NDArray[np.bool_], title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # Show only a slab of a volume, since in the whole the vessels would overlap.
    slab = slice(None)
    if true.shape[1] > _SLAB:
        sums = np.convolve(true.sum((0, 2)), np.ones(_SLAB), "valid")
        slab = slice(int(sums.argmax()), int(sums.argmax()) + _SLAB)
    measured = refined.measured.dense()[:, slab]
    probability = (refined.probability.dense() * (refined.mask().dense() > 0))[:, slab]
    true = true[:, slab]
    grey = np.clip(np.log1p(measured).max(1) / np.log1p(max(measured.max(), 1)), 0, 1)
    orange = probability.max(1)
    both = np.stack([np.maximum(grey, orange), np.maximum(grey, 0.55 * orange), grey], -1)
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), constrained_layout=True)
    for axis, image, name in zip(
        axes,
        (grey, both, true.max(1).astype(float)),
        ("measured: a tenth of the acquisition", "completed: predicted in orange", title),
        strict=True,
    ):
        axis.imshow(image, cmap="gray", interpolation="nearest", vmin=0, vmax=1)
        axis.set_title(name)
        axis.set_axis_off()
    figure.savefig(path, dpi=80)
    plt.close(figure)
