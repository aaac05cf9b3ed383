"""Figures of a test scene, and of a mouse brain map thinned to a tenth of its counts, before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.vessels import mouse
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
# A part of the whole map, 1.5 mm wide.
_PART = (slice(560, 800), slice(560, 800))


def draw(out: Path, weights: str | None, mice: Path | None = None) -> None:
    """Write refined_scene.png and refined_mouse.png; with whole maps, also refined_mouse_whole.png."""
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
    if mice is not None:
        _whole_mouse(out / "refined_mouse_whole.png", mice, weights)


def _whole_mouse(path: Path, folder: Path, weights: str | None) -> None:
    """A whole map from a tenth of its counts, and a part of it: what was added, and whether it is so."""
    counts = mouse.counts_of(folder / mouse.TEST)
    thin = mouse.thinned(counts, 0.1)
    refined, _ = mouse.completed(thin, weights)
    added, kept = (m.dense()[:, 0] > 0 for m in (refined.added(), refined.mask()))
    whole = counts > 0

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(13, 9), constrained_layout=True)
    for row, part in zip(axes, ((slice(None),) * 2, _PART), strict=True):
        for axis, image, title in zip(
            row,
            (
                _grey(thin[part]),
                _judged(thin[part], added[part], kept[part], whole[part]),
                _grey(counts[part]),
            ),
            (
                "a tenth of the counts",
                "completed: added, in the whole map (green) or not (magenta); removed (blue)",
                "the whole map",
            ),
            strict=True,
        ):
            axis.imshow(image, cmap="gray", interpolation="antialiased", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9)
            axis.set_axis_off()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _grey(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.clip(np.log1p(counts) / np.log1p(np.percentile(counts, 99.5)), 0, 1)


def _judged(
    thin: NDArray[np.int64],
    added: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    whole: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(z, x, 3) colours of a completed map."""
    image = np.repeat(_grey(thin)[..., None], 3, axis=-1)
    image[(thin > 0) & ~kept] = (0.25, 0.35, 0.9)
    image[added & whole] = (0.2, 0.8, 0.3)
    image[added & ~whole] = (1.0, 0.1, 0.8)
    return image


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
