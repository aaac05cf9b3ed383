"""Names used for rate, wavelength and spacing in files from different laboratories.

Files in this field name the same quantity in many ways. A value is used only if its
unit is certain: it is part of the name (``dx_mm``), fixed by the software that writes it
(Verasonics `PData.PDelta` in wavelengths, `UF.TwFreq` in MHz), or evident from the
magnitude (a transmit frequency of 15 can only be MHz). Everything else is kept in
`Acquisition.metadata`, unused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.facts.resolve import Facts, Partial
from napari_ulm3d.io.facts.units import SECONDS_PER_UNIT, UM_PER_UNIT

__all__ = [
    "axis_spacing",
    "facts_from_names",
    "flatten",
    "plain",
    "plain_values",
    "texts",
]

_RATE = (
    "ratehz", "framerateuf", "frameratehz", "framerate", "volumeratehz", "volumerate",
    "framespersecond", "volumespersecond", "fps", "rate",
)  # fmt: skip
_RATE_KHZ = ("frameratekhz", "volumeratekhz")
_INTERVAL = ("frameinterval", "frameperiod", "volumeinterval", "volumeperiod", "dt")
_SPACING = ("spacing", "voxelspacing", "voxelsize", "pixelspacing", "pixelsize")
_FREQUENCY = (
    "frequencyhz", "frequencymhz", "twfreq", "txfreq", "transmitfrequency", "txfrequency",
    "centerfrequency", "centrefrequency", "f0", "fc",
)  # fmt: skip
_SPEED = ("soundspeedms", "soundspeed", "speedofsound", "c0", "c")
_WAVELENGTH = ("wavelengthum", "wavelengthmm", "wavelengthm", "wavelength", "lambda")
# Only these: "xin" or "din" are not lengths in inches.
_UNIT_SUFFIX = {unit: UM_PER_UNIT[unit] for unit in ("um", "mm", "m")}
#: Plausible ranges that identify the unit of a bare number; they do not overlap.
_HZ, _MHZ = (1e5, 2e8), (0.1, 200.0)
_M_S, _MM_US = (300.0, 4000.0), (0.3, 4.0)
_METRES, _MILLIMETRES, _MICROMETRES = (2e-6, 5e-3), (2e-2, 5.0), (20.0, 5000.0)


def flatten(values: Mapping[str, Any], prefix: str = "", depth: int = 4) -> dict[str, Any]:
    """Flatten nested structures to dotted names, e.g. ``UF.FrameRateUF``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth > 0:
            flat |= flatten(value, f"{name}.", depth - 1)
        else:
            flat[name] = value
    return flat


