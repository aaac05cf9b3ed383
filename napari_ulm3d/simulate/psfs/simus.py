"""Image of a point with SIMUS (linear probes) or SIMUS3 (matrix probes), delay and sum.

Garcia, "SIMUS", Comput. Methods Programs Biomed. 2022; Cigier, Varray, Garcia, "SIMUS3", 2022.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.simulate.imaging.must import load_pymust
from napari_ulm3d.simulate.psfs.probes import Probe

__all__ = ["point_image"]


def point_image(
    probe: Probe, point: tuple[float, float, float], z: ArrayLike, y: ArrayLike, x: ArrayLike
) -> NDArray[np.complex128]:
    """Beamformed IQ of a point, the plane waves compounded.

    Parameters
    ----------
    point
        z, y, x of the point, wavelengths from the centre of the probe.
    z, y, x
        Positions relative to the point, arrays of equal shape, wavelengths.

    Returns
    -------
    (...) complex128 in the shape of the positions, in the simulator's unit.

    Raises
    ------
    BackendError
        PyMUST is not installed.
    """
    pymust = load_pymust()
    param, metre = _settings(pymust, probe)
    shape = np.broadcast_shapes(*(np.shape(axis) for axis in (z, y, x)))
    whole = [np.broadcast_to(axis, shape).ravel() for axis in (z, y, x)]
    places = np.stack([(axis + at) * metre for axis, at in zip(whole, point, strict=True)], axis=1)
    along_z, along_y, along_x = (np.array([at * metre]) for at in point)
    strength = np.ones(1)
    image = np.zeros(len(places), complex)
    at_x, at_y = elements = probe.elements * metre
    for tilt_x, tilt_y in np.deg2rad(probe.waves):
        delays = (at_x * np.sin(tilt_x) + at_y * np.sin(tilt_y)) / param.c
        delays = (delays - delays.min())[None, :]  # one row: a flat array fails
        if probe.kind == "linear":
            echoes = pymust.simus(along_x, along_z, strength, delays, param)[0]
        else:
            echoes = pymust.simus3(along_x, along_y, along_z, strength, delays, param)[0]
        signals = np.ascontiguousarray(pymust.rf2iq(echoes, param).T)
        _delay_and_sum(
            image, signals, places, elements, delays[0] * param.c, (param.c, param.fs, param.fc)
        )
    return image.reshape(shape)


@njit(cache=True, nogil=True)
def _delay_and_sum(
    image: NDArray[np.complex128],
    signals: NDArray[np.complex128],
    places: NDArray[np.float64],
    elements: NDArray[np.float64],
    sent: NDArray[np.float64],
    speeds: tuple[float, float, float],
) -> None:
    """Add what PyMUST's `dasmtx3` gives to an image (n,), without a matrix.

    Parameters
    ----------
    signals
        (elements, samples), demodulated.
    places
        (n, 3) z, y, x, metres.
    elements
        (2, elements) x, y, metres.
    sent
        (elements,) delays of the transmission times the speed of sound, metres.
    speeds
        Speed of sound (m/s), sampling rate and centre frequency (Hz).
    """
    speed, rate, frequency = speeds
    n = signals.shape[0]
    away = np.empty(n)
    for p in range(places.shape[0]):
        z, y, x = places[p]
        out = np.inf
        for e in range(n):
            away[e] = np.sqrt(z * z + (y - elements[1, e]) ** 2 + (x - elements[0, e]) ** 2)
            out = min(out, away[e] + sent[e])
        total = 0j
        for e in range(n):
            time = (out + away[e]) / speed
            at = time * rate
            low = int(at)
            if low + 1 < signals.shape[1]:
                share = at - low
                value = (1 - share) * signals[e, low] + share * signals[e, low + 1]
                total += value * np.exp(2j * np.pi * frequency * time)
        image[p] += total


def _settings(pymust: Any, probe: Probe) -> tuple[Any, float]:
    """Settings of the simulator, and a wavelength in metres."""
    array = probe.array
    metre = array.wavelength_um * 1e-6
    param = pymust.utils.Param()
    param.c = array.sound_speed_m_s
    param.fc = array.sound_speed_m_s / metre
    param.fs = 4 * param.fc
    param.bandwidth = probe.bandwidth
    param.TXnow = probe.cycles
    param.width = probe.element * metre
    if probe.kind == "linear":
        param.pitch = probe.pitch * metre
        param.Nelements = probe.n
        param.radius = np.inf
    else:
        param.height = param.width
        param.elements = probe.elements * metre
    return param, metre
