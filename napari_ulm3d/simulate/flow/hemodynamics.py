"""Pressures and flows in a vessel network: Poiseuille's law with conservation at every node."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.errors import InputError
from napari_ulm3d.simulate.flow.ends import choose_boundary
from napari_ulm3d.simulate.vasculature.boundary import BoundaryConditions
from napari_ulm3d.simulate.vasculature.network import VesselNetwork

__all__ = ["FlowConfig", "conductance", "pries_viscosity", "solve_flow"]

# Converts um^4 / (mPa s um) x mmHg to nl/min.
_NL_MIN = 1e-18 / 1e-3 * 1e12 * 60 * 133.322387415
_REFERENCE_CELL_FL = 92.0  # human red cells, for which the viscosity law was measured


class FlowConfig(StageConfig):
    """Blood flow through the vessels."""

    viscosity: Literal["pries", "constant"] = setting(
        "pries", "Apparent viscosity: Pries's in-vivo law of the diameter, or a constant."
    )
    viscosity_mpa_s: float = setting(3.0, "For constant: the viscosity.", "mPa s", gt=0)
    plasma_viscosity_mpa_s: float = setting(1.05, "For pries: viscosity of plasma.", "mPa s", gt=0)
    hematocrit: float = setting(
        0.4, "For pries: haematocrit (volume fraction of red cells).", ge=0, le=0.8
    )
    red_cell_fl: float = setting(
        55.0, "For pries: volume of a red cell (mouse 55, rat 60, human 92).", "fl", gt=0
    )
    inlet_mmhg: float = setting(60.0, "Pressure where blood enters.", "mmHg")
    outlet_mmhg: float = setting(15.0, "Pressure where blood leaves.", "mmHg")
    tree_outflow: Literal["pressure", "murray"] = setting(
        "murray",
        "Ends of a tree: all at the outlet pressure, or outflow proportional to radius^3.",
    )
    max_speed_mm_s: float | None = setting(
        25.0,
        "Scale all flows so that the fastest centreline has this speed. None: as solved.",
        "mm/s",
        gt=0,
    )
    speed_share: float | None = setting(
        None,
        "Fraction of the blood for which max_speed_mm_s holds; excludes vessels traced "
        "too narrow. None: all of it if vessels have kinds (as grown ones do), otherwise "
        "0.99.",
        gt=0,
        le=1,
    )

    @model_validator(mode="after")
    def _downhill(self) -> Self:
        if not self.inlet_mmhg > self.outlet_mmhg:
            raise ValueError("inlet_mmhg must be above outlet_mmhg")
        return self


def solve_flow(
    network: VesselNetwork,
    boundary: BoundaryConditions | None = None,
    config: FlowConfig | None = None,
) -> VesselNetwork:
    """Solve for the flow in every segment of a network.

    Each segment is a tube with Poiseuille's conductance. Inflow and outflow balance at every
    node, which gives one sparse linear system for the pressures.

    Parameters
    ----------
    network
        The vessels; any existing flow is replaced.
    boundary
        Conditions at the ends. None: chosen by `choose_boundary` (ends of arteries are inlets,
        ends of veins outlets; the root of a tree feeds its leaves; else the widest ends alternate).
    config
        Viscosity, pressures and the speed to scale to. The flows are scaled even with given
        boundary conditions, unless `max_speed_mm_s` is None.

    Returns
    -------
    VesselNetwork
        The same vessels with `flow_nl_min`. Parts without any boundary condition have zero flow.

    Raises
    ------
    InputError
        Nothing could drive a flow.
    """
    config = config or FlowConfig()
    if boundary is None:
        boundary = choose_boundary(
            network, config.inlet_mmhg, config.outlet_mmhg, config.tree_outflow
        )
    boundary.checked(network)
    flow = _flow_of(network, conductance(network, config), boundary)
    inflow = np.abs(boundary.flow_nl_min).sum() if boundary.flow_node.size else 0.0
    if not np.abs(flow).max(initial=0.0) > 1e-12 * max(inflow, 1e-12):
        raise InputError(
            None,
            f"The vessel network '{network.name}' has no flow",
            "It needs an inlet and an outlet that are connected.",
        )
    solved = network.with_flow(flow)
    if config.max_speed_mm_s is None:
        return solved
    share = config.speed_share
    if share is None:
        share = 0.99 if network.kind is None else 1.0
    return solved.scaled_to_speed(config.max_speed_mm_s, share)


def conductance(network: VesselNetwork, config: FlowConfig) -> NDArray[np.float64]:
    """Poiseuille's pi r^4 / (8 viscosity length) of each segment, (m,), nl/min per mmHg."""
    if config.viscosity == "constant":
        viscosity: NDArray[np.float64] | float = config.viscosity_mpa_s
    else:
        viscosity = config.plasma_viscosity_mpa_s * pries_viscosity(
            2 * network.radius_um, config.hematocrit, config.red_cell_fl
        )
    length = np.maximum(network.length_um, 1e-3)
    return np.pi * network.radius_um**4 / (8 * viscosity * length) * _NL_MIN


