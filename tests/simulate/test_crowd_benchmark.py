"""The benchmark's own crowds: bubbles at the true positions, reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.crowds.scenes import SHAPE, SPACING_UM, _Image, crowd_scene


def test_a_bubble_has_its_stated_width_and_side_lobes():
    image = _Image(np.random.default_rng(0))
    centre = SPACING_UM * [20, 18, 16]
    step = np.linspace(-600, 600, 1201)

    def profile(axis: int) -> np.ndarray:
        # The bubble is moved in steps of a micrometre past the central voxel.
        places = centre + step[:, None] * np.eye(3)[axis]
        return np.array([abs(image.bubbles(p[None], np.ones(1))[20, 18, 16]) for p in places])

    for axis, width in ((0, 146), (1, 297), (2, 297)):
        seen = profile(axis)
        wide = (seen >= 0.5 * seen.max()).sum()
        assert wide == pytest.approx(width, rel=0.05)
        if axis:
            lobes = seen[np.abs(step) > 1.2 * width]
            assert -30 < 20 * np.log10(lobes.max()) < -24


def test_scenes_are_crowded_and_reproducible():
    scene, again = crowd_scene(40, 3, 2), crowd_scene(40, 3, 2)
    frames = scene.acquisition.read(0, 2)
    assert frames.shape == (2, *SHAPE)
    np.testing.assert_array_equal(frames, again.acquisition.read(0, 2))
    assert scene.truth.table.equals(again.truth.table)
    assert 20 < len(scene.truth.table) / 2 < 60
    assert scene.acquisition.grid.contains(scene.truth.positions_um).all()
    # Between two frames, a bubble moves according to its velocity.
    table = scene.truth.table.set_index(["bubble_id", "frame"])
    a, b = (table.xs(k, level="frame") for k in (0, 1))
    stay = a.index.intersection(b.index)
    assert len(stay) > 10
    names, speeds = ["z_um", "y_um", "x_um"], ["vz_mm_s", "vy_mm_s", "vx_mm_s"]
    moved = (b.loc[stay, names].to_numpy() - a.loc[stay, names].to_numpy()) * 0.26
    meant = 0.5 * (a.loc[stay, speeds].to_numpy() + b.loc[stay, speeds].to_numpy())
    # Positions are off the spline by up to the trunk's radius, which bends with it.
    assert np.median(np.linalg.norm(moved - meant, axis=1)) < 0.5
