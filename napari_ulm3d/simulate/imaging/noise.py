"""Thermal noise: complex and Gaussian, white or with a lateral grain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator

__all__ = ["add_grain", "fill_with_noise", "grain_taps", "noise_rms"]


def noise_rms(snr_db: float | None) -> float:
    """RMS magnitude of the noise if the mean bubble's peak is 1 (None: 0)."""
    return 0.0 if snr_db is None else 10.0 ** (-snr_db / 20)


def fill_with_noise(frame: NDArray[np.complex64], seed: int, number: int) -> float:
    """Fill both parts of a frame with standard normal numbers.

    Every frame uses its own generator, so frames can be rendered in any order.

    Returns
    -------
    float
        RMS magnitude of the values (the square root of two, from two parts of unit
        variance).
    """
    parts = frame.reshape(-1).view(np.float32)
    generator(seed, Purpose.NOISE, number).standard_normal(out=parts, dtype=np.float32)
    return float(np.sqrt(2.0))


def grain_taps(grain_um: float, spacing_um: float, count: int) -> NDArray[np.float32]:
    """Weights that smooth white noise so that its correlation is a Gaussian of this width.

    The correlation of smoothed white noise is the autocorrelation of the weights: a
    Gaussian wider by the square root of two. The squared weights sum to one, so the
    noise keeps its RMS.

    Parameters
    ----------
    grain_um
        Full width at half maximum of the correlation; 0: one weight.
    spacing_um
        Voxel spacing along the axis.
    count
        Voxels along the axis; at most as many weights are returned, an odd number.
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
    """Smooth a frame (z, y, x) along y and x in place, with periodic borders."""
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
