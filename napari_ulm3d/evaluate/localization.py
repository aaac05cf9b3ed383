"""Scores of localization: precision, recall, Jaccard index, error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.evaluate.config import Tolerances
from napari_ulm3d.evaluate.pairing import match, resolved_axes
from napari_ulm3d.evaluate.truth import Truth
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["LocalizationScores", "score_localizations"]

Triple = tuple[float, float, float]
_NOTHING: Triple = (np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class LocalizationScores:
    """Quality of localization; ratios without a denominator are NaN.

    Attributes
    ----------
    n_truth, n_found
        True positions (bubbles times frames) and found positions that count.
    n_truth_margin, n_found_margin
        Positions excluded because they lie in the margin or are paired with a bubble there.
    true_positives, false_negatives, false_positives
        n_truth = true_positives + false_negatives, n_found = true_positives + false_positives.
    precision, recall, jaccard
        TP / (TP + FP), TP / (TP + FN), TP / (TP + FP + FN).
    n_pairs
        Pairs closer than the pairing distance, including hits.
    rmse_um
        Root mean square distance over all pairs.
    rmse_axis_um, bias_um
        Root mean square and mean of found minus true along z, y, x over all pairs; NaN
        along an axis with a single voxel.
    hit_rmse_um
        Same as `rmse_um`, over the hits only.
    """

    n_truth: int
    n_found: int
    n_truth_margin: int
    n_found_margin: int
    true_positives: int
    false_negatives: int
    false_positives: int
    precision: float
    recall: float
    jaccard: float
    n_pairs: int
    rmse_um: float
    rmse_axis_um: Triple
    bias_um: Triple
    hit_rmse_um: float


def score_localizations(
    found: Localizations | Tracks, truth: Truth, grid: Grid, tolerances: Tolerances
) -> LocalizationScores:
    """Score found positions against the ground truth as in PALA, in 3-D.

    Definitions (Heiles et al., Nat. Biomed. Eng. 2022, and its released pairing code):
    in every frame, found and true positions are paired one to one, closer than
    `pair_um` (half a wavelength). A pair closer than `hit_um` (a quarter) is a true
    positive. Every other bubble is a false negative, every other localization a false
    positive. **A pair between the two distances therefore counts as both** a false negative
    and a false positive, and it contributes to the errors (`rmse_um`, `bias_um`), which
    are computed over all pairs. Both distances are strict: a localization exactly a quarter of
    a wavelength away is not a hit. Counts are summed over all frames before ratios are
    computed.

    There are two differences: the pairing is optimal (see `pairing.optimal_pairs`) instead of
    greedy, and a margin along the border is excluded (see `pairing.match`).

    Parameters
    ----------
    found
        Localizations; or tracks, to score the positions that remain after linking.
    truth
        True positions in all scored frames.
    grid
        Field of view.
    tolerances
        Distances in micrometres.
    """
    matching = match(found.frames, found.positions_um, truth, grid, tolerances)
    counted, truth_counted = matching.counted, matching.truth_counted
    paired = counted & (matching.truth_row >= 0)
    distance = matching.distance_um[paired]
    hit = distance < tolerances.hit_um

    n_truth, n_found = int(truth_counted.sum()), int(counted.sum())
    positives = int(hit.sum())
    errors = found.positions_um[paired] - truth.positions_um[matching.truth_row[paired]]
    return LocalizationScores(
        n_truth=n_truth,
        n_found=n_found,
        n_truth_margin=len(truth) - n_truth,
        n_found_margin=len(found) - n_found,
        true_positives=positives,
        false_negatives=n_truth - positives,
        false_positives=n_found - positives,
        precision=ratio(positives, n_found),
        recall=ratio(positives, n_truth),
        jaccard=ratio(positives, n_truth + n_found - positives),
        n_pairs=distance.size,
        rmse_um=root_mean_square(distance),
        rmse_axis_um=_by_axis(
            np.sqrt(np.mean(errors**2, axis=0)) if errors.size else _NOTHING, grid
        ),
        bias_um=_by_axis(np.mean(errors, axis=0) if errors.size else _NOTHING, grid),
        hit_rmse_um=root_mean_square(distance[hit]),
    )


def ratio(part: float, whole: float) -> float:
    """part / whole; NaN if whole is zero."""
    return part / whole if whole else float("nan")


def root_mean_square(values: np.ndarray) -> float:
    """Root mean square; NaN for an empty array."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else float("nan")


def _by_axis(values: np.ndarray | Triple, grid: Grid) -> Triple:
    axes = resolved_axes(grid)
    z, y, x = (float(values[k]) if k in axes else float("nan") for k in range(3))
    return (z, y, x)
