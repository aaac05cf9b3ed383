"""Completion of whole 2-D density maps of a mouse's brain from a random share of their counts.

Two scans of the same animal, a week apart: thresholds are chosen on the first, and the second is
reported. A share of the counts of each pixel is drawn at random, since the tracks were not published. The
reference is the whole map, in pixels of twice the edge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import filters

from benchmarks.vessels.rivals import closed
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.evaluate import dice
from napari_ulm3d.refinement import refine
from napari_ulm3d.refinement.refined import RefinedMap
from napari_ulm3d.volumes import VesselMap

__all__ = ["CHOICE", "MOUSE_UM", "TEST", "as_map", "completed", "counts_of", "table", "thinned"]

MOUSE_UM = 6.25
_THICK_UM = 100.0
CHOICE, TEST = "mouse04week2.mat", "mouse04week3.mat"
SHARES = (0.03, 0.1)
# Of the first scan, a part is enough.
_PART = (slice(400, 1100), slice(400, 1100))
#: Counts of the whole map from which a pixel of twice the edge is a clear vessel.
CLEAR = 16

Image = NDArray[Any]
TRUTHS: dict[str, Callable[[Image], Image]] = {
    "not empty": lambda c: pooled(c) > 0,
    f"clear, at least {CLEAR} counts": lambda c: _sums(c) >= CLEAR,
}


RIVALS: dict[str, Callable[[Image], Image]] = {
    "the map itself": lambda d: d,
    "Gaussian of 6 um": lambda d: ndimage.gaussian_filter(np.log1p(d), 1.0),
    "Gaussian of 12 um": lambda d: ndimage.gaussian_filter(np.log1p(d), 2.0),
    "Gaussian of 25 um": lambda d: ndimage.gaussian_filter(np.log1p(d), 4.0),
    "closing by 1 pixel": closed(1),
    "closing by 2 pixels": closed(2),
    "Frangi filter": lambda d: filters.frangi(
        np.log1p(d), sigmas=(1.5, 2.5, 4.0), black_ridges=False
    ),
}


def counts_of(path: Path) -> NDArray[np.int64]:
    """(z, x) counts of a published map."""
    import scipy.io

    stored = scipy.io.loadmat(path, squeeze_me=True)["ULM_final"][()]["mapCounter"]
    return np.asarray(stored, np.int64)


def thinned(counts: NDArray[np.int64], share: float, seed: int = 0) -> NDArray[np.int64]:
    """A random share of the counts of each pixel."""
    return np.asarray(np.random.default_rng(seed).binomial(counts, share), np.int64)


def as_map(counts: NDArray[np.int64]) -> VesselMap:
    """A plane of one voxel along y."""
    grid = Grid((counts.shape[0], 1, counts.shape[1]), (MOUSE_UM, _THICK_UM, MOUSE_UM))
    return VesselMap.from_dense("density", counts[:, None], grid, "tracks")


def completed(counts: NDArray[np.int64], weights: str | None) -> tuple[RefinedMap, Image]:
    """The refined map, and its probability (z, x)."""
    refined = refine(as_map(counts), weights=weights, device="cpu")
    return refined, refined.probability.dense()[:, 0]


def pooled(image: Image) -> Image:
    """The maximum of blocks of 2 x 2 pixels."""
    z, x = (n // 2 for n in image.shape)
    return np.asarray(image[: 2 * z, : 2 * x].reshape(z, 2, x, 2).max((1, 3)))


def table(folder: Path, weights: str | None) -> None:
    """Print the Dice coefficients, and what becomes of the pixels that the network adds."""
    choice = counts_of(folder / CHOICE)[_PART]
    test = counts_of(folder / TEST)
    scans = {name: (c, {s: thinned(c, s) for s in SHARES}) for name, c in
             (("choice", choice), ("test", test))}  # fmt: skip
    refined = {
        n: {s: completed(t, weights) for s, t in thin.items()} for n, (_, thin) in scans.items()
    }
    responses = {
        name: {n: {s: of(t) for s, t in thin.items()} for n, (_, thin) in scans.items()}
        for name, of in RIVALS.items()
    }
    responses["network, best threshold"] = {
        n: {s: image for s, (_, image) in found.items()} for n, found in refined.items()
    }
    for label, of in TRUTHS.items():
        true = of(test)
        print(
            f"\nPixels of {2 * MOUSE_UM:g} um of the whole map that are {label}: {true.mean():.1%}"
        )
        print(f"| Dice, {label} | " + " | ".join(f"{s:.0%}" for s in SHARES) + " |")
        print("| --- |" + " ---: |" * len(SHARES))
        for name, images in responses.items():
            cells = [
                _chosen(images["choice"][s], of(choice), images["test"][s], true) for s in SHARES
            ]
            print(f"| {name} | " + " | ".join(f"{c:.3f}" for c in cells) + " |", flush=True)
        own = [pooled(r.mask().dense()[:, 0] > 0) for r, _ in refined["test"].values()]
        print("| network, as included | " + " | ".join(f"{dice(o, true):.3f}" for o in own) + " |")
    _changes(test, scans["test"][1], {s: r for s, (r, _) in refined["test"].items()})


def _chosen(seen: Image, known: Image, image: Image, true: Image) -> float:
    """Dice of a response above the threshold that is best on the other scan."""
    seen = pooled(seen)
    levels = np.unique(np.quantile(seen[seen > 0], np.linspace(0, 0.99, 40)))
    least = max(levels, key=lambda t: dice(seen >= t, known))
    return dice(pooled(image) >= least, true)


def _changes(
    test: NDArray[np.int64],
    thin: Mapping[float, NDArray[np.int64]],
    refined: Mapping[float, RefinedMap],
) -> None:
    """Pixels added and removed by the network, and how many of them hold counts in the whole map."""
    whole = test > 0
    print("\n| counts | added | of these in the whole map | not added, though next to a count | of these in the "
          "whole map | measured, but removed | of these clear vessels |\n" + "| ---: " * 7 + "|")  # fmt: skip
    clear = np.kron(_sums(test) >= CLEAR, np.ones((2, 2), bool))
    clear = np.pad(clear, [(0, n - m) for n, m in zip(test.shape, clear.shape, strict=True)])
    for share, each in refined.items():
        added, kept = (m.dense()[:, 0] > 0 for m in (each.added(), each.mask()))
        held = thin[share] > 0
        near = ndimage.binary_dilation(held, np.ones((3, 3))) & ~held & ~added
        gone = held & ~kept
        print(f"| {share:.0%} | {added.sum():,} | {whole[added].mean():.1%} | {near.sum():,} | "
              f"{whole[near].mean():.1%} | {gone.sum():,} of {held.sum():,} | {clear[gone].mean():.1%} |")  # fmt: skip


def _sums(counts: Image) -> Image:
    z, x = (n // 2 for n in counts.shape)
    return np.asarray(counts[: 2 * z, : 2 * x].reshape(z, 2, x, 2).sum((1, 3)))
