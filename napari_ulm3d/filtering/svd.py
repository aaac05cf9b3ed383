"""Clutter filter by singular value decomposition of a block (Casorati matrix).

A block of t frames with v voxels is a matrix X (t, v). Tissue, which is strong and similar
across frames and wide regions, is concentrated in the first singular components. Projecting them
out leaves bubbles and noise (Demene et al., IEEE TMI 34, 2271 (2015)). If only a few
components are dropped, they are computed with a randomized range finder (`filtering.randomized`).
If all are needed, the temporal singular vectors are computed from the t x t Gram matrix X X^H,
since t << v.

Precision: tissue is 25-60 dB above bubbles, so the Gram matrix, in which this ratio is
squared, is accumulated in double precision. In single precision, its rounding errors
would be as large as the bubbles' eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk, zherk

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.filtering._chunks import one_blas_thread, spread, voxel_slices
from napari_ulm3d.filtering.randomized import leading_components, pays_off
from napari_ulm3d.filtering.similarity import tissue_components
from napari_ulm3d.filtering.tissue_cut import tissue_cut

__all__ = [
    "Components",
    "kept_components",
    "project_components",
    "svd_components",
    "svd_filter",
    "svd_spectrum",
]

_STRIPS = 8
"""Number of partial Gram matrices; fixed, so that the order of summation is fixed."""


def svd_spectrum(block: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Singular values and temporal singular vectors of a block.

    Parameters
    ----------
    block
        (t, z, y, x) complex64 or float32.

    Returns
    -------
    values
        (t,) float64, descending. With fewer voxels than frames, the last ones are zero.
    vectors
        (t, t) complex128 or float64, orthonormal: column k is the time course of component k,
        defined up to a phase (sign).

    Raises
    ------
    InputError
        The block does not have four axes, or is neither complex64 nor float32.
    """
    casorati = _casorati(block)
    with one_blas_thread():
        gram = _gram(casorati)
        powers, vectors = eigh(gram, lower=False, overwrite_a=True, check_finite=True)
    values = np.sqrt(np.maximum(powers[::-1], 0.0))
    return values, np.ascontiguousarray(vectors[:, ::-1])


def kept_components(n_frames: int, first: int, last: int) -> tuple[int, int]:
    """Range of components kept in a block, counted from 1, inclusive, clipped to its frames.

    Raises
    ------
    ConfigError
        The block has fewer frames than the first component to keep.
    """
    if first > n_frames:
        raise ConfigError(
            f"clutter.svd_range keeps components {first} to {last}, but the block has only "
            f"{n_frames} frames and therefore {n_frames} components. Lower clutter.svd_range, "
            "use longer blocks (load.frames_per_block), or set clutter.method=bandpass."
        )
    return first, min(last, n_frames)


