"""Images of bubbles measured on a wave simulator, in place of the Gaussian.

The library beside this file holds images of a point at several depths and sides of several
probes, made with `simulate.psfs`. A bubble's image is interpolated between them at its place
within the field of view: the library's depths span the depth of the grid, and its sides half
of the grid's width.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import spline_filter1d

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError

__all__ = ["LIBRARY", "QUANTUM", "MeasuredImage", "image_names", "measured_image"]

LIBRARY = Path(__file__).with_name("measured.npz")
QUANTUM = 1e-3
"""Magnitude of one integer step in the file: -60 dB, below which images are omitted anyway."""

Kind = Literal["linear", "matrix"]


@dataclass(frozen=True)
class MeasuredImage:
    """Images of a point by one probe, in wavelengths, without their carrier.

    Attributes
    ----------
    values
        (depth, side y, side x, z, y, x) complex64, the point at the middle.
    depth, side_y, side_x
        Where the points are.
    step
        (depth, 3) spacing of the samples along z, y, x.
    slope
        (depth, side y, side x, 3) phase along z, y, x that was removed, radians per wavelength.
    fwhm
        (depth, side y, side x, 3) full widths at half maximum along z, y, x.
    held_out
        Only for validation, not for training.
    """

    name: str
    kind: Kind
    held_out: bool
    values: NDArray[np.complex64]
    depth: NDArray[np.float64]
    side_y: NDArray[np.float64]
    side_x: NDArray[np.float64]
    step: NDArray[np.float64]
    slope: NDArray[np.float64]
    fwhm: NDArray[np.float64]

    @cached_property
    def coefficients(self) -> NDArray[np.float32]:
        """Those of cubic B-splines, as `measured_kernels.add_measured` takes them."""
        padding = [(0, 0)] * 3 + [(2, 2) if n > 1 else (0, 0) for n in self.values.shape[3:]]
        whole = np.pad(self.values, padding)
        parts = []
        for part in (whole.real, whole.imag):
            for axis in (3, 4, 5):
                if part.shape[axis] > 1:
                    part = spline_filter1d(part, 3, axis, np.float64, mode="mirror")
            parts.append(part)
        return np.concatenate(parts, axis=-1, dtype=np.float32)

    def add_to(
        self,
        frame: NDArray[np.complex64],
        index: NDArray[np.float64],
        amplitude: NDArray[np.float64],
        voxel: NDArray[np.float64],
    ) -> None:
        """Add bubbles to a frame (z, y, x) in place.

        Parameters
        ----------
        index
            (n, 3) fractional voxel indices.
        amplitude
            (n,) magnitudes.
        voxel
            (3,) spacing of the voxels, wavelengths.
        """
        from napari_ulm3d.simulate.imaging.measured_kernels import add_measured

        add_measured(
            frame,
            np.ascontiguousarray(index),
            amplitude,
            self.coefficients,
            self.step[:, None, None],
            self.slope,
            voxel,
        )

    def depth_index(self, fraction: ArrayLike) -> NDArray[np.float64]:
        """Fractional index along `depth` at a fraction of the grid's depth."""
        return np.clip(np.asarray(fraction, float), 0, 1) * (len(self.depth) - 1)

    def fwhm_at(self, fraction: ArrayLike) -> NDArray[np.float64]:
        """Widths (n, 3), averaged over the sides, at fractions (n,) of the grid's depth."""
        index = self.depth_index(fraction)
        mean = self.fwhm.mean(axis=(1, 2))
        known = np.arange(len(self.depth))
        return np.stack([np.interp(index, known, mean[:, axis]) for axis in range(3)], axis=-1)

    def check(self, grid: Grid) -> None:
        """Check that planes have images of linear probes, and volumes those of matrix probes.

        Raises
        ------
        ConfigError
            They do not match.
        """
        planar = grid.shape[1] == 1
        if planar != (self.kind == "linear"):
            raise ConfigError(
                f"psf.image = '{self.name}' is of a {self.kind} probe, but the grid is "
                f"{'a plane' if planar else 'a volume'}; use one of "
                f"{', '.join(image_names('linear' if planar else 'matrix'))}."
            )


@cache
def _about() -> dict[str, Any]:
    with np.load(LIBRARY, allow_pickle=False) as file:
        return dict(json.loads(str(file["about"])))


def image_names(kind: Kind, *, held_out: bool | None = None) -> tuple[str, ...]:
    """Names of the images of linear or matrix probes; None: both for training and held out."""
    return tuple(
        name
        for name, known in _about()["probes"].items()
        if known["kind"] == kind and (held_out is None or known["held_out"] == held_out)
    )


@cache
def measured_image(name: str) -> MeasuredImage:
    """The measured image of this name.

    Raises
    ------
    ConfigError
        There is none.
    """
    known = _about()["probes"].get(name)
    if known is None:
        raise ConfigError(
            f"There is no measured image '{name}'; there are {', '.join(_about()['probes'])}."
        )
    with np.load(LIBRARY, allow_pickle=False) as file:
        parts = file[name].astype(np.float32) * np.float32(QUANTUM)
    arrays = {key: np.asarray(known[key], float) for key in
              ("depth", "side_y", "side_x", "step", "slope", "fwhm")}  # fmt: skip
    return MeasuredImage(
        name=name,
        kind=known["kind"],
        held_out=known["held_out"],
        values=np.ascontiguousarray(parts).view(np.complex64)[..., 0],
        **arrays,
    )
