"""The Cramer-Rao bound of isolated bubbles: the best possible precision of their positions.

A bubble's image in the filtered frames on the working grid is a Gaussian of the measured widths
with the measured carrier, times an unknown complex amplitude, plus white Gaussian noise. The
Fisher information of position and amplitude is 2 / sigma^2 Re(J^H J); the bound is the root of the
sum of the variances along the resolved axes. Amplitudes are measured in the frames at the true
positions, which includes the attenuation of slow bubbles by the clutter filter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.scenes import Scene
from benchmarks.zoo.prepared import Prepared

__all__ = ["Isolated", "isolated_bubbles"]

_APART = 3.0  # minimum distance to the nearest other bubble, PSF widths
_REACH = 1.5  # half of the patch, PSF widths
_CLEAR = 4.0  # minimum ratio of a bubble's energy to the noise of its estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Isolated:
    """Rows of the ground truth.

    Attributes
    ----------
    alone
        (n,) whether no other bubble is within three PSF widths.
    bound_um
        (n,) the bound; NaN if unknown, that is, not alone or not visible.
    """

    alone: NDArray[np.bool_]
    bound_um: Floats


def isolated_bubbles(scene: Scene, prepared: Prepared) -> Isolated:
    """The bound of each isolated bubble, from filtered frames."""
    plan = prepared.plan
    grid, psf = plan.grid, plan.psf
    widths = np.asarray(psf.fwhm_voxels)
    truth = scene.truth
    at = grid.to_index(truth.positions_um)
    frame = truth.frames
    alone = _alone(frame, at / widths)
    bound = np.full(len(frame), np.nan)
    frames = prepared.working_frames
    noise = _noise_power(frames)
    resolved = np.asarray(grid.shape) > 1
    spacing = np.asarray(grid.spacing_um)[resolved]
    for row in np.flatnonzero(alone):
        patch = _patch(at[row], widths, grid.shape)
        if patch is None:
            continue
        image, slopes = _model(patch, at[row], widths, psf.carrier_rad, resolved)
        seen = frames[(frame[row], *np.ix_(*patch))].ravel()
        energy = float(np.vdot(image, image).real)
        amplitude = np.vdot(image, seen) / energy
        power = float(np.abs(amplitude) ** 2) - noise / energy
        if power * energy < _CLEAR * noise:
            continue
        columns = [*(s * np.sqrt(power) for s in slopes), image]
        if np.iscomplexobj(frames):
            columns.append(1j * image)
        jacobian = np.stack(columns, axis=1)
        parts = 2.0 if np.iscomplexobj(frames) else 1.0
        information = parts / noise * (jacobian.conj().T @ jacobian).real
        variance = np.diag(np.linalg.pinv(information))[: len(slopes)]
        bound[row] = np.sqrt((variance * spacing**2).sum())
    return Isolated(alone & np.isfinite(bound), bound)


def _alone(frame: NDArray[np.int64], scaled: Floats) -> NDArray[np.bool_]:
    """Whether no other point of the same frame is near; positions are in PSF widths."""
    alone = np.ones(len(frame), bool)
    for t in np.unique(frame):
        rows = np.flatnonzero(frame == t)
        if len(rows) > 1:
            nearest = cKDTree(scaled[rows]).query(scaled[rows], k=2)[0][:, 1]
            alone[rows] = nearest > _APART
    return alone


def _patch(
    at: Floats, widths: Floats, shape: tuple[int, int, int]
) -> list[NDArray[np.int64]] | None:
    axes = []
    for place, width, n in zip(at, widths, shape, strict=True):
        half = _REACH * width
        low, high = int(np.ceil(place - half)), int(np.floor(place + half))
        axis = np.arange(max(low, 0), min(high, n - 1) + 1) if n > 1 else np.zeros(1, np.int64)
        if not axis.size:
            return None
        axes.append(axis)
    return axes


def _model(
    patch: list[NDArray[np.int64]],
    at: Floats,
    widths: Floats,
    carrier_rad: float,
    resolved: NDArray[np.bool_],
) -> tuple[NDArray[np.complex128], list[NDArray[np.complex128]]]:
    """Flattened image of a bubble of amplitude 1, and its derivatives along the resolved axes."""
    apart = (axis - place for axis, place in zip(patch, at, strict=True))
    steps = [
        step if seen else np.zeros_like(step)
        for step, seen in zip(np.meshgrid(*apart, indexing="ij"), resolved, strict=True)
    ]
    rate = 4 * np.log(2) / widths**2
    image = np.exp(-sum(r * step**2 for r, step in zip(rate, steps, strict=True)))
    image = (image * np.exp(1j * carrier_rad * steps[0])).ravel()
    slopes = []
    for axis in np.flatnonzero(resolved):
        slope = 2 * rate[axis] * steps[axis].ravel() * image
        if axis == 0:
            slope = slope - 1j * carrier_rad * image
        slopes.append(slope)
    return image, slopes


def _noise_power(frames: NDArray[np.complex64]) -> float:
    """Mean square of the noise, from the median, which bubbles hardly affect."""
    some = frames[:: max(1, len(frames) // 20)]
    if np.iscomplexobj(some):
        power = np.abs(some) ** 2
        return float(np.median(power[power > 0]) / np.log(2))
    return float((1.4826 * np.median(np.abs(some - np.median(some)))) ** 2)
