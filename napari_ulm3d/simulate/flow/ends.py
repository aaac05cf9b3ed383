"""Choice of inlets and outlets of a network, if they are not given."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.simulate.vasculature.boundary import BoundaryConditions
from napari_ulm3d.simulate.vasculature.network import ARTERY, VEIN, VesselNetwork

__all__ = ["choose_boundary"]

# A capillary cut at the border of a stack is not a main vessel: main ends have at least this
# fraction of the radius of the widest end.
_MAIN_END = 0.5
# Outflow at the end of a tree as pi r^3 / 4 x wall shear rate of 1000 / s, in nl/min per um^3.
_MURRAY_NL_MIN = np.pi / 4 * 1000 * 60 / 1e6


def choose_boundary(
    network: VesselNetwork,
    inlet_mmhg: float = 60.0,
    outlet_mmhg: float = 15.0,
    tree_outflow: Literal["pressure", "murray"] = "murray",
) -> BoundaryConditions:
    """Derive boundary conditions from the network itself, for each connected part.

    * With arteries and veins labelled: ends of arteries are inlets, ends of veins outlets.
    * A tree (no loops): its widest end (the first node among equals, which is the root of an
      SWC file) is the inlet, all others are outlets, by pressure or with outflows in
      proportion to radius cubed (Murray, PNAS 12:207, 1926).
    * A mesh: ends at least half as wide as the widest alternate as inlet and outlet, in order
      of decreasing width; narrower ends get the pressure midway.

    Parameters
    ----------
    network
        The vessels, with or without `kind`.
    inlet_mmhg, outlet_mmhg
        Pressures, mmHg.
    tree_outflow
        For trees: ``pressure`` or ``murray``.
    """
    end = np.flatnonzero(network.degree == 1)
    if end.size < 2:
        raise _no_ends(network)
    segment = np.full(network.n_nodes, -1)
    segment[network.segments] = np.arange(network.n_segments)[:, None]
    kind = None if network.kind is None else network.kind[segment[end]]
    if kind is not None and (kind == ARTERY).any() and (kind == VEIN).any():
        main = (kind == ARTERY) | (kind == VEIN)
        level = np.where(kind[main] == ARTERY, inlet_mmhg, outlet_mmhg)
        return BoundaryConditions.of_pressures(end[main], level)

    radius = network.radius_um[segment[end]]
    count, label = network.components()
    loops = (
        np.bincount(label[network.segments[:, 0]], minlength=count)
        - np.bincount(label, minlength=count)
        + 1
    )
    order = np.lexsort((end, -radius, label[end]))
    pressures: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    flows: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    parts = np.flatnonzero(np.diff(label[end][order])) + 1
    for rows in np.split(order, parts):
        if rows.size < 2:
            continue
        nodes, wide = end[rows], radius[rows]
        if loops[label[nodes[0]]] == 0 and tree_outflow == "murray":
            flows.append((nodes[1:], -_MURRAY_NL_MIN * wide[1:] ** 3))
            pressures.append((nodes[:1], np.array([inlet_mmhg])))
            continue
        level = np.full(rows.size, outlet_mmhg)
        if loops[label[nodes[0]]]:
            main = max(2, int((wide >= _MAIN_END * wide[0]).sum()))
            level[:] = (inlet_mmhg + outlet_mmhg) / 2
            level[1:main:2] = outlet_mmhg
            level[0:main:2] = inlet_mmhg
        level[0] = inlet_mmhg
        pressures.append((nodes, level))
    if not pressures:
        raise _no_ends(network)
    node = [np.concatenate([p[k] for p in pressures]) for k in (0, 1)]
    none = (np.empty(0, np.int64), np.empty(0))
    given = [np.concatenate([f[k] for f in [none, *flows]]) for k in (0, 1)]
    return BoundaryConditions(
        node[0].astype(np.int64), node[1], given[0].astype(np.int64), given[1]
    )


def _no_ends(network: VesselNetwork) -> InputError:
    return InputError(
        None,
        f"The vessel network '{network.name}' lacks two ends between which blood can flow",
        "Give boundary conditions, or another network.",
    )
