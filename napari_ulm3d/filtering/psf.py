"""The point-spread function (PSF): the image of one bubble around its centre."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PsfConfig
from napari_ulm3d.errors import ConfigError

__all__ = ["Psf", "analytic_psf", "axial_phase_step", "patch_of"]

Factors = tuple[NDArray[np.complex64], NDArray[np.complex64], NDArray[np.complex64]]


@dataclass(frozen=True)
class Psf:
    """The complex image of a bubble at the centre of a patch.

    Attributes
    ----------
    array
        (pz, py, px) complex64, odd sizes, 1 at the centre. For an envelope, the imaginary
        part is zero.
    fwhm_voxels
        Full width at half maximum of the magnitude along z, y, x, voxels.
    carrier_rad
        Phase step from one voxel to the next deeper one, radians, in (-pi, pi].
    source
        How it was obtained, for the provenance.
    factors
        1-D complex64 profiles along z, y, x, each 1 at its centre, whose outer product is
        `array`; None if it is not separable.
    n_bubbles
        Number of isolated bubbles in the data used for it.
    bright_only
        Envelope: a bubble is always brighter than its surroundings. Over tissue it may be darker.
    """

    array: NDArray[np.complex64]
    fwhm_voxels: tuple[float, float, float]
    carrier_rad: float = 0.0
    source: str = "given"
    factors: Factors | None = None
    n_bubbles: int = 0
    bright_only: bool = False

    def __post_init__(self) -> None:
        array = np.ascontiguousarray(self.array, np.complex64)
        object.__setattr__(self, "array", array)
        if array.ndim != 3 or any(n % 2 == 0 for n in array.shape):
            raise ValueError(f"a PSF needs three axes of odd length, not {array.shape}")
        centre = array[tuple(n // 2 for n in array.shape)]
        if not (np.isfinite(array).all() and abs(centre - 1) < 1e-3):
            raise ValueError(f"a PSF must be finite and 1 at its centre, not {centre}")
        if self.factors is not None:
            factors = tuple(np.array(f, np.complex64) for f in self.factors)
            if tuple(f.size for f in factors) != array.shape:
                raise ValueError("the sizes of the factors and of the PSF differ")
            if not np.allclose(_outer(factors), array, atol=1e-5 * np.abs(array).max()):  # type: ignore[arg-type]
                raise ValueError("the PSF is not the outer product of its factors")
            object.__setattr__(self, "factors", factors)

    @classmethod
    def from_factors(
        cls,
        z: NDArray[Any],
        y: NDArray[Any],
        x: NDArray[Any],
        *,
        fwhm_voxels: tuple[float, float, float],
        carrier_rad: float = 0.0,
        source: str = "given",
    ) -> Psf:
        """Build the outer product of three profiles, each 1 at its centre."""
        factors: Factors = tuple(np.asarray(f, np.complex64) for f in (z, y, x))  # type: ignore[assignment]
        return cls(_outer(factors), fwhm_voxels, carrier_rad, source, factors)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(pz, py, px)."""
        z, y, x = self.array.shape
        return (z, y, x)

    @property
    def energy(self) -> float:
        """Sum of squared magnitudes."""
        return float(np.sum(np.abs(self.array.astype(np.complex128)) ** 2))

    def separable(self) -> tuple[Psf, float]:
        """Approximate this PSF by the outer product of three profiles.

        Rank-1 higher-order SVD (De Lathauwer et al., SIAM J. Matrix Anal. Appl. 21, 1253
        (2000)): along each axis the leading singular vector of the unfolding.

        Returns
        -------
        psf
            The separable PSF, 1 at the centre.
        error
            Relative error ||A - g * B|| / ||A||, with A this PSF, B the separable one and g the
            best complex factor: sqrt(1 - |correlation|^2).
        """
        if self.factors is not None:
            return self, 0.0
        array = self.array.astype(np.complex128)
        profiles = []
        for axis in range(3):
            unfolded = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
            left = np.linalg.svd(unfolded, full_matrices=False)[0][:, 0]
            centre = left[left.size // 2]
            if abs(centre) < 1e-6:
                raise ValueError("the PSF is zero at its centre along one axis")
            profiles.append(left / centre)
        close = Psf.from_factors(
            *profiles,
            fwhm_voxels=self.fwhm_voxels,
            carrier_rad=self.carrier_rad,
            source=f"{self.source}, separable",
        )
        close = replace(close, bright_only=self.bright_only)
        other = close.array.astype(np.complex128)
        overlap = abs(np.vdot(other, array)) ** 2 / (self.energy * close.energy)
        return close, float(np.sqrt(max(0.0, 1.0 - float(overlap))))


def axial_phase_step(spacing_z_um: float, wavelength_um: float) -> float:
    """Phase step of a bubble's image from one voxel to the next deeper one, radians.

    Beamformed IQ retains the phase of the two-way path: near a bubble at depth z_b, a voxel
    at depth z has the phase 4 pi (z - z_b) / lambda, **increasing with depth** (where the delays
    compensated by the beamformer are longer). Steps that differ by 2 pi are indistinguishable on
    the grid: with voxels of half or one wavelength, the step is zero.

    Returns
    -------
    In (-pi, pi].
    """
    return _wrap(4 * np.pi * spacing_z_um / wavelength_um)


def patch_of(fwhm_voxels: tuple[float, float, float]) -> tuple[int, int, int]:
    """Correlation patch for the widths of a PSF: one FWHM to either side, 3 to 11 voxels.

    A larger patch contains more noise around the bubble, which lowers the correlation.
    """
    z, y, x = (int(np.clip(2 * round(width) + 1, 3, 11)) for width in fwhm_voxels)
    return (z, y, x)


def analytic_psf(
    config: PsfConfig,
    grid: Grid,
    wavelength_um: float | None = None,
    kind: Literal["iq", "envelope"] = "iq",
    *,
    carrier_rad: float | None = None,
) -> Psf:
    """A Gaussian with the widths `config.widths`, with an axial carrier for IQ.

    Parameters
    ----------
    config
        `fwhm_voxels`, `patch_voxels` and `carrier`.
    grid
        The acquisition's grid. Along an axis with one voxel (2-D data), the patch has one
        voxel.
    wavelength_um
        Wavelength, um; None if unknown.
    kind
        ``"envelope"``: no carrier, whatever the other arguments.
    carrier_rad
        Phase step per voxel along z, radians, as measured by `estimate_carrier`; takes
        precedence over the value from the wavelength.

    Returns
    -------
    Psf
        Separable: exp(-4 ln 2 (i / fwhm)^2) along each axis, times exp(i carrier z).

    Raises
    ------
    ConfigError
        `config.carrier` needs the wavelength, which is unknown.
    """
    carrier = 0.0
    if kind == "iq" and config.carrier != "none":
        if carrier_rad is not None:
            carrier = _wrap(carrier_rad)
        elif wavelength_um is not None:
            carrier = axial_phase_step(grid.spacing_um[0], wavelength_um)
        elif config.carrier == "wavelength":
            raise ConfigError(
                "psf.carrier=wavelength needs the wavelength, which the acquisition does not "
                "state. Set load.wavelength_um, or psf.carrier=data."
            )
    profiles = []
    patch = config.patch_voxels or patch_of(config.widths)
    for size, fwhm, voxels in zip(patch, config.widths, grid.shape, strict=True):
        half = size // 2 if voxels > 1 else 0
        offsets = np.arange(-half, half + 1)
        profiles.append(np.exp(-4 * np.log(2) * (offsets / fwhm) ** 2).astype(complex))
    half = profiles[0].size // 2
    profiles[0] *= np.exp(1j * carrier * np.arange(-half, half + 1))
    return Psf.from_factors(
        *profiles, fwhm_voxels=config.widths, carrier_rad=carrier, source="analytic Gaussian"
    )


def _outer(factors: Factors) -> NDArray[np.complex64]:
    z, y, x = factors
    return z[:, None, None] * y[None, :, None] * x[None, None, :]


def _wrap(angle: float) -> float:
    """The same angle in (-pi, pi]; steps within rounding errors of 0 or 2 pi become 0."""
    wrapped = float(-((-angle + np.pi) % (2 * np.pi) - np.pi))
    return 0.0 if abs(wrapped) < 1e-9 else wrapped
