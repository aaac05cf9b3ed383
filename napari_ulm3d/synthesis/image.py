"""Image of a bubble measured in the data: a Gaussian corrected by Hermite functions.

A joint fit is only as good as the assumed image: anything missing in a Gaussian (side
lobes, a ringing pulse, a curved wavefront) appears beside a bright bubble like another
bubble. Along each axis, the profile is

    h(d) = exp(i w d) sum_n c_n H_n(d / s) exp(-d^2 / 2 s^2)

with polynomials H_n that are orthonormal under exp(-d^2 / s^2) and complex c_n. They represent
asymmetry, tails and phase with a few numbers, smoothly between the voxels (the Gauss-Hermite
series used by van der Marel & Franx, ApJ 407, 525 (1993), for line profiles).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import factorial

import numpy as np
from numpy.polynomial.hermite_e import hermevander
from numpy.typing import NDArray

from napari_ulm3d.filtering import Psf
from napari_ulm3d.synthesis.windows import FINE

__all__ = ["BubbleImage"]

_SIGMA = 1 / np.sqrt(8 * np.log(2))  # standard deviation over full width at half maximum
_RIDGE = 1e-3
_STEP = 1e-3  # in standard deviations, for derivatives


@dataclass(frozen=True)
class BubbleImage:
    """Profiles along z, y, x.

    Attributes
    ----------
    sigma
        (3,) standard deviation of the Gaussian, voxels.
    carrier
        (3,) phase step per voxel, radians.
    coefficients
        (3, n) complex coefficients of the Hermite functions; 1, 0, 0, ... is a Gaussian.
    """

    sigma: NDArray[np.float64]
    carrier: NDArray[np.float64]
    coefficients: NDArray[np.complex128]

    @classmethod
    def gaussian(cls, psf: Psf, order: int = 8) -> BubbleImage:
        """A Gaussian with the PSF's widths and axial carrier, correctable up to an order."""
        coefficients = np.zeros((3, order + 1), np.complex128)
        coefficients[:, 0] = 1
        carrier = np.array([psf.carrier_rad, 0.0, 0.0])
        return cls(np.asarray(psf.fwhm_voxels) * _SIGMA, carrier, coefficients)

    def profile(self, axis: int, distance: NDArray[np.float64]) -> NDArray[np.complex128]:
        """The image along one axis at distances (voxels) from the bubble, with peak 1.

        The bubble's position is that of the best-fitting Gaussian, so that the correction does not
        shift positions.
        """
        at = np.arange(-3.0, 3.001, 0.01) * self.sigma[axis]
        fine = self.functions(axis, at) @ self.coefficients[axis]
        gauss = np.exp(-0.5 * (at / self.sigma[axis]) ** 2)
        centre = at[np.abs(np.convolve(fine, gauss, "same")).argmax()]
        values = self.functions(axis, distance + centre) @ self.coefficients[axis]
        turn = np.exp(1j * self.carrier[axis] * distance)
        return np.asarray(values * turn / np.abs(fine).max())

    def functions(self, axis: int, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """(m, n) Hermite functions at distances, without carrier."""
        u = distance / self.sigma[axis]
        order = self.coefficients.shape[1] - 1
        scale = np.sqrt([factorial(n) for n in range(order + 1)])
        return np.asarray(
            np.exp(-0.5 * u * u)[:, None] * hermevander(np.sqrt(2) * u, order) / scale
        )

    def tables(self, reach: int) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Profiles and their derivatives, (3, n), from -reach to reach voxels, `FINE` per voxel."""
        distance = np.arange(-reach * FINE, reach * FINE + 1) / FINE
        table = np.empty((3, distance.size), np.complex64)
        slope = np.empty_like(table)
        for axis in range(3):
            step = _STEP * self.sigma[axis]
            table[axis] = self.profile(axis, distance)
            ahead, behind = (self.profile(axis, distance + s) for s in (step, -step))
            slope[axis] = (ahead - behind) / (2 * step)
        return table, slope

    def corrected(
        self,
        axis: int,
        distance: NDArray[np.float64],
        lack: NDArray[np.complex128],
        weight: NDArray[np.float64],
    ) -> BubbleImage:
        """Add the missing part of the image along one axis, by weighted least squares.

        Parameters
        ----------
        distance
            (m,) distance from the bubble, voxels.
        lack
            (m,) measured value minus the profile (of peak 1).
        weight
            (m,) weights of the squares.
        """
        at = np.arange(-3.0, 3.001, 0.01) * self.sigma[axis]
        peak = np.abs(self.functions(axis, at) @ self.coefficients[axis]).max()
        basis = self.functions(axis, distance)
        normal = (basis * weight[:, None]).T @ basis
        normal += np.eye(len(normal)) * (_RIDGE * np.trace(normal) / len(normal))
        flat = lack * np.exp(-1j * self.carrier[axis] * distance)
        change = np.linalg.solve(normal, (basis * weight[:, None]).T @ flat)
        coefficients = self.coefficients.copy()
        coefficients[axis] += peak * change
        return replace(self, coefficients=coefficients)
