"""Any layer as a volume in micrometres."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.facts.units import to_um
from napari_ulm3d.volumes import VesselMap

__all__ = ["has_length_unit", "um_per_unit", "volume_of"]

_NO_UNIT = ("pixel", "px", "")
Triple = tuple[float, float, float]


def has_length_unit(units: Any) -> bool:
    """Whether a layer's last three axes all have a unit other than napari's default, pixels."""
    return not any(text in _NO_UNIT for text in _last_three(units))


def volume_of(name: str, data: Any, scale: Any, translate: Any, units: Any) -> VesselMap:
    """A volume (z, y, x) on its grid in micrometres; pixels count as micrometres.

    Parameters
    ----------
    name, data, scale, translate, units
        Attributes of the layer; of the last three only the last three axes are used, None: not set.

    Raises
    ------
    ResultsError
        The layer is not a volume, or its unit is not a length.
    """
    if np.ndim(data) != 3:
        raise ResultsError(
            f"The layer '{name}' has {np.ndim(data)} axes; a map has three (z, y, x). "
            "Save it with napari's own writer instead."
        )
    volume = np.asarray(data, np.float32)
    um = um_per_unit(name, units)
    z, y, x = volume.shape
    grid = Grid((z, y, x), _in_um(scale, um, 1.0), _in_um(translate, um, 0.0))
    return VesselMap.from_dense(name, volume, grid, signed=bool((volume < 0).any()))


def _last_three(units: Any) -> list[str]:
    return [str(unit) for unit in (units or ("pixel",) * 3)][-3:]


def um_per_unit(name: str, units: Any) -> Triple:
    """Micrometres per unit of each of a layer's last three axes; pixels count as micrometres.

    Raises
    ------
    ResultsError
        A unit is not a length.
    """
    found = []
    for text in _last_three(units):
        factor = 1.0 if text in _NO_UNIT else to_um(text)
        if factor is None:
            raise ResultsError(
                f"The layer '{name}' has the unit '{text}', which is not a supported length "
                "unit. Set layer.units to ('um', 'um', 'um')."
            )
        found.append(factor)
    return (found[0], found[1], found[2])


def _in_um(values: Any, um: Triple, default: float) -> Triple:
    given = (default,) * 3 if values is None else tuple(values)[-3:]
    z, y, x = (float(value) * factor for value, factor in zip(given, um, strict=True))
    return (z, y, x)
