"""Spacing, origin and rate from the coordinates stored for each axis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.facts.named import axis_spacing
from napari_ulm3d.io.facts.units import to_seconds, to_um

__all__ = ["AlongAxes", "Coordinate", "along_axes"]


class Coordinate(NamedTuple):
    """Coordinates of every position along an axis; `unit` is None if not given."""

    name: str
    values: NDArray[Any]
    unit: str | None


@dataclass(frozen=True)
class AlongAxes:
    """Spacing and first position of each stored axis in um, the rate, and notes for the user."""

    spacing_um: tuple[float | None, ...] | None = None
    first_um: tuple[float | None, ...] | None = None
    rate_hz: float | None = None
    notes: tuple[str, ...] = ()


def along_axes(letters: str, coordinates: Sequence[Coordinate | None]) -> AlongAxes:
    """Interpret the coordinates of each axis; ambiguous ones are reported and not used.

    Parameters
    ----------
    letters
        One letter for each stored axis, as in `Layout.letters`.
    coordinates
        The coordinates of each axis; None for an axis without.
    """
    spacing: list[float | None] = [None] * len(letters)
    first: list[float | None] = [None] * len(letters)
    rate, notes = None, []
    for i, (letter, coordinate) in enumerate(zip(letters, coordinates, strict=True)):
        if coordinate is None or coordinate.values.size < 2:
            continue
        if letter == "t":
            rate, said = _rate(coordinate)
        elif letter in "zyx":
            spacing[i], first[i], said = _length(coordinate)
        else:
            continue
        notes.append(said)
    if not any(spacing):
        return AlongAxes(rate_hz=rate, notes=tuple(notes))
    return AlongAxes(tuple(spacing), tuple(first), rate, tuple(notes))


def _length(coordinate: Coordinate) -> tuple[float | None, float | None, str]:
    name, values, unit = coordinate
    values = np.asarray(values, float).reshape(-1)
    downwards = values[-1] < values[0]
    even = axis_spacing(values[::-1] if downwards else values)
    if even is None:
        return None, None, f"The coordinates {name} are not evenly spaced and were not used."
    um = to_um(unit or "")
    if um is None:
        what = f"have the unit '{unit}', which is not a unit of length" if unit else "have no unit"
        return None, None, f"The coordinates {name} (step {even[0]:.6g}) {what} and were not used."
    step = float(f"{even[0] * um:.12g}")
    said = f"The spacing along {name} ({step:.6g} um) is from the file's coordinates."
    if downwards:
        return step, None, f"{said} They decrease, so the origin was not taken from them."
    return step, float(f"{even[1] * um:.12g}"), said


def _rate(coordinate: Coordinate) -> tuple[float | None, str]:
    name, values, unit = coordinate
    seconds: float | None
    if values.dtype.kind in "mM":
        times = values.astype(f"{values.dtype.kind}8[ns]").astype("i8").astype(float).reshape(-1)
        seconds = 1e-9
    else:
        times = np.asarray(values, float).reshape(-1)
        # CF conventions: "milliseconds since 2024-05-01".
        seconds = to_seconds(re.split(r"\s+since\s+", unit or "", flags=re.I)[0])
    steps = np.diff(times)
    if not np.isfinite(steps).all() or steps.min() <= 0:
        return None, f"The times {name} do not increase and were not used."
    if seconds is None:
        what = f"have the unit '{unit}', which is not a unit of time" if unit else "have no unit"
        return None, f"The times {name} {what} and were not used."
    rate = float(f"{1 / (steps.mean() * seconds):.9g}")
    said = f"The frame rate ({rate:.6g} Hz) is from the file's {name}."
    if np.abs(steps - steps.mean()).max() > 0.01 * steps.mean():
        said += " The frames are not evenly spaced in time; this is the mean rate."
    return rate, said
