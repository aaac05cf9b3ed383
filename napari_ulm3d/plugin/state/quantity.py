"""The quantity that sparsification thresholds, on one frame, with its histogram."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.sparsify import local_contrast_db, power

__all__ = ["N_BINS", "Quantity", "quantity_key", "quantity_of"]

N_BINS = 100
_CONTRAST_RANGE_DB = (-20.0, 30.0)


@dataclass(frozen=True)
class Quantity:
    """Squared correlations or local contrasts of one frame.

    Attributes
    ----------
    values
        (z, y, x): |c|^2, or the local contrast in dB.
    counts
        (`N_BINS`,): the histogram; values beyond its ends count in the outermost bins.
    edges
        (`N_BINS` + 1,): the limits of its bins.
    """

    values: NDArray[np.float32]
    counts: NDArray[np.int64]
    edges: NDArray[np.floating]

    @property
    def centres(self) -> NDArray[np.floating]:
        """The centres of the bins."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def span(self) -> tuple[float, float]:
        """The ends of the histogram."""
        return float(self.edges[0]), float(self.edges[-1])


def quantity_key(settings: SparsifyConfig) -> tuple[Hashable, ...]:
    """The settings that a quantity depends on."""
    contrast = settings.strategy == "contrast"
    return ("contrast", settings.patch_voxels) if contrast else ("power",)


def quantity_of(correlation: NDArray[Any], settings: SparsifyConfig) -> Quantity:
    """The quantity that a strategy thresholds, from the correlation map (z, y, x) of a frame."""
    if settings.strategy == "contrast":
        values = local_contrast_db(correlation, settings.patch_voxels)
        low, high = _CONTRAST_RANGE_DB
    else:
        values = power(correlation)
        low, high = 0.0, 1.0
    shown = np.clip(np.nan_to_num(values, nan=low), low, high)
    counts, edges = np.histogram(shown, N_BINS, (low, high))
    return Quantity(values, counts, edges)
