"""Scores of linking: links, identity switches, fragmentation, recovered bubbles, speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.evaluate.config import EvaluateConfig, Tolerances
from napari_ulm3d.evaluate.localization import ratio, root_mean_square
from napari_ulm3d.evaluate.pairing import match, resolved_axes
from napari_ulm3d.evaluate.truth import Truth
from napari_ulm3d.tables import Tracks

__all__ = ["LinkScores", "score_links", "true_speed_mm_s"]


@dataclass(frozen=True)
class LinkScores:
    """Quality of linking; ratios without a denominator are NaN.

    Attributes
    ----------
    n_tracks, n_links, n_true_links, n_correct_links
        Tracks; links of tracks that count, true links that count, and the links common
        to both.
    link_precision, link_recall
        Correct links divided by the links of tracks, and by the true links.
    switches
        Number of times that a track changes from one bubble to another.
    fragmentation
        Mean number of tracks per bubble, over bubbles with a correct link; 1 is best.
    n_bubbles
        Bubbles that are long enough to be expected.
    recovered
        Fraction of those for which enough links were found.
    speed_bias_mm_s, speed_rmse_mm_s
        Mean and root mean square of track speed minus true speed over paired positions.
    speed_bias_relative, speed_rmse_relative
        The same relative to the mean true speed of these positions.
    """

    n_tracks: int
    n_links: int
    n_true_links: int
    n_correct_links: int
    link_precision: float
    link_recall: float
    switches: int
    fragmentation: float
    n_bubbles: int
    recovered: float
    speed_bias_mm_s: float
    speed_rmse_mm_s: float
    speed_bias_relative: float
    speed_rmse_relative: float


def score_links(
    tracks: Tracks, truth: Truth, grid: Grid, config: EvaluateConfig, tolerances: Tolerances
) -> LinkScores:
    """Score tracks against the bubbles that they follow.

    Smoothed positions of tracks are paired with true positions in the same frame, one to one and
    closer than `pair_um` (see `pairing.match`); this assigns a bubble to every paired position.

    * A link joins two positions of a track, or of a bubble, in consecutive frames. It is
      correct if both ends are paired with the same bubble. A link with an end excluded by the
      margin does not count; an unpaired end in the inner field of view makes it wrong.
    * A switch is a change of bubble between successive paired positions of a track that
      count; unpaired positions in between are ignored.
    * A bubble is expected if at least `min_truth_frames` of its positions count, and
      recovered if correct links, in any tracks, are at least `recovered_fraction` of its
      links.
    * Speeds are compared at every paired position that counts: the table's `speed_mm_s`
      with the magnitude of the true velocity over axes with more than one voxel.
    """
    table = tracks.table.sort_values(["track_id", "frame"], kind="stable", ignore_index=True)
    tracks = Tracks(table)
    matching = match(tracks.frames, tracks.positions_um, truth, grid, tolerances)
    track_id, frame = table["track_id"].to_numpy(), tracks.frames
    paired = matching.counted & (matching.truth_row >= 0)
    bubble = np.full(len(tracks), -1, np.int64)
    known, codes = np.unique(truth.bubble_ids, return_inverse=True)
    bubble[paired] = codes[matching.truth_row[paired]]

    consecutive = (track_id[1:] == track_id[:-1]) & (frame[1:] == frame[:-1] + 1)
    link = consecutive & matching.counted[1:] & matching.counted[:-1]
    correct = link & (bubble[1:] >= 0) & (bubble[1:] == bubble[:-1])
    true_links = _true_links(codes, truth.frames, matching.truth_counted, known.size)
    found_links = np.bincount(bubble[:-1][correct], minlength=known.size)

    seen = np.bincount(codes[matching.truth_counted], minlength=known.size)
    asked = (seen >= config.min_truth_frames) & (true_links > 0)
    recovered = asked & (found_links >= config.recovered_fraction * true_links)
    pieces = np.unique(np.column_stack([bubble[:-1], track_id[:-1]])[correct], axis=0)
    n_followed = np.unique(pieces[:, 0]).size

    owner, sequence = track_id[paired], bubble[paired]
    switches = (owner[1:] == owner[:-1]) & (sequence[1:] != sequence[:-1])
    speed = true_speed_mm_s(truth, grid, _frame_interval_s(tracks))[matching.truth_row[paired]]
    error = table["speed_mm_s"].to_numpy(np.float64)[paired] - speed
    error, speed = error[np.isfinite(speed)], speed[np.isfinite(speed)]
    mean_speed = float(speed.mean()) if speed.size else np.nan
    bias = float(error.mean()) if error.size else np.nan
    rmse = root_mean_square(error)
    n_correct = int(correct.sum())
    return LinkScores(
        n_tracks=tracks.n_tracks,
        n_links=int(link.sum()),
        n_true_links=int(true_links.sum()),
        n_correct_links=n_correct,
        link_precision=ratio(n_correct, int(link.sum())),
        link_recall=ratio(n_correct, int(true_links.sum())),
        switches=int(switches.sum()),
        fragmentation=ratio(len(pieces), n_followed),
        n_bubbles=int(asked.sum()),
        recovered=ratio(int(recovered.sum()), int(asked.sum())),
        speed_bias_mm_s=bias,
        speed_rmse_mm_s=rmse,
        speed_bias_relative=ratio(bias, mean_speed),
        speed_rmse_relative=ratio(rmse, mean_speed),
    )


def true_speed_mm_s(truth: Truth, grid: Grid, interval_s: float = np.nan) -> NDArray[np.float64]:
    """Speed of every true position over the axes resolved by the grid, (n,), mm/s.

    Computed from the true velocities if available, otherwise from differences between
    positions of the bubble in neighbouring frames (central if both exist), with
    `interval_s` seconds between frames; NaN without neighbours.
    """
    axes = resolved_axes(grid)
    velocity = truth.velocities_mm_s
    if velocity is not None:
        return np.linalg.norm(velocity[:, axes], axis=1)
    order = np.lexsort((truth.frames, truth.bubble_ids))
    position = truth.positions_um[order]
    step = np.diff(position, axis=0)
    joined = (np.diff(truth.bubble_ids[order]) == 0) & (np.diff(truth.frames[order]) == 1)
    step[~joined] = 0.0
    total, count = np.zeros_like(position), np.zeros(len(truth))
    total[1:] += step
    total[:-1] += step
    count[1:] += joined
    count[:-1] += joined
    with np.errstate(invalid="ignore", divide="ignore"):
        velocity = total / count[:, None] / interval_s * 1e-3  # um/s to mm/s
    out = np.empty(len(truth))
    out[order] = np.linalg.norm(velocity[:, axes], axis=1)
    return out


def _frame_interval_s(tracks: Tracks) -> float:
    """Time between frames in seconds, from the times of the tracks."""
    table = tracks.table
    if len(table) < 2:
        return float("nan")
    first, last = table["frame"].idxmin(), table["frame"].idxmax()
    frames = table["frame"][last] - table["frame"][first]
    return ratio(float(table["time_s"][last] - table["time_s"][first]), float(frames))


def _true_links(
    bubble: NDArray[np.int64], frame: NDArray[np.int64], counted: NDArray[np.bool_], n: int
) -> NDArray[np.int64]:
    """Number of links of every bubble, (n,): consecutive frames in both of which it counts."""
    order = np.lexsort((frame[counted], bubble[counted]))
    bubble, frame = bubble[counted][order], frame[counted][order]
    joined = (bubble[1:] == bubble[:-1]) & (frame[1:] == frame[:-1] + 1)
    return np.bincount(bubble[1:][joined], minlength=n)
