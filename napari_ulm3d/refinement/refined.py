"""The refined map: what a network predicted, with what was measured beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.volumes import VesselMap

__all__ = ["KINDS", "TASKS", "RefinedMap", "Task"]

Task = Literal["complete", "superres", "segment"]
TASKS: tuple[Task, ...] = ("complete", "superres", "segment")

#: Values of `RefinedMap.kind`.
KINDS = {1: "artery", 2: "capillary", 3: "vein"}


@dataclass(frozen=True)
class RefinedMap:
    """A map that a network predicted; no measurement, and never taken for one.

    Attributes
    ----------
    task
        ``complete``, ``superres`` or ``segment``.
    probability
        Of vessel, on the voxels that the network considered likely enough to keep (of a
        segmentation: on all that were measured). Its `prediction` is not None.
    measured
        The map that the network read, on the grid that it was read on.
    kind
        segment: the likeliest kind of each vessel voxel, values as in `KINDS`; else None, also
        where no velocities were given.
    weights
        Name, file and SHA-256 of the network's weights.
    source
        What was refined.
    least
        Probability from which on a voxel counts as vessel where nothing else is said.
    notes
        What a user must know of this result.
    """

    task: Task
    probability: VesselMap
    measured: VesselMap
    kind: VesselMap | None
    weights: dict[str, Any]
    source: str
    least: float = 0.5
    notes: tuple[str, ...] = ()

    predicted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.probability.predicted:
            raise ValueError("the probability of a refined map must carry its prediction")

    def mask(self, least: float | None = None) -> VesselMap:
        """The vessel voxels, value 1: those at least so likely.

        Parameters
        ----------
        least
            Probability, over 0 and up to 1; None: `self.least`.

        Raises
        ------
        ConfigError
            No probability.
        """
        bound = self.least if least is None else least
        if not 0 < bound <= 1:
            raise ConfigError(
                f"The least probability is {bound:g}; give one over 0 and up to 1, such as 0.5."
            )
        p = self.probability
        kept = p.index[p.values >= bound]
        return VesselMap(
            "predicted_vessels", p.grid, kept, np.ones(kept.size, np.float32), "",
            prediction=p.prediction,
        )  # fmt: skip

    def added(self, least: float | None = None) -> VesselMap:
        """The vessel voxels in which nothing was measured: what the network added."""
        mask = self.mask(least)
        new = ~np.isin(mask.index, self._measured_index())
        index = mask.index[new]
        return VesselMap(
            "predicted_additions", mask.grid, index, np.ones(index.size, np.float32), "",
            prediction=mask.prediction,
        )  # fmt: skip

    def _measured_index(self) -> NDArray[np.int64]:
        """Voxels of the prediction's grid that lie in measured ones."""
        fine, coarse = self.probability.grid, self.measured.grid
        if fine == coarse:
            return self.measured.index
        places = np.stack(np.unravel_index(self.probability.index, fine.shape), axis=1)
        inside = np.rint(coarse.to_index(fine.to_um(places))).astype(np.int64)
        inside = np.clip(inside, 0, np.asarray(coarse.shape) - 1)
        flat = np.ravel_multi_index(tuple(inside.T), coarse.shape)
        return self.probability.index[np.isin(flat, self.measured.index)]
