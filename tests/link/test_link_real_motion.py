"""Linking with the motion of real microbubbles: published tracks, separated and relinked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from benchmarks.linkers.methods import ours, trackpy
from benchmarks.linkers.real import laid_over, read_tracks, thinned
from benchmarks.linkers.scenes import Scene
from benchmarks.linkers.scoring import score
from napari_ulm3d.link.chains import chain_labels


@pytest.mark.parametrize("every", [1, 2, 4])
def test_published_tracks_are_found_again(crops: Path, every: int) -> None:
    """At 1,000, 500 and 250 frames per second, hardly any link joins two bubbles."""
    cells = scipy.io.loadmat(crops / "mouse_brain_tracks.mat")["tracks"][:, 0]
    assert len(cells) == 60
    rows = np.concatenate([np.column_stack([cell[:, :4], np.full(len(cell), k)])
                           for k, cell in enumerate(cells)])  # fmt: skip
    rows = rows[rows[:, 3] % every == 0]
    rows = rows[np.argsort(rows[:, 3], kind="stable")]
    position, frame, bubble = rows[:, :3], rows[:, 3].astype(int) // every, rows[:, 4].astype(int)
    step = 3.0 * every  # pixels between frames; the fastest go 2 to 3 at 1,000 Hz
    label = chain_labels(frame, position, [step, step])
    assert label.shape == frame.shape
    right = wrong = 0
    for chain in np.unique(label):
        inside = bubble[label == chain]
        right += int((inside[1:] == inside[:-1]).sum())
        wrong += int((inside[1:] != inside[:-1]).sum())
    true_links = len(rows) - np.unique(bubble).size
    assert right > 0.98 * true_links
    assert wrong < 0.02 * true_links


def test_real_bubbles_at_250_hz_are_linked_as_well_as_by_trackpy(crops: Path) -> None:
    """Sixty parts of the recording at once, so that bubbles meet; neither linker is without errors."""
    pytest.importorskip("trackpy")
    crowd = thinned(laid_over(read_tracks(crops / "mouse_brain_tracks.mat"), 100), 4)
    scene = Scene("real", extent_um=(200.0, 0.0, 350.0), rate_hz=250.0, max_speed_mm_s=2.0)
    own, rival = (
        score(crowd, ours(scene, crowd), apart=1),
        score(crowd, trackpy(scene, crowd), apart=1),
    )
    assert all(0.8 < value < 1.0 for value in rival)
    assert own[0] >= rival[0]
    assert own[1] >= rival[1]
