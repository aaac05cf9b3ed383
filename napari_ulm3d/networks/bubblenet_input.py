"""Input of `BubbleNet`: kept voxels with their correlation and amplitude."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse_frames import SparseFrames

if TYPE_CHECKING:
    import torch

    from napari_ulm3d.sparse import Backend, SparseTensor

__all__ = ["N_CHANNELS", "BubbleInput", "bubble_input", "collate", "features_of", "noise_level"]

N_CHANNELS = 9
"""Real and imaginary part of the correlation and of the amplitude, |c|, level, three widths."""

_MEDIAN_OF_RAYLEIGH = float(np.sqrt(np.log(2)))
"""Median magnitude of complex Gaussian noise divided by its RMS."""


@dataclass(frozen=True)
class BubbleInput:
    """Kept voxels of consecutive frames, in dimensionless quantities.

    Attributes
    ----------
    coordinates
        (n, 4) int32: t, z, y, x, sorted lexicographically.
    correlation
        (n,) complex64 correlation with the PSF, without the axial carrier.
    amplitude
        (n,) complex64 values of the filtered frames over the noise level, without the carrier.
    shape
        (t, z, y, x) of the dense frames.
    fwhm_voxels
        Widths of the PSF along z, y, x.
    first_frame
        Number of the first frame in the whole acquisition.
    """

    coordinates: NDArray[np.int32]
    correlation: NDArray[np.complex64]
    amplitude: NDArray[np.complex64]
    shape: tuple[int, int, int, int]
    fwhm_voxels: tuple[float, float, float]
    first_frame: int = 0

    def __len__(self) -> int:
        return len(self.coordinates)

    def window(self, start: int, stop: int) -> BubbleInput:
        """Frames start..stop-1, counted from 0 again."""
        low, high = np.searchsorted(self.coordinates[:, 0], (start, stop))
        coordinates = self.coordinates[low:high].copy()
        coordinates[:, 0] -= start
        return replace(
            self,
            coordinates=coordinates,
            correlation=self.correlation[low:high],
            amplitude=self.amplitude[low:high],
            shape=(stop - start, *self.shape[1:]),
            first_frame=self.first_frame + start,
        )

    def part(self, rows: NDArray[np.intp], box: Sequence[tuple[int, int]]) -> BubbleInput:
        """Select voxels in a box of t, z, y, x; coordinates are relative to the box.

        Parameters
        ----------
        rows
            Rows of these voxels, ascending.
        box
            First and one-past-last index along each axis.
        """
        low = np.array([span[0] for span in box], np.int32)
        t, z, y, x = (span[1] - span[0] for span in box)
        return replace(
            self,
            coordinates=self.coordinates[rows] - low,
            correlation=self.correlation[rows],
            amplitude=self.amplitude[rows],
            shape=(t, z, y, x),
            first_frame=self.first_frame + int(low[0]),
        )

    def mirrored(self, axes: Collection[int]) -> tuple[BubbleInput, NDArray[np.intp]]:
        """Mirror along some axes; also return the original row of each new row.

        Mirroring depth reverses the phase gradient of a bubble, so the values are conjugated.

        Parameters
        ----------
        axes
            Axes from 0 to 3: t, z, y, x.
        """
        coordinates = self.coordinates.copy()
        for axis in axes:
            coordinates[:, axis] = self.shape[axis] - 1 - coordinates[:, axis]
        order = np.lexsort(coordinates.T[::-1])
        correlation, amplitude = self.correlation[order], self.amplitude[order]
        if 1 in axes:
            correlation, amplitude = correlation.conj(), amplitude.conj()
        image = replace(
            self, coordinates=coordinates[order], correlation=correlation, amplitude=amplitude
        )
        return image, order


def noise_level(frames: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> float:
    """Noise level of filtered frames: its RMS, estimated from the median magnitude.

    Bubbles fill a small fraction of the voxels with data, so the median is that of the noise
    (Rayleigh).

    Parameters
    ----------
    frames
        (t, z, y, x) complex64 or float32, after the clutter filter.
    valid
        (z, y, x) voxels with data (`filtering.valid_voxels`); None: those that are not
        always zero.

    Returns
    -------
    The RMS; 0 if no voxel has data.
    """
    magnitude = np.abs(frames[:: max(1, len(frames) // 16)])
    if valid is None:
        valid = magnitude.any(axis=0)
    if not valid.all():
        magnitude = magnitude[:, valid]
    return float(np.median(magnitude)) / _MEDIAN_OF_RAYLEIGH if magnitude.size else 0.0


def bubble_input(
    frames: NDArray[Any],
    kept: SparseFrames,
    *,
    fwhm_voxels: tuple[float, float, float],
    carrier_rad: float,
    level: float,
) -> BubbleInput:
    """The network's input from filtered frames and the voxels kept in their correlation map.

    Parameters
    ----------
    frames
        (t, z, y, x) filtered frames.
    kept
        Voxels kept in the correlation map of these frames.
    fwhm_voxels, carrier_rad
        Widths of the PSF, and its phase step from one voxel to the next deeper one.
    level
        Noise level of the whole block (`noise_level`).

    Raises
    ------
    ConfigError
        Frames and voxels differ in shape.
    """
    if frames.shape != kept.shape:
        raise ConfigError(
            f"The kept voxels of frames {kept.shape} do not match frames {frames.shape}. "
            "Sparsify the correlation map of these frames."
        )
    # Around a bubble the phase increases with depth by the carrier; without it, it is constant.
    carrier = np.exp(-1j * carrier_rad * np.arange(kept.shape[1])).astype(np.complex64)
    turn = carrier[kept.coordinates[:, 1]]
    floor = float(np.finfo(np.float32).tiny)
    amplitude = frames[tuple(kept.coordinates.T)] / np.float32(max(level, floor))
    return BubbleInput(
        coordinates=kept.coordinates,
        correlation=(kept.values * turn).astype(np.complex64),
        amplitude=(amplitude * turn).astype(np.complex64),
        shape=kept.shape,
        fwhm_voxels=fwhm_voxels,
        first_frame=kept.first_frame,
    )


def collate(
    windows: Sequence[BubbleInput],
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
) -> SparseTensor:
    """Windows as a batch, (n, `N_CHANNELS`) features.

    Rows are those of the windows, one window after the other. The grid is that of the largest, which adds no
    voxels and changes no neighbours.

    Raises
    ------
    ConfigError
        The windows differ in their numbers of frames.
    """
    import torch

    from napari_ulm3d.sparse import SparseTensor

    if len({window.shape[0] for window in windows}) != 1:
        raise ConfigError(
            "A batch needs at least one window, and all windows must have the same number of frames."
        )
    indices = np.concatenate(
        [np.insert(window.coordinates, 0, k, axis=1) for k, window in enumerate(windows)]
    )
    parts = [
        features_of(
            torch.from_numpy(window.correlation).to(device),
            torch.from_numpy(window.amplitude).to(device),
            window.fwhm_voxels,
        )
        for window in windows
    ]
    return SparseTensor.create(
        torch.from_numpy(indices.astype(np.int32)),
        torch.cat(parts),
        tuple(np.max([window.shape for window in windows], axis=0).tolist()),
        len(windows),
        backend=backend,
    )


def features_of(
    correlation: torch.Tensor, amplitude: torch.Tensor, fwhm_voxels: Sequence[float]
) -> torch.Tensor:
    """(n, `N_CHANNELS`) float32 features of kept voxels, on the device of their values.

    Parameters
    ----------
    correlation, amplitude, fwhm_voxels
        As in `BubbleInput`.
    """
    import torch

    widths = torch.tensor([math.log(width / 2.5) for width in fwhm_voxels], dtype=torch.float32)
    return torch.cat(
        [
            torch.view_as_real(correlation),
            torch.view_as_real(amplitude),
            correlation.abs()[:, None],
            torch.log10(amplitude.abs() + 0.1)[:, None],
            widths.to(correlation.device).expand(len(correlation), -1),
        ],
        dim=1,
    )
