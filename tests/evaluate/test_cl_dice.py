"""clDice beside its definition on hand-made vessels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.evaluate import cl_dice


def tube(width: int = 3, gap: slice | None = None) -> np.ndarray:
    mask = np.zeros((40, 15, 15), bool)
    low = 7 - width // 2
    mask[3:37, low : low + width, low : low + width] = True
    if gap is not None:
        mask[gap] = False
    return mask


def test_width_counts_little_and_gaps_much():
    assert cl_dice(tube(), tube()) == 1.0
    assert cl_dice(tube(1), tube(5)) == 1.0
    # Dice of a line in a tube is small, of the same tube with a tenth cut out it is .94.
    cut = cl_dice(tube(3, slice(10, 27)), tube(3))
    assert cut == pytest.approx(2 / 3, abs=0.1)  # half of the true line is found, all is right


def test_a_vessel_elsewhere_scores_nothing():
    assert cl_dice(tube(3), np.roll(tube(3), 6, axis=1)) == 0.0
    assert cl_dice(np.zeros((5, 5, 5)), np.ones((5, 5, 5))) == 0.0
    assert np.isnan(cl_dice(np.zeros((5, 5)), np.zeros((5, 5))))
    with pytest.raises(ValueError, match="compared"):
        cl_dice(np.zeros((5, 5)), np.zeros((5, 6)))


def test_a_plane_is_measured_as_a_volume_of_one_voxel():
    plane = tube()[:, 7]
    assert cl_dice(plane[:, None], plane[:, None]) == cl_dice(plane, plane) == 1.0
