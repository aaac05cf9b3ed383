"""Blood flow through a vessel network, and the bubbles that it carries."""

from __future__ import annotations

from napari_ulm3d.simulate.flow.ends import choose_boundary
from napari_ulm3d.simulate.flow.hemodynamics import FlowConfig, pries_viscosity, solve_flow

__all__ = ["FlowConfig", "choose_boundary", "pries_viscosity", "solve_flow"]
