"""The refined map: a network's prediction, together with the measured map."""

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
    """A map predicted by a network; not a measurement.

    Attributes
    ----------
    task
        ``complete``, ``superres`` or ``segment``.
    probability
        Probability of vessel on the voxels that the network kept (for a segmentation, on all
        measured voxels). Its `prediction` is not None.
    measured
        The network's input map, on the working grid.
    kind
        segment: most probable kind of each vessel voxel, values as in `KINDS`. None for other
        tasks and without velocities.
    weights
        Name, file and SHA-256 of the network's weights.
    source
        Name of the refined map, run or file.
    least
        Default probability at or above which a voxel counts as vessel.
    notes
        Remarks for the user on this result.
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
        """Vessel voxels (value 1), by a threshold on the probability.

        Parameters
        ----------
        least
            Threshold, above 0 and at most 1; None: `self.least`.

        Raises
        ------
        ConfigError
            `least` is outside this range.
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
        """Vessel voxels added by the network, that is, without a measurement."""
        mask = self.mask(least)
        new = ~np.isin(mask.index, self._measured_index())
        index = mask.index[new]
        return VesselMap(
            "predicted_additions", mask.grid, index, np.ones(index.size, np.float32), "",
            prediction=mask.prediction,
        )  # fmt: skip

    def _measured_index(self) -> NDArray[np.int64]:
        """Voxels of the prediction's grid that lie in measured voxels."""
        fine, coarse = self.probability.grid, self.measured.grid
        if fine == coarse:
            return self.measured.index
        places = np.stack(np.unravel_index(self.probability.index, fine.shape), axis=1)
        inside = np.rint(coarse.to_index(fine.to_um(places))).astype(np.int64)
        inside = np.clip(inside, 0, np.asarray(coarse.shape) - 1)
        flat = np.ravel_multi_index(tuple(inside.T), coarse.shape)
        return self.probability.index[np.isin(flat, self.measured.index)]
