"""Segmentation of a noisy map: vessel or noise, and kind of vessel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.vessels.rivals import RIVALS
from benchmarks.vessels.scenes import DATA, TEST, scenes
from napari_ulm3d.refinement import refine

__all__ = ["precision_curve", "table"]

SHARES = (0.1, 0.3, 1.0)
NOISY = DATA.replace(false_share=(0.3, 3.0), upright=True, positions=(15_000.0, 70_000.0))


def table(count: int, trees: Sequence[str], weights: str | None) -> None:
    """Print the precision at a recall of .9, the average precision, and the accuracy of kinds."""
    test = scenes(TEST, count, trees, SHARES, data=NOISY)
    rows = {}
    for name, response, _ in RIVALS:
        rows[name] = [response(s.maps["density"].dense())[_places(s)] for s in test]
    right = known = 0
    for label, names in (("network, density alone", ("density",)), ("network, with speeds", None)):
        rows[label] = []
        for s in test:
            refined = refine(
                {n: s.maps[n] for n in names or s.maps}, "segment", weights=weights, least=1e-9
            )
            rows[label].append(refined.probability.dense()[_places(s)])
            if refined.kind is not None:
                kind = refined.kind.dense()[_places(s)] - 1
                held = s.window.kind >= 0
                right += int((kind[held] == s.window.kind[held]).sum())
                known += int(held.sum())
    true = np.concatenate([s.window.vessel for s in test])
    print(f"\n{true.mean():.1%} of {true.size:,} voxels are vessel.")
    print("| | precision at recall .9 | average precision |\n| --- | ---: | ---: |")
    for name, parts in rows.items():
        precision, average = precision_curve(np.concatenate(parts), true)
        print(f"| {name} | {precision:.3f} | {average:.3f} |")
    print(f"Kinds right, by voxel: {right / max(1, known):.3f} of {known:,}.")


def _places(scene) -> tuple[np.ndarray, ...]:
    return tuple(scene.window.features.index.T)


def precision_curve(score: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Precision at a recall of .9 and average precision; voxels of equal score are grouped."""
    values, inverse = np.unique(-score, return_inverse=True)
    hits = np.bincount(inverse, true, values.size).cumsum()
    found = np.bincount(inverse, minlength=values.size).cumsum()
    precision, recall = hits / found, hits / max(1, true.sum())
    at = precision[recall >= 0.9].max(initial=0.0)
    return float(at), float((precision * np.diff(recall, prepend=0)).sum())
