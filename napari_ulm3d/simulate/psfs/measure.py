"""One image of the library: sampled, demodulated, normalized, and its widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_ulm3d.simulate.imaging.must import full_width_um
from napari_ulm3d.simulate.psfs.probes import Probe
from napari_ulm3d.simulate.psfs.simus import point_image

__all__ = ["PointImage", "measure", "sample_axes"]

_REACH = (12, 15, 15)  # samples on either side of the point, along z, y, x
_TAPER = 3  # samples at each border that fade out, so that images end without a step
_CORE = 4  # samples around the point among which the maximum is sought
_FINER = 8


@dataclass(frozen=True)
class PointImage:
    """Image of a point without its carrier.

    Attributes
    ----------
    values
        (z, y, x) complex, with a maximum magnitude of 1 near the point at its middle.
    slope
        (3,) phase along z, y, x that was removed, radians per wavelength.
    fwhm
        (3,) full widths at half maximum of the magnitude through the maximum, wavelengths.
    """

    values: NDArray[np.complex128]
    slope: NDArray[np.float64]
    fwhm: NDArray[np.float64]


def sample_axes(probe: Probe, depth: float) -> list[NDArray[np.float64]]:
    """Positions of the samples relative to the point along z, y, x, wavelengths."""
    reach = [r if k != 1 or probe.kind == "matrix" else 0 for k, r in enumerate(_REACH)]
    return [s * np.arange(-r, r + 1.0) for r, s in zip(reach, probe.steps(depth), strict=True)]


def measure(probe: Probe, point: tuple[float, float, float]) -> PointImage:
    """Image of a point at z, y, x (wavelengths) by the wave simulator."""
    axes = sample_axes(probe, point[0])
    image = point_image(probe, point, *np.meshgrid(*axes, indexing="ij"))
    steps = probe.steps(point[0])
    carrier = np.array([4 * np.pi, 0.0, 0.0])
    image = image * _plane_wave(axes, -carrier)
    slope = _slope(image) / steps
    image = image * _plane_wave(axes, -slope)
    core = tuple(slice(max(n // 2 - _CORE, 0), n // 2 + _CORE + 1) for n in image.shape)
    image *= np.exp(-1j * np.angle(np.sum(image[core] * np.abs(image[core]))))
    peak = _peak(image, core)
    top = float(np.abs(_at(image, [np.array([p]) for p in peak]))[0])
    widths = [_width(image, peak, axis, steps[axis]) for axis in range(3)]
    for axis, n in enumerate(image.shape):
        if n > 1:
            shape = [-1 if k == axis else 1 for k in range(3)]
            image *= _fade(n).reshape(shape)
    return PointImage(image / top, carrier + slope, np.array(widths))


def _plane_wave(
    axes: list[NDArray[np.float64]], slope: NDArray[np.float64]
) -> NDArray[np.complex128]:
    z, y, x = (np.exp(1j * s * at) for s, at in zip(slope, axes, strict=True))
    return np.asarray(z[:, None, None] * y[:, None] * x)


def _slope(image: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Mean phase between neighbours along each axis, radians (Kasai's estimator)."""
    slope = np.zeros(3)
    for axis, n in enumerate(image.shape):
        first = image.take(range(n - 1), axis)
        slope[axis] = np.angle(np.vdot(first, image.take(range(1, n), axis)))
    return slope


def _at(
    image: NDArray[np.complex128], places: Sequence[NDArray[np.float64]]
) -> NDArray[np.complex128]:
    if image.shape[1] == 1:  # splines need more than one sample
        return np.asarray(map_coordinates(image[:, 0], [places[0], places[2]], order=5))
    return np.asarray(map_coordinates(image, places, order=5))


def _peak(image: NDArray[np.complex128], core: tuple[slice, ...]) -> list[float]:
    """Indices of the maximum magnitude in the core, to an eighth of a sample."""
    first = np.unravel_index(np.abs(image[core]).argmax(), image[core].shape)
    near = np.arange(-_FINER, _FINER + 1) / _FINER
    fine = [
        part.start + at + (near if n > 1 else np.zeros(1))
        for part, at, n in zip(core, first, image.shape, strict=True)
    ]
    grid = np.meshgrid(*fine, indexing="ij")
    best = np.abs(_at(image, grid)).argmax()
    return [float(axis.flat[best]) for axis in grid]


def _width(image: NDArray[np.complex128], peak: list[float], axis: int, step: float) -> float:
    n = image.shape[axis]
    if n == 1:
        return 0.0
    along = np.arange(0, n - 1 + 1 / _FINER, 1 / _FINER)
    places = [along if k == axis else np.full(along.size, p) for k, p in enumerate(peak)]
    magnitude = np.abs(_at(image, places))
    # The main lobe alone: a side lobe far away may not be higher, but a split maximum may.
    near = np.abs(along - peak[axis]) <= 2.5 * _CORE
    return full_width_um(along[near] * step, magnitude[near])


def _fade(n: int) -> NDArray[np.float64]:
    from_border = np.minimum(np.arange(n), np.arange(n)[::-1])
    ramp = np.clip((from_border + 0.5) / _TAPER, 0, 1)
    return np.asarray(np.sin(np.pi / 2 * ramp) ** 2)
