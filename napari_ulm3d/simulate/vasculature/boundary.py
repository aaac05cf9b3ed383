"""Boundary conditions at the ends of a network: pressures or flows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.simulate.vasculature.network import VesselNetwork

__all__ = ["BoundaryConditions"]


@dataclass(frozen=True)
class BoundaryConditions:
    """Known pressures and flows at some nodes; elsewhere, no flow enters or leaves.

    Parameters
    ----------
    pressure_node, pressure_mmhg
        (k,) nodes with known pressure, and the pressures, mmHg.
    flow_node, flow_nl_min
        (j,) nodes with known flow, and the flows, nl/min, positive into the network.
    """

    pressure_node: NDArray[np.int64]
    pressure_mmhg: NDArray[np.float64]
    flow_node: NDArray[np.int64]
    flow_nl_min: NDArray[np.float64]

    @classmethod
    def of_pressures(
        cls, node: NDArray[np.integer], pressure_mmhg: NDArray[np.floating]
    ) -> BoundaryConditions:
        """Boundary conditions with pressures only."""
        return cls(
            np.asarray(node, np.int64),
            np.asarray(pressure_mmhg, np.float64),
            np.empty(0, np.int64),
            np.empty(0),
        )

    def checked(self, network: VesselNetwork) -> BoundaryConditions:
        """Return itself if it fits the network; otherwise raise `InputError`."""
        for node, value in (
            (self.pressure_node, self.pressure_mmhg),
            (self.flow_node, self.flow_nl_min),
        ):
            if node.shape != value.shape or not np.isfinite(value).all():
                raise InputError(
                    None,
                    "A boundary condition lacks its node or a finite value",
                    "Give one value per node.",
                )
            if node.size and (node.min() < 0 or node.max() >= network.n_nodes):
                raise InputError(
                    None,
                    f"A boundary condition names a node that '{network.name}' does not have",
                    f"Use nodes from 0 to {network.n_nodes - 1}.",
                )
        return self
