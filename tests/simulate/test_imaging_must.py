"""Our phase and shape compared with the wave simulator PyMUST."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.simulate.imaging.must import MatrixProbe, full_width_um, must_psf


def test_the_probe_has_its_unused_rows() -> None:
    x, y = MatrixProbe().element_um_xy
    assert np.ptp(x) == pytest.approx(31 * 300)
    assert np.ptp(y) == pytest.approx(34 * 300)
    assert abs(x.mean()) < 1e-9


def test_full_width_of_a_gaussian_is_its_width() -> None:
    at = np.linspace(-300, 300, 301)
    magnitude = np.exp(-4 * np.log(2) * ((at - 11) / 150) ** 2)
    assert full_width_um(at, magnitude) == pytest.approx(150, abs=0.1)
    with pytest.raises(ValueError, match="half"):
        full_width_um(at, np.ones(301))


def test_the_phase_increases_with_depth_by_the_two_way_path() -> None:
    pytest.importorskip("pymust", reason="PyMUST is not installed (extra 'simulate')")
    probe = MatrixProbe(n=12, idle_after=4)
    z = np.arange(-6, 7) * probe.wavelength_um / 16
    image = must_psf(probe, 6000.0, z, 0.0, 0.0)
    assert image[6] == pytest.approx(1.0, abs=1e-5)
    slope = np.polyfit(z, np.unwrap(np.angle(image)), 1)[0]
    # Elements of three wavelengths and oblique echoes lower the mean axial frequency.
    assert 0.8 < slope / (4 * np.pi / probe.wavelength_um) < 1.02
    assert np.abs(image).argmax() == pytest.approx(6, abs=1)
