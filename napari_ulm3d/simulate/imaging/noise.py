"""Thermal noise: complex and Gaussian, white or with a lateral grain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator

__all__ = ["add_grain", "fill_with_noise", "grain_taps", "noise_rms"]


def noise_rms(snr_db: float | None) -> float:
    """Rms magnitude of the noise where the mean bubble's peak is 1 (None: 0)."""
    return 0.0 if snr_db is None else 10.0 ** (-snr_db / 20)


def fill_with_noise(frame: NDArray[np.complex64], seed: int, number: int) -> float:
    """Fill a frame with unit normal numbers in both parts.

    Every frame draws from its own generator, so that frames may be made in any order.

    Returns
    -------
    float
        Rms magnitude of what was filled in (the square root of two: two parts of unit
        variance).
    """
    parts = frame.reshape(-1).view(np.float32)
    generator(seed, Purpose.NOISE, number).standard_normal(out=parts, dtype=np.float32)
    return float(np.sqrt(2.0))


def grain_taps(grain_um: float, spacing_um: float, count: int) -> NDArray[np.float32]:
    """Weights that smooth white noise until its correlation is a Gaussian of this width.

    The correlation of smoothed white noise is that of the weights with themselves: a
    Gaussian wider by the square root of two. The weights' squares add up to one, so the
    noise keeps its rms.

    Parameters
    ----------
    grain_um
        Full width at half maximum of the correlation; 0: one weight.
    spacing_um
        Voxel spacing along the axis.
    count
        Voxels along the axis; there are at most as many weights, an odd number.
    """
    fwhm = grain_um / np.sqrt(2) / spacing_um
    half = min(int(np.ceil(1.5 * fwhm)), (count - 1) // 2)
    offset = np.arange(-half, half + 1)
    taps = np.exp(-4 * np.log(2) * (offset / fwhm) ** 2) if half else np.ones(1)
    return (taps / np.sqrt((taps**2).sum())).astype(np.float32)


@njit(cache=True, nogil=True)
def add_grain(
    frame: NDArray[np.complex64], taps_y: NDArray[np.float32], taps_x: NDArray[np.float32]
) -> None:
    """Smooth a frame (z, y, x) along y and x in place; it goes round at the borders."""
    nz, ny, nx = frame.shape
    half_y, half_x = taps_y.size // 2, taps_x.size // 2
    plane = np.empty((ny, nx), np.complex64)
    for z in range(nz):
        plane[:] = 0
        for y in range(ny):
            for k in range(taps_y.size):
                source = (y + k - half_y) % ny
                weight = taps_y[k]
                for x in range(nx):
                    plane[y, x] += weight * frame[z, source, x]
        frame[z] = 0
        for y in range(ny):
            for k in range(taps_x.size):
                weight = taps_x[k]
                for x in range(nx):
                    frame[z, y, x] += weight * plane[y, (x + k - half_x) % nx]