def plain(value: Any) -> Any:
    """Convert a value for `Acquisition.metadata`: a number, text, or list of at most 16 numbers.

    None for everything else (large arrays, objects).
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "SU" and value.size == 1:
        return plain(value.reshape(-1)[0].item())
    array = _numbers(value)
    if array is None or not 1 <= array.size <= 16:
        return None
    return array.reshape(-1)[0].item() if array.size == 1 else array.reshape(-1).tolist()


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts, such as channel labels; empty for everything else."""
    if isinstance(value, str | bytes):
        return ()
    found = [plain(item) for item in np.asarray(value, object).reshape(-1)[:16]]
    return tuple(found) if all(isinstance(item, str) for item in found) else ()


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that `plain` can convert."""
    return {name: value for name, given in values.items() if (value := plain(given)) is not None}


def facts_from_names(
    values: Mapping[str, Any], sizes: Collection[int] = ()
) -> tuple[Facts, list[str]]:
    """Find facts in values with known names, with a note for each value used.

    Parameters
    ----------
    values
        Numbers or arrays by name, dotted if nested (see `flatten`).
    sizes
        Shape of the acquisition's array: a coordinate vector of another length belongs to
        something else (the probe's elements, for example). Empty: any length is accepted.
    """
    short: dict[str, list[str]] = {}
    for name in values:
        leaf = re.split(r"[./]", name)[-1]
        short.setdefault(re.sub(r"[^a-z0-9]", "", leaf.lower()), []).append(name)
    notes: list[str] = []

    def find(names: tuple[str, ...]) -> tuple[str, float] | None:
        for candidate in names:
            for name in short.get(candidate, ()):
                number = _scalar(values[name])
                if number is not None and number > 0:
                    return name, number
        return None

    facts = Facts()
    if found := _rate(find):
        facts = replace(facts, rate_hz=found[1])
        notes.append(f"The frame rate ({found[1]:g} Hz) is the file's {found[0]}.")
    if found := find(_FREQUENCY):
        frequency = _unit_by_size(found[1], ((_HZ, 1.0), (_MHZ, 1e6)))
        if frequency:
            facts = replace(facts, frequency_hz=frequency)
            notes.append(f"The frequency ({frequency:g} Hz) is the file's {found[0]}.")
    if found := find(_SPEED):
        speed = _unit_by_size(found[1], ((_M_S, 1.0), (_MM_US, 1e3)))
        if speed:
            facts = replace(facts, sound_speed_m_s=speed)
            notes.append(f"The speed of sound ({speed:g} m/s) is the file's {found[0]}.")
    if found := find(_WAVELENGTH):
        wavelength = _unit_by_size(
            found[1], ((_METRES, 1e6), (_MILLIMETRES, 1e3), (_MICROMETRES, 1.0))
        )
        if wavelength:
            facts = replace(facts, wavelength_um=wavelength)
            notes.append(f"The wavelength ({wavelength:g} um) is the file's {found[0]}.")
    return _lengths(facts, values, short, sizes, notes), notes


def _rate(
    find: Callable[[tuple[str, ...]], tuple[str, float] | None],
) -> tuple[str, float] | None:
    """The name and value of a frame rate in Hz, or of the time from frame to frame."""
    if found := find(_RATE):
        return found
    if found := find(_RATE_KHZ):
        return found[0], found[1] * 1e3
    for suffix, seconds in SECONDS_PER_UNIT.items():
        if found := find(tuple(name + suffix for name in _INTERVAL)):
            return found[0], float(f"{1 / (found[1] * seconds):.12g}")
    return None


def axis_spacing(axis: NDArray[Any]) -> tuple[float, float] | None:
    """Spacing and first position of a coordinate vector; None if it is not evenly spaced.

    Even means that no step differs from the mean step by more than 1 %.
    """
    values = np.asarray(axis, float).reshape(-1)
    if values.size < 2 or not np.isfinite(values).all():
        return None
    steps = np.diff(values)
    step = float(steps.mean())
    if step <= 0 or np.abs(steps - step).max() > 0.01 * step:
        return None
    # Twelve digits: a spacing of 25.000000000000018 um is rounding noise of the stored positions.
    return float(f"{step:.12g}"), float(f"{values[0]:.12g}")


def _lengths(
    facts: Facts,
    values: Mapping[str, Any],
    short: Mapping[str, list[str]],
    sizes: Collection[int],
    notes: list[str],
) -> Facts:
    """Spacing and origin: our own triples, axis vectors, single steps, Verasonics PData."""
    for suffix, factor in _UNIT_SUFFIX.items():
        for field in ("voxel", "origin"):
            for name in short.get(f"{field}{suffix}", ()):
                triple = _triple(values[name])
                if triple and (field == "origin" or min(triple) > 0):
                    z, y, x = (value * factor for value in triple)
                    if field == "voxel":
                        facts = replace(facts, voxel_um=(z, y, x))
                    else:
                        facts = replace(facts, origin_um=(z, y, x))
    if facts.voxel_um is None:
        facts = _per_axis(facts, values, short, sizes, notes)
    if facts.voxel_um is None:
        facts = _cubes(facts, values, short, notes)
    if facts.voxel_um is None:
        facts = _verasonics(facts, values, notes)
    return facts


def _cubes(
    facts: Facts,
    values: Mapping[str, Any],
    short: Mapping[str, list[str]],
    notes: list[str],
) -> Facts:
    """A spacing under a name of other software: three numbers in unknown order, or one."""
    for suffix, factor in _UNIT_SUFFIX.items():
        for name in [n for word in _SPACING for n in short.get(f"{word}{suffix}", ())]:
            numbers = _numbers(values[name])
            if numbers is None or numbers.size not in (1, 2, 3):
                continue
            steps = sorted({float(v) for v in numbers.reshape(-1)})
            if not np.isfinite(steps).all() or steps[0] <= 0:
                continue
            if len(steps) > 1:
                given = ", ".join(f"{v:g}" for v in numbers.reshape(-1))
                notes.append(
                    f"The file's {name} ({given}) does not say which number belongs to z, y and x; "
                    "give the voxel spacing in this order."
                )
                continue
            edge = round(steps[0] * factor, 9)
            notes.append(f"The spacing is the file's {name}.")
            return replace(facts, voxel_um=(edge, edge, edge))
    return facts


def _per_axis(
    facts: Facts,
    values: Mapping[str, Any],
    short: Mapping[str, list[str]],
    sizes: Collection[int],
    notes: list[str],
) -> Facts:
    spacing: dict[str, float] = {}
    origin: dict[str, float] = {}
    used = []
    for letter in "zyx":
        for suffix, factor in _UNIT_SUFFIX.items():
            vectors = [f"{letter}{suffix}", f"{letter}axis{suffix}", f"{letter}coordinates{suffix}"]
            for name in [n for key in vectors for n in short.get(key, ())]:
                vector = _numbers(values[name])
                if vector is None or (sizes and vector.size not in sizes):
                    continue
                if even := axis_spacing(vector):
                    spacing[letter] = round(even[0] * factor, 9)
                    origin[letter] = round(even[1] * factor, 9)
                    used.append(name)
            for name in short.get(f"d{letter}{suffix}", ()):
                step = _scalar(values[name])
                if step is not None and step > 0:
                    spacing[letter] = step * factor
                    used.append(name)
    if not spacing:
        return facts
    notes.append(f"The spacing is the file's {', '.join(used)}.")
    return replace(
        facts,
        voxel_um=(spacing.get("z"), spacing.get("y"), spacing.get("x")),
        origin_um=(origin.get("z"), origin.get("y"), origin.get("x"))
        if origin and facts.origin_um is None
        else facts.origin_um,
    )


def _verasonics(facts: Facts, values: Mapping[str, Any], notes: list[str]) -> Facts:
    """PData.PDelta and PData.Origin: x, y, z in wavelengths (y is 0 in a 2-D acquisition)."""
    for name, value in values.items():
        parts = name.lower().split(".")
        if parts[-1] != "pdelta" or (triple := _triple(value)) is None:
            continue
        x, y, z = triple
        if x <= 0 or z <= 0:
            continue
        waves: Partial = (z, y if y > 0 else None, x)
        facts = replace(facts, voxel_wavelengths=waves)
        notes.append(f"The spacing is the file's {name}, in wavelengths.")
        origin = values.get(f"{name[: -len('PDelta')]}Origin")
        if origin is not None and (first := _triple(origin)):
            # Verasonics gives the corner with the largest y, because its images run downwards in y.
            facts = replace(facts, origin_wavelengths=(first[2], None, first[0]))
        break
    return facts


def _numbers(value: Any) -> NDArray[Any] | None:
    """The value as an array of real numbers; None for text and everything else."""
    if isinstance(value, str | bytes | bool | Mapping) or value is None:
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # nested lists of different lengths
        return None
    return array if array.dtype.kind in "iuf" and array.size else None


def _scalar(value: Any) -> float | None:
    array = _numbers(value)
    if array is None or array.size != 1:
        return None
    number = float(array.reshape(-1)[0])
    return number if np.isfinite(number) else None


def _triple(value: Any) -> tuple[float, float, float] | None:
    array = _numbers(value)
    if array is None or array.size != 3 or not np.isfinite(array).all():
        return None
    a, b, c = (float(v) for v in array.reshape(-1))
    return (a, b, c)


def _unit_by_size(
    value: float, ranges: tuple[tuple[tuple[float, float], float], ...]
) -> float | None:
    for (low, high), factor in ranges:
        if low <= value <= high:
            return value * factor
    return None
