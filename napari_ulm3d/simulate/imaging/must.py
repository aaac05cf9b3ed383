"""An independent point-spread function: beamformed signals of the wave simulator MUST.

Our images assume a Gaussian magnitude and the phase of the two-way path. Here the image of
a point is computed with PyMUST instead (Garcia, "SIMUS", Comput. Methods Programs Biomed. 2022;
``pip install "napari-ulm3d[simulate]"``): field of every element, echo, demodulation, delay
and sum. It is for comparison, and for the library of measured images (`simulate.psfs`); the
simulations themselves do not use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d.errors import BackendError

__all__ = ["MatrixProbe", "full_width_um", "load_pymust", "must_psf"]

# Points beamformed at once; each row of the beamforming matrix has two entries per element.
_POINTS_AT_ONCE = 2000


@dataclass(frozen=True)
class MatrixProbe:
    """A matrix array: `n` x `n` elements on a square pitch, with unused rows in elevation.

    The defaults are those of the 32 x 32 arrays used in ULM: pitch 0.3 mm, one unused row
    after every eight, 15.6 MHz.
    """

    n: int = 32
    pitch_um: float = 300.0
    element_um: float = 275.0
    idle_after: int = 8
    wavelength_um: float = 98.56
    sound_speed_m_s: float = 1540.0
    bandwidth_percent: float = 67.0
    cycles: float = 2.0

    @property
    def element_um_xy(self) -> NDArray[np.float64]:
        """x and y of the element centres, (2, n * n), micrometres."""
        count = np.arange(self.n)
        x = count * self.pitch_um
        y = (count + count // self.idle_after) * self.pitch_um
        along_y, along_x = np.meshgrid(y - y.mean(), x - x.mean(), indexing="ij")
        return np.stack([along_x.ravel(), along_y.ravel()])


def must_psf(
    probe: MatrixProbe, depth_um: float, z_um: ArrayLike, y_um: ArrayLike, x_um: ArrayLike
) -> NDArray[np.complex64]:
    """Image of a point on the probe's axis, for one plane wave sent straight down.

    Parameters
    ----------
    depth_um
        Depth of the point below the probe, micrometres.
    z_um, y_um, x_um
        Positions relative to the point, arrays of equal shape, micrometres.

    Returns
    -------
    (...) complex64 in the shape of the positions, 1 at the point.

    Raises
    ------
    BackendError
        PyMUST is not installed.
    """
    pymust = load_pymust()
    param = pymust.utils.Param()
    param.c = probe.sound_speed_m_s
    param.fc = probe.sound_speed_m_s * 1e6 / probe.wavelength_um
    param.fs = 4 * param.fc
    param.bandwidth = probe.bandwidth_percent
    param.TXnow = probe.cycles
    param.width = param.height = probe.element_um * 1e-6
    param.elements = probe.element_um_xy * 1e-6
    # Equal delays give a plane wave. Without delays, simus3 fails.
    delays = np.zeros((1, probe.n**2))
    point = [np.array([value]) for value in (0.0, 0.0, depth_um * 1e-6, 1.0)]
    echoes = pymust.simus3(*point, delays, param)[0]
    signals = pymust.rf2iq(echoes, param)
    places = np.broadcast_arrays(z_um, y_um, x_um)
    metres = [np.asarray(axis, float).ravel() * 1e-6 for axis in places]
    metres = [np.append(axis, 0.0) for axis in metres]  # append the point itself
    metres[0] = metres[0] + depth_um * 1e-6
    image = _beamform(pymust, signals, metres, delays, param)
    return (image[:-1] / image[-1]).reshape(places[0].shape).astype(np.complex64)


def load_pymust() -> Any:
    """The module `pymust`.

    Raises
    ------
    BackendError
        It is not installed.
    """
    try:
        import pymust
    except ImportError as error:
        raise BackendError(
            'PyMUST is not installed. Install it with: pip install "napari-ulm3d[simulate]"'
        ) from error
    return pymust


def _beamform(
    pymust: Any,
    signals: NDArray[np.complexfloating],
    metres: list[NDArray[np.float64]],
    delays: NDArray[np.float64],
    param: Any,
) -> NDArray[np.complex128]:
    z, y, x = metres
    # The matrix multiplies signals in MATLAB's column order.
    column = signals.ravel(order="F")
    image = np.empty(z.size, np.complex128)
    for low in range(0, z.size, _POINTS_AT_ONCE):
        part = slice(low, low + _POINTS_AT_ONCE)
        matrix = pymust.dasmtx3(
            1j * np.array(signals.shape), x[part], y[part], z[part], delays, param
        )
        image[part] = (matrix[0] if isinstance(matrix, tuple) else matrix) @ column
    return image


def full_width_um(at_um: NDArray[np.float64], magnitude: NDArray[np.floating]) -> float:
    """Full width at half maximum of a peak, with linear interpolation of the flanks."""
    peak = int(np.argmax(magnitude))
    half = magnitude[peak] / 2
    left, right = peak, peak
    while left > 0 and magnitude[left] > half:
        left -= 1
    while right < magnitude.size - 1 and magnitude[right] > half:
        right += 1
    if magnitude[left] > half or magnitude[right] > half:
        raise ValueError("the profile does not fall to half its maximum on both sides")
    low = np.interp(half, magnitude[left : left + 2], at_um[left : left + 2])
    high = np.interp(
        half, magnitude[right - 1 : right + 1][::-1], at_um[right - 1 : right + 1][::-1]
    )
    return float(high - low)