def project_components(
    block: NDArray[Any],
    vectors: NDArray[Any],
    kept: tuple[int, int],
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Keep the components `kept` (from 1, inclusive) of a block and drop the others.

    Parameters
    ----------
    block
        (t, z, y, x) complex64 or float32.
    vectors
        (t, t) temporal singular vectors from `svd_spectrum`, or (t, n) of the n strongest if no
        others are dropped.
    kept
        First and last component kept, counted from 1.
    out
        Output array with the block's shape and dtype, C-contiguous; may be `block`
        itself. None: a new array.

    Returns
    -------
    `out`: V_kept V_kept^H X, computed from either the kept or the dropped vectors, whichever
    are fewer.
    """
    casorati = _casorati(block)
    if out is None:
        out = np.empty(block.shape, block.dtype)
    elif out.shape != block.shape or out.dtype != block.dtype or not out.flags.c_contiguous:
        raise ValueError(f"out must be a C-contiguous {block.dtype} array of shape {block.shape}")
    target = out.reshape(casorati.shape)
    n_frames = casorati.shape[0]
    keep = np.zeros(n_frames, bool)
    keep[kept[0] - 1 : kept[1]] = True
    subtract = 2 * np.count_nonzero(keep) >= n_frames
    chosen = (~keep if subtract else keep).nonzero()[0]
    if chosen.size and chosen[-1] >= vectors.shape[1]:
        raise ValueError(f"component {chosen[-1] + 1} was requested of {vectors.shape[1]} vectors")
    basis = np.ascontiguousarray(vectors[:, chosen].astype(block.dtype))
    adjoint = np.ascontiguousarray(basis.conj().T)

    def apply(columns: slice) -> None:
        part = casorati[:, columns]
        projected = basis @ (adjoint @ part)
        if subtract:
            np.subtract(part, projected, out=target[:, columns])
        else:
            target[:, columns] = projected

    with one_blas_thread():
        for _ in spread(apply, voxel_slices(casorati.shape[1], n_frames)):
            pass
    return out


def svd_filter(
    block: NDArray[Any], config: ClutterConfig, *, out: NDArray[Any] | None = None
) -> tuple[NDArray[Any], tuple[int, int], NDArray[np.float64]]:
    """Remove the singular components outside `config.svd_range` from a block.

    Without `config.svd_range`, the first component kept is determined by the spread of the spatial
    singular vectors (see `filtering.tissue_cut`), and the last is the last of the block. With
    `config.svd_automatic`, the first is determined by their similarity (see `filtering.similarity`)
    and the last is that of `config.svd_range`.

    Parameters
    ----------
    block
        (t, z, y, x) complex64 or float32.
    config
        `svd_range` counts from 1 (the strongest), includes both ends, and is clipped to t.
        `decomposition` "auto" uses the range finder if it is faster and drops no weak component.
    out
        As in `project_components`; pass `block` to filter in place.

    Returns
    -------
    filtered
        (t, z, y, x), the block's dtype.
    kept
        First and last component kept, counted from 1.
    values
        Singular values of the unfiltered block, descending: all t, or, with the range finder,
        those that were dropped.

    Raises
    ------
    ConfigError
        The block has fewer frames than the first component to keep, or the range finder is
        requested but not applicable.
    InputError
        The block is not usable (axes, dtype).

    References
    ----------
    Demene et al., "Spatiotemporal clutter filtering of ultrafast ultrasound data highly
    increases Doppler and fUltrasound sensitivity", IEEE TMI 34 (2015).
    """
    found = svd_components(block, config)
    return project_components(block, found.vectors, found.kept, out=out), found.kept, found.values


@dataclass(frozen=True)
class Components:
    """Singular components of a block.

    Attributes
    ----------
    vectors
        (t, n) temporal singular vectors, strongest first: all t, or those that are dropped.
    kept
        First and last component to keep, counted from 1.
    values
        (n,) singular values, descending.
    """

    vectors: NDArray[Any]
    kept: tuple[int, int]
    values: NDArray[np.float64]

    def dropped(self) -> NDArray[Any]:
        """(t, m) complex64 or float32 temporal singular vectors of the dropped components.

        With these as columns of D, a filtered block is ``x - D D^H x``.
        """
        first, last = self.kept
        kind = np.complex64 if np.iscomplexobj(self.vectors) else np.float32
        return np.delete(self.vectors, slice(first - 1, last), axis=1).astype(kind)


def svd_components(
    block: NDArray[Any], config: ClutterConfig, valid: NDArray[np.bool_] | None = None
) -> Components:
    """The components of a block and those that `svd_filter` keeps; arguments as there.

    Tissue is recognized in the voxels that are `valid`, (z, y, x); None: in all.
    """
    n_frames = block.shape[0]
    first, last = config.svd_range or (1, n_frames)
    if config.svd_range is None and not config.svd_automatic:
        first = tissue_cut(block, valid).first
    if not config.svd_automatic:
        kept = kept_components(n_frames, first, last)  # check before filtering
        if _randomized(config, kept, n_frames):
            values, vectors = leading_components(_casorati(block), kept[0] - 1)
            return Components(vectors, kept, values)
    elif config.decomposition == "randomized":
        raise ConfigError(
            "clutter.svd_automatic needs all singular components. Set clutter.decomposition "
            "to auto or full."
        )
    values, vectors = svd_spectrum(block)
    if config.svd_automatic:
        first = tissue_components(block, values, vectors) + 1
        last = max(first, last)
    kept = kept_components(n_frames, first, last)
    return Components(vectors, kept, values)


def _randomized(config: ClutterConfig, kept: tuple[int, int], n_frames: int) -> bool:
    """Whether only the strongest components are needed, so that the range finder applies."""
    first, last = kept
    if config.decomposition == "randomized" and last < n_frames:
        raise ConfigError(
            f"clutter.svd_range removes the components after {last} of {n_frames}, which "
            "clutter.decomposition=randomized does not compute. Set the end of the range to "
            f"{n_frames} or more, or clutter.decomposition to full."
        )
    if config.decomposition == "auto":
        return last == n_frames and pays_off(first - 1, n_frames)
    return config.decomposition == "randomized"


def _casorati(block: NDArray[Any]) -> NDArray[Any]:
    if block.ndim != 4 or min(block.shape) < 1:
        raise InputError(
            None,
            f"The block has the shape {block.shape}",
            "Give frames with four non-empty axes (t, z, y, x).",
        )
    if block.dtype not in (np.complex64, np.float32):
        raise InputError(
            None,
            f"The block contains {block.dtype}",
            "Convert it to complex64 (IQ) or float32 (envelope).",
        )
    return np.ascontiguousarray(block).reshape(block.shape[0], -1)


def _gram(casorati: NDArray[Any]) -> NDArray[Any]:
    """X X^H (t, t) in double precision; only the upper triangle is filled."""
    n_frames, n_voxels = casorati.shape
    complex_input = casorati.dtype.kind == "c"
    double = np.complex128 if complex_input else np.float64
    slices = voxel_slices(n_voxels, n_frames)

    def partial(strip: int) -> NDArray[Any]:
        gram = np.zeros((n_frames, n_frames), double, order="F")
        for columns in slices[strip::_STRIPS]:
            # The transpose is Fortran-ordered, as required by BLAS, without a copy.
            part = casorati[:, columns].astype(double).T
            if complex_input:
                gram = zherk(1.0, part, beta=1.0, c=gram, trans=2, overwrite_c=1)
            else:
                gram = dsyrk(1.0, part, beta=1.0, c=gram, trans=1, overwrite_c=1)
        return gram

    total = np.zeros((n_frames, n_frames), double, order="F")
    for gram in spread(partial, range(min(_STRIPS, len(slices)))):
        total += gram
    # BLAS computed conj(X) X^T, the conjugate of the desired matrix.
    return total.conj() if complex_input else total
