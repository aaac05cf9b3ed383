"""The correlation map: similarity of every voxel's neighbourhood to the image of one bubble."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftn, ifftn, irfftn, next_fast_len, rfftn

from napari_ulm3d.errors import InputError
from napari_ulm3d.filtering._chunks import frame_slices, n_threads, spread
from napari_ulm3d.filtering.psf import Psf

__all__ = ["correlation_map", "in_bounds_sum"]


def correlation_map(
    frames: NDArray[Any], psf: Psf, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Normalized cross-correlation of frames with the PSF, |c| <= 1.

    Complex frames: c(r) = <psf, x_r> / (||psf|| ||x_r||), with x_r the patch around voxel r and
    <a, b> = sum conj(a) b. |c| does not depend on the amplitude and phase of the data;
    |c| = 1 if a patch is the PSF times any complex number, and the phase of c is that
    of the number. Real frames (envelope): the same after subtracting the mean over the patch from
    both (zero-normalized), because an envelope has an offset; c is in [-1, 1], or in [0, 1] with
    `psf.bright_only`, since a dark spot is then no bubble.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64 or float32, after the clutter filter: a block or any part of
        it, since every frame is processed separately.
    psf
        The PSF; real (from `kind="envelope"`) for real frames.
    out
        Output array with the frames' shape and dtype, C-contiguous; may be `frames`
        itself. None: a new array.

    Returns
    -------
    (t, z, y, x), the frames' dtype.

    Raises
    ------
    InputError
        The frames are not 4-D complex64 or float32.

    Notes
    -----
    Borders: the part of a patch outside the frame is left out of the product and of both
    norms, so a bubble at the border still reaches |c| = 1. c is 0 if the patch has no
    energy: less than 1e-20 of the squared maximum of its frame (-200 dB) or,
    for real frames, constant to one part in 1e6.

    A separable PSF is applied axis by axis, any other by FFT in double precision; the two
    agree to rounding errors. Frames are distributed over threads; results do not depend on
    their number.

    References
    ----------
    Lewis, "Fast normalized cross-correlation", Vision Interface (1995), for the
    normalization; Rauby et al., IEEE TIP (2025), arXiv 2402.09359, for the complex
    correlation map as input of ULM.
    """
    # The first compilation takes seconds, so it must not happen at import.
    from napari_ulm3d.filtering import _correlation_kernels as kernels

    if frames.ndim != 4 or frames.dtype not in (np.complex64, np.float32):
        raise InputError(
            None,
            f"The correlation map was given {frames.dtype} frames with {frames.ndim} axes",
            "Give (t, z, y, x) complex64 (IQ) or float32 (envelope) frames.",
        )
    # The compiled loops do not accept read-only arrays (such as a memory map).
    frames = np.require(frames, requirements=("C", "W"))
    if out is None:
        out = np.empty(frames.shape, frames.dtype)
    elif out.shape != frames.shape or out.dtype != frames.dtype or not out.flags.c_contiguous:
        raise ValueError(f"out must be a C-contiguous {frames.dtype} array of {frames.shape}")
    real = frames.dtype == np.float32
    if real and np.abs(psf.array.imag).max() > 1e-6:
        raise ValueError("real frames need a real PSF: create it with kind='envelope'")
    grid = frames.shape[1:]
    halves = np.array([n // 2 for n in psf.shape], np.int64)
    magnitude = np.abs(psf.array.astype(np.complex128))
    p2 = in_bounds_sum(magnitude**2, grid)
    if real:
        p1 = in_bounds_sum(psf.array.real.astype(np.float64), grid)
        count = in_bounds_sum(np.ones(psf.shape), grid)
    else:
        p2 = p2.astype(np.float32)
    transform = None if psf.factors is not None else _Transform(psf, grid, real)

    def run(part: slice) -> None:
        if transform is None:
            assert psf.factors is not None
            if real:
                fz, fy, fx = (np.ascontiguousarray(f.real, np.float64) for f in psf.factors)
                kernels.separable_real(frames[part], fz, fy, fx, p1, p2, count, out[part])
            else:
                kernels.separable_complex(frames[part], *psf.factors, p2, out[part])
            return
        for frame, target in zip(frames[part], out[part], strict=True):
            sums = transform(frame)
            if real:
                kernels.normalize_real(frame, sums, halves, p1, p2, count, target)
            else:
                kernels.normalize_complex(frame, sums, halves, p2, target)

    for _ in spread(run, frame_slices(len(frames), n_threads())):
        pass
    return np.maximum(out, 0, out=out) if real and psf.bright_only else out


class _Transform:
    """Plain cross-correlation of frames with a PSF by FFT, with zeros outside the frame.

    Uses double precision: in single precision, the rounding errors of the strongest bubbles
    would exceed weak patches, which the normalization amplifies.
    """

    def __init__(self, psf: Psf, grid: tuple[int, ...], real: bool) -> None:
        self.grid = grid
        self.real = real
        self.half = [n // 2 for n in psf.shape]
        self.size = [next_fast_len(n + h, real=real) for n, h in zip(grid, self.half, strict=True)]
        kernel = np.zeros(self.size, np.float64 if real else np.complex128)
        array = psf.array.real if real else psf.array
        for index in np.ndindex(psf.shape):
            offset = [i - h for i, h in zip(index, self.half, strict=True)]
            # If the PSF is larger than the frame, skip the part that never overlaps it.
            if all(abs(o) < n for o, n in zip(offset, grid, strict=True)):
                place = tuple(o % n for o, n in zip(offset, self.size, strict=True))
                kernel[place] += array[index]
        self.kernel = np.conj(rfftn(kernel) if real else fftn(kernel))

    def __call__(self, frame: NDArray[Any]) -> NDArray[Any]:
        inside = tuple(slice(0, n) for n in self.grid)
        if self.real:
            spectrum = rfftn(frame.astype(np.float64), self.size) * self.kernel
            return np.ascontiguousarray(irfftn(spectrum, self.size)[inside])
        spectrum = fftn(frame.astype(np.complex128), self.size) * self.kernel
        return np.ascontiguousarray(ifftn(spectrum, overwrite_x=True)[inside])


def in_bounds_sum(weights: NDArray[np.float64], grid: tuple[int, ...]) -> NDArray[np.float64]:
    """Sum of the patch weights whose voxels lie in the grid, at every voxel of `grid`."""
    total = np.pad(weights, [(1, 0)] * 3)
    for axis in range(3):
        total = total.cumsum(axis)
    for axis, n in enumerate(grid):
        size = weights.shape[axis]
        first = np.maximum(0, size // 2 - np.arange(n))
        stop = np.minimum(size, size // 2 + n - np.arange(n))
        total = np.take(total, stop, axis) - np.take(total, first, axis)
    return np.ascontiguousarray(total)
