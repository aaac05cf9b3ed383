"""Motion of the tissue in Clutter & PSF, by keyboard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import add, choose, dock, idle
from scipy.ndimage import fourier_shift, gaussian_filter

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import MotionConfig
from napari_ulm3d.motion import estimate_motion, m_mode
from napari_ulm3d.plugin.session import session_of

SPACING = (100.0, 150.0, 150.0)


def breathing_tissue(n_frames: int = 40) -> Acquisition:
    """A speckle image that moves along z by up to one voxel, as a whole."""
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.normal(size=(24, 16, 16, 2)), (1.2, 1.2, 1.2, 0)) @ [1, 1j]
    spectrum = np.fft.fftn(image)
    shifts = np.sin(np.arange(n_frames) / 6.0)
    frames = np.stack([np.fft.ifftn(fourier_shift(spectrum, (s, 0, 0))) for s in shifts])
    frames += 0.01 * (rng.normal(size=(*frames.shape, 2)) @ [1, 1j])
    return Acquisition.from_array(frames.astype(np.complex64), SPACING, 200.0, wavelength_um=200.0)


def test_motion_is_shown_before_a_run(viewer: Any, qtbot: Any) -> None:
    acquisition = breathing_tissue()
    add(viewer, acquisition)
    session = session_of(viewer)
    session.change("load", frames_per_block=20)
    session.change("psf", carrier="none", source="analytic")
    panel = dock(viewer, "Clutter & PSF")
    idle(qtbot, panel)
    box = panel.motion
    assert box.curves.isHidden()
    assert box.picture.isHidden()

    choose(box.form.controls["method"], "rigid")
    idle(qtbot, panel)
    assert session.config.motion.method == "rigid"
    frames = acquisition.read(0, 20)
    motion = estimate_motion(frames, SPACING, 200.0, session.config.motion)
    np.testing.assert_allclose(box.curves.curves[0].y, motion.displacement_um[:, 0], atol=1e-3)
    assert f"corrected {motion.correlation.mean():.3f}" in box.words.text()
    assert not box.picture.isHidden()
    assert box.picture.pixmap().width() > 200
    first = box.curves.curves[0].y.copy()

    viewer.dims.set_current_step(0, 30)  # the next block
    idle(qtbot, panel)
    assert box.curves.curves[0].x[0] == pytest.approx(20 / 200)
    assert not np.allclose(box.curves.curves[0].y, first)

    choose(box.form.controls["method"], "auto")
    idle(qtbot, panel)
    assert "Deformation" in box.words.text()
    assert "auto would choose: rigid" in box.words.text()
    assert box.curves.curves[-1].dashed

    choose(box.form.controls["method"], "none")
    idle(qtbot, panel)
    assert box.curves.isHidden()
    assert box.words.isHidden()


def test_a_line_that_follows_the_tissue_shows_stripes() -> None:
    frames = breathing_tissue().read(0, 40)
    motion = estimate_motion(frames, SPACING, 200.0, MotionConfig(method="rigid"))
    before, after = m_mode(frames, SPACING), m_mode(frames, SPACING, motion)
    assert before.shape == after.shape == (24, 40)
    np.testing.assert_allclose(before, np.abs(frames[:, :, 8, 8]).T, rtol=1e-5)
    assert after[4:-4].std(axis=1).mean() < 0.4 * before[4:-4].std(axis=1).mean()
