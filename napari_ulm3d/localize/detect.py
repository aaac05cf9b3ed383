"""Detection of regional maxima that exceed their surroundings.

A voxel is a candidate if the image (usually the envelope |x|)

* has a *regional maximum* there over its 26 neighbours (8 in 2-D; neighbours outside the
  volume are ignored). A plateau of equal voxels counts once, at its voxel nearest to
  the plateau's centre (first in raster order if tied), and only if all voxels around it
  are lower, as in MATLAB's ``imregionalmax``, which PALA and Open-3DULM use; and
* has a *local contrast* of at least `min_snr_db`: 20 log10 of its value relative to the mean
  in the patch centred on it (including itself, clipped at the border of the volume).

The contrast is tested first, with a box mean over the frame, so that the costly comparison with
the neighbours is needed for only a few percent of the voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["Candidates", "detect_maxima"]

_CHUNK = 1024  # voxels summed together: they fit into the L1 cache


@dataclass(frozen=True)
class Candidates:
    """Maxima of a stack of frames, sorted by frame, then by decreasing strength.

    Parameters
    ----------
    frame
        (n,) int32, index into the stack.
    voxel
        (n, 3) int32, z, y, x.
    peak
        (n,) float32, value of the image at the maximum.
    contrast
        (n,) float32, peak divided by the mean of its patch (a ratio, not dB).
    """

    frame: NDArray[np.int32]
    voxel: NDArray[np.int32]
    peak: NDArray[np.float32]
    contrast: NDArray[np.float32]

    def __len__(self) -> int:
        return self.frame.size

    def keep(self, mask: NDArray[np.bool_]) -> Candidates:
        """The candidates where `mask` (n,) is true."""
        return Candidates(self.frame[mask], self.voxel[mask], self.peak[mask], self.contrast[mask])

    def offsets(self, n_frames: int) -> NDArray[np.int64]:
        """(n_frames + 1,): frame t has the rows offsets[t]..offsets[t + 1] - 1."""
        return np.searchsorted(self.frame, np.arange(n_frames + 1)).astype(np.int64)


def detect_maxima(
    image: NDArray[np.float32],
    patch_voxels: tuple[int, int, int],
    min_snr_db: float,
    max_bubbles: int,
) -> tuple[Candidates, int]:
    """Find regional maxima of frames that exceed the mean of their patch.

    Parameters
    ----------
    image
        (t, z, y, x) float32, finite and non-negative: the envelope, or another map.
    patch_voxels
        Size of the patch along z, y, x, odd.
    min_snr_db
        Minimum local contrast, dB (defined in the module docstring).
    max_bubbles
        Maximum number per frame; the highest peaks are kept.

    Returns
    -------
    candidates : Candidates
    over_cap : int
        Number of maxima beyond `max_bubbles`.
    """
    image = np.ascontiguousarray(image, np.float32)
    room = 1
    for n in image.shape[1:]:
        room *= -(-n // 2)  # regional maxima cannot touch
    voxel = np.empty((image.shape[0], room), np.int32)
    mean = np.empty((image.shape[0], room), np.float32)
    count = np.zeros(image.shape[0], np.int64)
    half = np.asarray(patch_voxels, np.int64) // 2
    _detect(image, half, np.float32(10.0 ** (min_snr_db / 20.0)), voxel, mean, count)

    frame = np.repeat(np.arange(image.shape[0]), count)
    listed = np.arange(room)[None, :] < count[:, None]
    flat, level = voxel[listed], mean[listed]
    peak = image.reshape(image.shape[0], int(np.prod(image.shape[1:])))[frame, flat]
    order = np.lexsort((flat, -peak, frame))
    rank = np.arange(flat.size) - np.repeat(np.cumsum(count) - count, count)
    order = order[rank < max_bubbles]
    over = flat.size - order.size
    flat, peak, level = flat[order], peak[order], level[order]
    zyx = np.stack(np.unravel_index(flat, image.shape[1:]), axis=1).astype(np.int32)
    return Candidates(frame[order].astype(np.int32), zyx, peak, peak / level), over


@njit(cache=True, parallel=True, nogil=True)
def _detect(image, half, ratio, voxel, mean, count):  # type: ignore[no-untyped-def]
    for t in prange(image.shape[0]):
        count[t] = frame_maxima(image[t], half, ratio, voxel[t], mean[t])


@njit(cache=True, nogil=True)
def patch_mean(image, half):  # type: ignore[no-untyped-def]
    """Mean over the patch around every voxel, clipped at the border.

    With a border of zeros, a box sum along any axis is a sum of shifted copies of the whole
    array, in long loops that vectorize.
    """
    nz, ny, nx = image.shape
    hz, hy, hx = half[0], half[1], half[2]
    py, px = ny + 2 * hy, nx + 2 * hx
    padded = np.zeros((nz + 2 * hz, py, px), np.float32)
    for z in range(nz):
        for y in range(ny):
            padded[z + hz, y + hy, hx : hx + nx] = image[z, y]
    source = padded.reshape(padded.size)
    end = source.size
    for axis in range(3):
        stride = (1, px, px * py)[axis]
        copies = (2 * hx, 2 * hy, 2 * hz)[axis]
        end -= copies * stride
        # In place, since a sum at i needs only the values from i on.
        block = np.empty(_CHUNK, np.float32)
        for first in range(0, end, _CHUNK):
            n = min(_CHUNK, end - first)
            block[:n] = source[first : first + n]
            for copy in range(1, copies + 1):
                shifted = source[first + copy * stride :]
                for i in range(n):
                    block[i] += shifted[i]
            source[first : first + n] = block[:n]
    out = np.empty_like(image)
    share_x = np.empty(nx, np.float32)
    for x in range(nx):
        share_x[x] = 1.0 / (min(x + hx + 1, nx) - max(x - hx, 0))
    for z in range(nz):
        share_z = 1.0 / (min(z + hz + 1, nz) - max(z - hz, 0))
        for y in range(ny):
            share = np.float32(share_z / (min(y + hy + 1, ny) - max(y - hy, 0)))
            row, into = padded[z, y], out[z, y]
            for x in range(nx):
                into[x] = row[x] * (share * share_x[x])
    return out


@njit(cache=True, nogil=True)
def frame_maxima(image, half, ratio, voxel, mean):  # type: ignore[no-untyped-def]
    """Write the maxima of one frame to `voxel` (flat index) and `mean`; return their number."""
    nz, ny, nx = image.shape
    local = patch_mean(image, half)
    visited = np.zeros((0, 0, 0), np.bool_)
    found = 0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                value = image[z, y, x]
                if not (value > 0.0 and value >= ratio * local[z, y, x]):
                    continue
                # Along x first: the cheapest test, which rejects most voxels.
                if (x > 0 and image[z, y, x - 1] > value) or (
                    x + 1 < nx and image[z, y, x + 1] > value
                ):
                    continue
                higher = False
                equal = 0
                for i in range(max(z - 1, 0), min(z + 2, nz)):
                    for j in range(max(y - 1, 0), min(y + 2, ny)):
                        for k in range(max(x - 1, 0), min(x + 2, nx)):
                            higher |= image[i, j, k] > value
                            equal += image[i, j, k] == value
                if higher:
                    continue
                at = (z * ny + y) * nx + x
                if equal > 1:
                    if visited.size == 0:
                        visited = np.zeros((nz, ny, nx), np.bool_)
                    if visited[z, y, x]:
                        continue
                    at = _plateau(image, z, y, x, visited)
                    if at < 0:
                        continue
                voxel[found] = at
                mean[found] = local[at // (ny * nx), at // nx % ny, at % nx]
                found += 1
    return found


@njit(cache=True, nogil=True)
def _plateau(image, z, y, x, visited):  # type: ignore[no-untyped-def]
    """Flat index of the middle of the plateau around a voxel; -1 if it is not a maximum."""
    nz, ny, nx = image.shape
    value = image[z, y, x]
    members = [(z * ny + y) * nx + x]
    visited[z, y, x] = True
    highest, has_lower = True, False
    done = 0
    while done < len(members):
        flat = members[done]
        done += 1
        a, b, c = flat // (ny * nx), flat // nx % ny, flat % nx
        for i in range(max(a - 1, 0), min(a + 2, nz)):
            for j in range(max(b - 1, 0), min(b + 2, ny)):
                for k in range(max(c - 1, 0), min(c + 2, nx)):
                    other = image[i, j, k]
                    if other > value:
                        highest = False
                    elif other < value:
                        has_lower = True
                    elif not visited[i, j, k]:
                        visited[i, j, k] = True
                        members.append((i * ny + j) * nx + k)
    if not (highest and has_lower):
        return -1
    mz, my, mx = 0.0, 0.0, 0.0
    for flat in members:
        mz += flat // (ny * nx)
        my += flat // nx % ny
        mx += flat % nx
    size = len(members)
    best, nearest = -1, np.inf
    for flat in members:
        dz = flat // (ny * nx) - mz / size
        dy = flat // nx % ny - my / size
        dx = flat % nx - mx / size
        distance = dz * dz + dy * dy + dx * dx
        if distance < nearest or (distance == nearest and flat < best):
            best, nearest = flat, distance
    return best
