"""The clutter filter, which removes tissue and keeps bubbles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.filtering.bandpass import bandpass_filter, bandpass_matrix
from napari_ulm3d.filtering.regions import svd_filter_by_regions
from napari_ulm3d.filtering.svd import project_components, svd_components
from napari_ulm3d.filtering.valid import valid_voxels

if TYPE_CHECKING:
    from napari_ulm3d.motion import BlockMotion

__all__ = ["FilteredBlock", "clutter_filter"]


@dataclass(frozen=True)
class FilteredBlock:
    """A block after the clutter filter, with facts about the filtering.

    Attributes
    ----------
    frames
        (t, z, y, x) complex64, or float32 for an envelope (of both signs, since the filter
        removes the mean).
    components
        First and last singular component kept, counted from 1 (with regions, the first is their median);
        None without SVD.
    singular_values
        float64, of the unfiltered block, descending: all t, or, with the range finder, those of
        the dropped components; None without SVD or with regions.
    bandpass_hz
        Cut-off frequencies, Hz; None without bandpass.
    exponent
        The frames were multiplied by 2**exponent before filtering (see `amplitude`).
    valid
        (z, y, x) voxels with data (`valid_voxels` of the unfiltered block); None: all.
    motion
        Tissue motion estimated on the unfiltered block; None if not requested.
    resident
        The same frames as a PyTorch tensor, if they were filtered on a GPU.
    removed
        (t, n) temporal singular vectors that were removed, orthonormal; None unless the SVD was
        the only filter, of the whole volume.
    """

    frames: NDArray[Any]
    components: tuple[int, int] | None = None
    singular_values: NDArray[np.float64] | None = None
    bandpass_hz: tuple[float, float] | None = None
    exponent: int = 0
    valid: NDArray[np.bool_] | None = None
    motion: BlockMotion | None = None
    resident: Any = None
    removed: NDArray[Any] | None = None

    def part(self, start: int, stop: int) -> FilteredBlock:
        """A range of frames, without `removed`, which is defined only for the whole block."""
        return replace(self, frames=self.frames[start:stop], removed=None, resident=None)

    @property
    def summary(self) -> str:
        """Summary in one line for the log."""
        parts = []
        if self.components is not None:
            first, last = self.components
            parts.append(f"singular components {first} to {last} of {self.frames.shape[0]} kept")
        if self.bandpass_hz is not None:
            parts.append(f"{self.bandpass_hz[0]:g} to {self.bandpass_hz[1]:g} Hz kept")
        if self.exponent:
            parts.append(f"amplitudes multiplied by 2^{self.exponent} for single precision")
        return "; ".join(parts) or "no clutter filter"


def clutter_filter(block: NDArray[Any], rate_hz: float, config: ClutterConfig) -> FilteredBlock:
    """Remove tissue from a block. **Overwrites `block`**, so that only one block is in memory (two with regions).

    Parameters
    ----------
    block
        (t, z, y, x) complex64 (IQ) or float32 (envelope), C-contiguous; its memory is reused
        for the result. Pass a copy to keep it.
    rate_hz
        Frames per second.
    config
        Method and its settings. With ``svd+bandpass``, the SVD is applied first.

    Raises
    ------
    ConfigError
        The block is too short for `svd_range` or the bandpass, or a cut-off is at or above
        half the frame rate. In this case, `block` is unchanged.
    InputError
        The block is not usable (axes, dtype).
    """
    block = np.ascontiguousarray(block)
    use_svd = config.method in ("svd", "svd+bandpass")
    use_bandpass = config.method in ("bandpass", "svd+bandpass")
    if use_bandpass:  # check before filtering
        bandpass_matrix(block.shape[0], rate_hz, config.bandpass_hz, config.bandpass_order)
    valid = valid_voxels(block)
    components, values, removed = None, None, None
    if use_svd and config.regions is not None:
        block, components = svd_filter_by_regions(block, config, valid)
    elif use_svd:
        found = svd_components(block, config, valid)
        block = project_components(block, found.vectors, found.kept, out=block)
        components, values = found.kept, found.values
        removed = None if use_bandpass else found.dropped()
    if use_bandpass:
        block = bandpass_filter(block, rate_hz, config, out=block)
    cut_offs = config.bandpass_hz if use_bandpass else None
    some = None if valid.all() else valid
    return FilteredBlock(block, components, values, cut_offs, valid=some, removed=removed)
