"""The point-spread function of the simulated images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate.config import PsfModelConfig
from napari_ulm3d.simulate.imaging.measured import MeasuredImage, measured_image

__all__ = ["ImagePsf"]


@dataclass(frozen=True)
class ImagePsf:
    """Image of a bubble at r_b, evaluated at r, for an amplitude of 1::

        h(r) = g_z(z - z_b) l_y(y - y_b) l_x(x - x_b) exp(+i q 4 pi (z - z_b) / wavelength)
        g_a(d) = exp(-4 ln 2 (d / w_a)^2)
        l_a(d) = g_a(d) + s [g_a(d - o w_a) + g_a(d + o w_a)]

    with the full widths at half maximum w_a (along y and x they grow with depth), the level
    s and the distance o of the side lobes, and the fraction q of the two-way phase (1, or
    less if oblique echoes lower the axial frequency). The Gaussian magnitude is the
    usual model in ULM (Heiles et al., Nat. Biomed. Eng. 2022).

    With a measured image (`config.image`), widths and phase are those of the image.

    Parameters
    ----------
    config
        Widths and side lobes.
    grid
        The widths are as configured at the depth of its top border.
    wavelength_um
        Wavelength in the tissue.
    """

    config: PsfModelConfig
    grid: Grid
    wavelength_um: float

    @cached_property
    def measured(self) -> MeasuredImage | None:
        """The measured image; None: the Gaussian.

        Raises
        ------
        ConfigError
            There is no such image, or it does not match the grid.
        """
        if self.config.image is None:
            return None
        image = measured_image(self.config.image)
        image.check(self.grid)
        return image

    @property
    def phase_per_voxel(self) -> float:
        """Two-way carrier phase between adjacent voxels along z, radians."""
        if self.measured is not None:
            mean = float(self.measured.slope[..., 0].mean())
            return mean * self.grid.spacing_um[0] / self.wavelength_um
        return self.config.carrier * 4 * np.pi * self.grid.spacing_um[0] / self.wavelength_um

    @property
    def side_level(self) -> float:
        """Magnitude of the side lobes relative to the peak; 0 if there are none."""
        level = self.config.side_lobe_db
        return 0.0 if level is None else float(10.0 ** (level / 20))

    def fwhm_um(self, depth_um: ArrayLike) -> NDArray[np.float64]:
        """Widths (n, 3) z, y, x of bubbles at z = `depth_um` (n,), micrometres."""
        z = np.atleast_1d(np.asarray(depth_um, np.float64))
        top = self.grid.origin_um[0] - self.grid.spacing_um[0] / 2
        if self.measured is not None:
            extent = self.grid.spacing_um[0] * self.grid.shape[0]
            measured = self.measured.fwhm_at((z - top) / extent) * self.wavelength_um
            if self.grid.shape[1] == 1:
                measured[:, 1] = self.config.fwhm_um[1]
            return measured
        growth = 1 + self.config.widening_per_mm * np.maximum(z - top, 0.0) / 1000
        widths = np.tile(np.asarray(self.config.fwhm_um), (z.size, 1))
        widths[:, 1:] *= growth[:, None]
        return widths

    def fwhm_voxels(self, depth_um: ArrayLike) -> NDArray[np.float64]:
        """As `fwhm_um`, in voxels."""
        return self.fwhm_um(depth_um) / np.asarray(self.grid.spacing_um)

    def beyond_plane(self, index_y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gaussian weight of bubbles at voxel indices (n,) along y: less beside a plane."""
        if self.grid.shape[1] > 1:
            return np.ones(len(index_y))
        offset = index_y * self.grid.spacing_um[1] / self.config.fwhm_um[1]
        return np.asarray(np.exp(-4 * np.log(2) * offset**2))
