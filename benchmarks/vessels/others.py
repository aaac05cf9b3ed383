"""Segmentation of other laboratories' image stacks, compared with the masks supplied with them.

The network was trained on density maps of simulated tracks only, so this tests how well it
generalizes. Intensities start at 0; voxels are 10 um wide.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.vessels.rivals import RIVALS
from benchmarks.vessels.segment import precision_curve
from napari_ulm3d.refinement import refine
from napari_ulm3d.refinement.sources import image_map

__all__ = ["table"]

# File names: one stack and its mask; an archive of many stacks with their masks.
_LIVER = ("Raw_liver_1.tiff", "merge_2layers.npy")
_CROPS = "odt_testing.npy"
_EDGE_UM = (10.0, 10.0, 10.0)


def table(folder: Path, weights: str | None) -> None:
    """Print precision at a recall of .9 and average precision for each method and data set."""
    crops = np.load(folder / _CROPS, allow_pickle=False)
    liver = tifffile.imread(folder / _LIVER[0]).astype(np.float32)
    sets = {
        "optical-coherence angiography, 10 crops": [(c[0], c[1] > 0) for c in crops],
        "light-sheet stack of a liver": [(liver, np.load(folder / _LIVER[1]) > 0)],
    }
    for name, pairs in sets.items():
        filled = np.mean([mask.mean() for _, mask in pairs])
        print(f"\n{name}: {filled:.1%} of the voxels are vessel by their mask")
        print("\n| | precision at recall .9 | average precision |\n| --- | ---: | ---: |")
        true = np.concatenate([mask.ravel() for _, mask in pairs])
        images = [image - image.min() for image, _ in pairs]
        for label, response, _ in RIVALS[:4] + RIVALS[-1:]:
            _row(label, [response(_levels(image)) for image in images], true)
        _row("network, density alone", [_network(image, weights) for image in images], true)


def _row(label: str, scores: list[NDArray[np.floating]], true: NDArray[np.bool_]) -> None:
    at, average = precision_curve(np.concatenate([s.ravel() for s in scores]), true)
    print(f"| {label} | {at:.3f} | {average:.3f} |", flush=True)


def _levels(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """Intensities, scaled to counts of the magnitude that the rivals expect."""
    return image * (10.0 / max(float(np.percentile(image, 99.5)), 1e-12))


def _network(image: NDArray[np.floating], weights: str | None) -> NDArray[np.floating]:
    source = image_map(image, _EDGE_UM, (0.0, 0.0, 0.0), "image")
    return refine(source, "segment", weights=weights, least=1e-9).probability.dense()
