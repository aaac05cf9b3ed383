"""The correlation map of frames on their device.

A separable PSF is applied as one product with a banded matrix per axis, which omits voxels outside
the frame; any other PSF is applied by FFT in double precision.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ulm3d.filtering._correlation_kernels import EMPTY, FLAT
from napari_ulm3d.filtering.correlation import in_bounds_sum
from napari_ulm3d.filtering.psf import Psf

__all__ = ["correlation_map"]


def correlation_map(frames: Tensor, psf: Psf) -> Tensor:
    """Like `filtering.correlation_map`, for a (t, z, y, x) complex64 or float32 tensor.

    Parameters
    ----------
    frames
        Frames after the clutter filter.
    psf
        The PSF; real for real frames.
    """
    real = not frames.is_complex()
    if real and np.abs(psf.array.imag).max() > 1e-6:
        raise ValueError("real frames need a real PSF: create it with kind='envelope'")
    what = _prepared(psf, tuple(frames.shape[1:]), real, frames.device)
    x = frames * _scale(frames)
    if real:
        x = x.double()
    total = what.correlate(x)
    if not real:
        energy = what.boxed(torch.view_as_real(x).square().sum(-1))
        gain = (energy.double() * what.p2).rsqrt()
        out = total * gain
        out = out * torch.where(out.abs() > 1, (1 - 6e-8) / out.abs(), 1.0)  # rounding
        return torch.where(energy > EMPTY, out, 0).to(frames.dtype)
    s1, s2 = what.boxed(x), what.boxed(x.square())
    product = total - what.p1 * s1 / what.count
    psf_spread = what.p2 - what.p1.square() / what.count
    spread = s2 - s1.square() / what.count
    least = 0.0 if psf.bright_only else -1.0
    out = (product * (spread * psf_spread).rsqrt()).clamp(least, 1.0)
    there = (psf_spread > FLAT * what.p2) & (s2 > EMPTY) & (spread > FLAT * s2)
    return torch.where(there, out, 0).to(frames.dtype)


def _scale(frames: Tensor) -> Tensor:
    """The power of two that scales the largest value of each frame to [0.5, 1)."""
    numbers = torch.view_as_real(frames) if frames.is_complex() else frames
    peak = numbers.abs().amax(tuple(range(1, numbers.ndim)))
    usable = (peak > 0) & peak.isfinite()
    exponent = torch.frexp(torch.where(usable, peak, 0.5)).exponent
    return torch.ldexp(torch.ones_like(peak), -exponent)[:, None, None, None]


class _Prepared:
    """Quantities that are the same for all blocks, on a device."""

    def __init__(self, psf: Psf, grid: tuple[int, ...], real: bool, device: torch.device) -> None:
        kind = torch.float64 if real else torch.complex64
        box = torch.float64 if real else torch.float32
        self._ones = [
            torch.from_numpy(_banded(np.ones(n), length)).to(device, box)
            for n, length in zip(psf.shape, grid, strict=True)
        ]
        self._factors = None
        if psf.factors is not None:
            bands = [_banded(f.conj(), n) for f, n in zip(psf.factors, grid, strict=True)]
            self._factors = [
                torch.from_numpy(band.real if real else band).to(device, kind) for band in bands
            ]
        else:
            self._size = [n + size - 1 for n, size in zip(grid, psf.shape, strict=True)]
            self._half, self._grid = [n // 2 for n in psf.shape], grid
            array = torch.from_numpy(psf.array).to(device, torch.complex128)
            self._spectrum = torch.fft.fftn(array, self._size).conj()

        def field(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(values).to(device)

        magnitude = np.abs(psf.array.astype(np.complex128))
        self.p2 = field(in_bounds_sum(magnitude**2, grid))
        self.p1 = field(in_bounds_sum(psf.array.real.astype(np.float64), grid))
        self.count = field(in_bounds_sum(np.ones(psf.shape), grid))

    def correlate(self, x: Tensor) -> Tensor:
        """Plain cross-correlation of (t, z, y, x) with the PSF, with zeros outside the frame."""
        if self._factors is not None:
            return _by_axis(x, self._factors)
        spectrum = torch.fft.fftn(x.to(torch.complex128), self._size, dim=(1, 2, 3))
        whole = torch.fft.ifftn(spectrum * self._spectrum, dim=(1, 2, 3))
        # Shift by half a patch, since a patch begins before its voxel.
        whole = torch.roll(whole, self._half, (1, 2, 3))
        z, y, x_ = self._grid
        out = whole[:, :z, :y, :x_]
        return out if x.is_complex() else out.real

    def boxed(self, x: Tensor) -> Tensor:
        """Sum over the voxels of the patch within the frame."""
        return _by_axis(x, self._ones)


def _by_axis(x: Tensor, bands: list[Tensor]) -> Tensor:
    for axis, band in zip((3, 2, 1), reversed(bands), strict=True):
        x = (x.movedim(axis, -1) @ band.T).movedim(-1, axis)
    return x


def _banded(taps: NDArray[Any], n: int) -> NDArray[Any]:
    """(n, n) matrix with ``taps[k]`` in row i and column ``i + k - half``, if it exists."""
    half = taps.size // 2
    offset = np.arange(n)[None, :] - np.arange(n)[:, None] + half
    inside = (offset >= 0) & (offset < taps.size)
    return np.where(inside, taps[np.clip(offset, 0, taps.size - 1)], 0)


# Cache of the last few. A PSF contains arrays, so it is compared by identity.
_made: deque[tuple[Psf, Any, _Prepared]] = deque(maxlen=4)


def _prepared(psf: Psf, grid: tuple[int, ...], real: bool, device: torch.device) -> _Prepared:
    key = (grid, real, device)
    for one, known, prepared in tuple(_made):
        if one is psf and known == key:
            return prepared
    prepared = _Prepared(psf, grid, real, device)
    _made.append((psf, key, prepared))
    return prepared
