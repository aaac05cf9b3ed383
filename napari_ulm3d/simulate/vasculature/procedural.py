"""Grow a piece of cortex: arteries, capillaries and veins in any field of view."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.vasculature.config import VasculatureConfig
from napari_ulm3d.simulate.vasculature.network import VesselNetwork, grid_box

__all__ = ["procedural_network"]


def procedural_network(
    field: Grid | ArrayLike, seed: int, config: VasculatureConfig | None = None
) -> VesselNetwork:
    """Grow vessels that fill a field of view like a piece of cortex.

    Feeding arteries enter at the rim of the surface (lowest z), branch over it and dive.
    Side branches of these trunks spread over the volume and end in a capillary mesh that
    drains into veins with the same structure. Radii follow Murray's law from the ends upwards. If
    the field is thin along y (less than a tenth of its other extents), all vessels lie in its
    middle plane. The flow is not solved here: see `simulate.flow.solve_flow`.

    Parameters
    ----------
    field
        A grid, or the extents along z, y, x in micrometres (from 0).
    seed
        The same seed gives the same network.
    config
        Spacings, radii and curvature.

    Returns
    -------
    VesselNetwork
        Connected, with `kind`; segments of arteries point downstream, those of veins upstream
        (from root to end).

    Raises
    ------
    ConfigError
        The field has no extent along z or x, or is too large for the requested spacings.
    """
    config = config or VasculatureConfig()
    if seed < 0:
        raise ConfigError(f"seed must not be negative ({seed}).")
    box, planar = _box(field)
    size = box[1] - box[0]
    spacing = config.capillary_spacing_um or _spacing(size)
    wide = config.penetrator_spacing_um or max(1.6 * spacing, 150.0)
    n_points = float(np.prod(np.maximum(size / spacing, 1)))
    if n_points > 200_000:
        raise ConfigError(
            f"capillary_spacing_um={spacing:g} makes {n_points:.0f} capillary nodes in this "
            "field; use at least "
            f"{spacing * (n_points / 200000) ** (1 / (2 if planar else 3)):.0f}."
        )
    # Loading the compiled parts takes a second; the settings must not need them.
    from napari_ulm3d.simulate.vasculature.assembly import assemble, feeders
    from napari_ulm3d.simulate.vasculature.cortex import grow_forest, penetrators
    from napari_ulm3d.simulate.vasculature.growth import scattered

    rng = np.random.default_rng(seed)
    all_tops = penetrators(box, wide, config.artery_share, rng)
    depths = np.minimum(np.array([40.0, 90.0]), 0.02 * size[0] * np.array([1.0, 2.25]))
    all_feeders = feeders(box, config.feeding_vessels, depths, rng)
    supply_box = box.copy()
    supply_box[0, 0] += 3 * depths[1]
    forests = []
    for tops, rim, depth in zip(all_tops, all_feeders, depths, strict=True):
        supplied = scattered(supply_box, config.supply_ratio * spacing, rng)
        forests.append(grow_forest(box, tops, depth, rim, supplied, wide, rng))
    return assemble(forests, box, spacing, config, rng)


def _box(field: Grid | ArrayLike) -> tuple[NDArray[np.float64], bool]:
    """The field (2, 3), flattened to its middle if it is thin along y, and whether it was."""
    if isinstance(field, Grid):
        box = grid_box(field)
        thin = field.shape[1] == 1
    else:
        extent = np.asarray(field, np.float64)
        if extent.shape != (3,) or not (np.isfinite(extent).all() and (extent >= 0).all()):
            raise ConfigError(f"The field must be three lengths z, y, x in um, not {field}.")
        box = np.stack([np.zeros(3), extent])
        thin = False
    size = box[1] - box[0]
    if min(size[0], size[2]) <= 0:
        raise ConfigError("The field of view must extend along z and x.")
    planar = thin or size[1] < 0.1 * min(size[0], size[2])
    if planar:
        box[:, 1] = box[:, 1].mean()
    return box, planar


def _spacing(size: NDArray[np.float64]) -> float:
    filled = size[size > 0]
    nodes = 6000 if len(filled) == 3 else 1500
    return max(60.0, float((np.prod(filled) / nodes) ** (1 / len(filled))))