def pries_viscosity(
    diameter_um: NDArray[np.floating] | float, hematocrit: float, red_cell_fl: float = 92.0
) -> NDArray[np.float64]:
    """Apparent viscosity of blood in vivo, relative to plasma.

    Pries, Secomb, Gessner, Sperandio, Gross & Gaehtgens, Circ. Res. 75:904-915 (1994),
    in-vivo law; diameters are scaled by the cube root of the red cell volume relative to the
    human value of 92 fl.

    Parameters
    ----------
    diameter_um
        Inner diameter, micrometres. Values below 2 um (where the law diverges, and no red cell
        passes) are replaced by 2 um.
    hematocrit
        Discharge hematocrit, 0 to 0.8.
    red_cell_fl
        Mean volume of a red cell, femtolitres.
    """
    scale = (_REFERENCE_CELL_FL / red_cell_fl) ** (1 / 3)
    d = np.maximum(np.asarray(diameter_um, np.float64), 2.0) * scale
    wide = 1 / (1 + 1e-11 * d**12)
    shape = (0.8 + np.exp(-0.075 * d)) * (wide - 1) + wide
    at_45 = 6 * np.exp(-0.085 * d) + 3.2 - 2.44 * np.exp(-0.06 * d**0.645)
    layer = (d / (d - 1.1)) ** 2
    ratio = ((1 - hematocrit) ** shape - 1) / (0.55**shape - 1)
    return (1 + (at_45 - 1) * ratio * layer) * layer


def _flow_of(
    network: VesselNetwork, conductances: NDArray[np.float64], boundary: BoundaryConditions
) -> NDArray[np.float64]:
    """Flows (m,), nl/min, from the pressures that balance every node."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import splu

    n = network.n_nodes
    a, b = network.segments.T
    known = np.zeros(n, bool)
    pressure = np.zeros(n)
    known[boundary.pressure_node] = True
    pressure[boundary.pressure_node] = boundary.pressure_mmhg
    inflow = np.bincount(boundary.flow_node, weights=boundary.flow_nl_min, minlength=n)
    _pin_free_parts(network, known, boundary.flow_node)

    free = np.flatnonzero(~known)
    place = np.full(n, -1)
    place[free] = np.arange(free.size)
    i, j = np.concatenate([a, b]), np.concatenate([b, a])
    g = np.concatenate([conductances, conductances])
    diagonal = np.bincount(i, weights=g, minlength=n)
    isolated = diagonal[free] == 0
    inner = ~known[i] & ~known[j]
    rows = np.concatenate([place[i[inner]], np.arange(free.size)])
    columns = np.concatenate([place[j[inner]], np.arange(free.size)])
    values = np.concatenate([-g[inner], np.where(isolated, 1.0, diagonal[free])])
    if free.size:
        matrix = coo_array((values, (rows, columns)), shape=(free.size, free.size)).tocsc()
        solve = splu(
            matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        ).solve  # fmt: skip
        # Iterative refinement on the flows themselves, since these must balance.
        for _ in range(4):
            flow = conductances * (pressure[a] - pressure[b])
            imbalance = inflow - np.bincount(a, weights=flow, minlength=n)
            imbalance += np.bincount(b, weights=flow, minlength=n)
            pressure[free] += solve(np.where(isolated, 0.0, imbalance[free]))
    return conductances * (pressure[a] - pressure[b])


def _pin_free_parts(
    network: VesselNetwork, known: NDArray[np.bool_], flow_node: NDArray[np.int64]
) -> None:
    """Set one node to zero in every connected part without a known pressure.

    The flow does not depend on this level. A node with a given flow is preferred, so that
    any imbalance of the given flows leaves the network at an end.
    """
    count, label = network.components()
    pinned = np.zeros(count, bool)
    pinned[label[known]] = True
    order = np.concatenate([flow_node, np.arange(network.n_nodes)])
    first = np.full(count, -1)
    first[label[order[::-1]]] = order[::-1]
    known[first[~pinned]] = True
