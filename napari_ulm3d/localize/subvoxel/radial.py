"""`radial`: the point nearest to all lines along the gradient (radial symmetry).

Parthasarathy, Nat. Methods 9, 724 (2012), in three dimensions: the gradient of a bubble
always points at its centre, so the centre is the point of least squared distance
to all lines through the centres of 2 x 2 x 2 cells along their gradients.
Lengths are in units of the bubble's width along each axis, in which it is round
whatever the spacing. The weight of a line is |gradient|^2 divided by its distance from the
centroid of |gradient|, times the squared envelope, which suppresses noise in the many
voxels far from the centre.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.localize.detect import Candidates
from napari_ulm3d.localize.subvoxel.fits import Fits, Stack
from napari_ulm3d.localize.subvoxel.patches import BAD, EDGE, collect, symmetric_half
from napari_ulm3d.localize.subvoxel.width import FWHM, frame_widths

__all__ = ["LOCALIZER", "radial"]

NAME = "radial"
SETTINGS = ("fwhm_voxels",)


def radial(stack: Stack, candidates: Candidates, config: LocalizeConfig) -> Fits:
    """Three-dimensional radial symmetry around each maximum."""
    half = np.asarray(config.patch, np.int64) // 2
    if config.fwhm_voxels:
        sigma = np.tile(np.asarray(config.fwhm_voxels) / FWHM, (stack.frames.shape[0], 1))
    else:
        sigma = np.empty((stack.frames.shape[0], 3))
        frame_widths(stack.frames, sigma)

    def kernel(shift: NDArray[np.float64], state: NDArray[np.int8]) -> None:
        _radial(stack.envelope, candidates.frame, candidates.voxel, sigma, half, shift, state)

    return collect(candidates, kernel, config)


@njit(cache=True, parallel=True, nogil=True)
def _radial(image, frame, voxel, sigma, half, shift, state):  # type: ignore[no-untyped-def]
    for n in prange(frame.size):
        volume = image[frame[n]]
        reach = np.zeros(3, np.int64)
        if not symmetric_half(volume.shape, voxel[n], half, reach):
            state[n] = EDGE
        elif not _centre(volume, voxel[n], sigma[frame[n]], reach, shift[n]):
            state[n] = BAD


@njit(cache=True, nogil=True)
def _centre(volume, voxel, sigma, reach, shift):  # type: ignore[no-untyped-def]
    """Solve for the centre of one window, voxels from its middle; False if there is none."""
    free = np.array([r > 0 for r in reach])
    cells = 1
    for axis in range(3):
        cells *= max(2 * reach[axis], 1)
    lines = np.empty((cells, 7))  # place, gradient, envelope, in widths
    centroid, total = np.zeros(3), 0.0
    count = 0
    # Cell (i, j, k) lies between voxels i and i + 1 along each axis that has a window.
    for i in range(-reach[0], max(reach[0], 1 - reach[0])):
        for j in range(-reach[1], max(reach[1], 1 - reach[1])):
            for k in range(-reach[2], max(reach[2], 1 - reach[2])):
                place, slope = lines[count, :3], lines[count, 3:6]
                slope[:] = 0.0
                mean, corners = 0.0, 0
                for a in range(1 + free[0]):
                    for b in range(1 + free[1]):
                        for c in range(1 + free[2]):
                            value = volume[voxel[0] + i + a, voxel[1] + j + b, voxel[2] + k + c]
                            mean += value
                            corners += 1
                            slope[0] += value * (2 * a - 1) * free[0]
                            slope[1] += value * (2 * b - 1) * free[1]
                            slope[2] += value * (2 * c - 1) * free[2]
                size = 0.0
                for axis, at in enumerate((i, j, k)):
                    place[axis] = (at + 0.5 * free[axis]) / sigma[axis]
                    slope[axis] *= sigma[axis]
                    size += slope[axis] * slope[axis]
                lines[count, 6] = mean / corners
                size = np.sqrt(size)
                for axis in range(3):
                    centroid[axis] += size * place[axis]
                total += size
                count += 1
    if not total > 0.0:
        return False
    centroid /= total
    matrix, right = np.zeros((3, 3)), np.zeros(3)
    for line in lines:
        squared = line[3] * line[3] + line[4] * line[4] + line[5] * line[5]
        if squared == 0.0:
            continue
        apart = 0.0
        for axis in range(3):
            apart += (line[axis] - centroid[axis]) ** 2
        weight = squared * line[6] * line[6] / max(np.sqrt(apart), 0.1)
        along = (line[0] * line[3] + line[1] * line[4] + line[2] * line[5]) / squared
        for a in range(3):
            right[a] += weight * (line[a] - along * line[3 + a])
            for b in range(3):
                matrix[a, b] += weight * ((a == b) * 1.0 - line[3 + a] * line[3 + b] / squared)
    for axis in range(3):
        if not free[axis]:
            matrix[axis, :] = 0.0
            matrix[:, axis] = 0.0
            matrix[axis, axis] = 1.0
            right[axis] = 0.0
    size = np.trace(matrix)
    if not abs(np.linalg.det(matrix)) > 1e-9 * size**3:
        return False
    centre = np.linalg.solve(matrix, right)
    for axis in range(3):
        shift[axis] = centre[axis] * sigma[axis]
    return True


LOCALIZER = radial
