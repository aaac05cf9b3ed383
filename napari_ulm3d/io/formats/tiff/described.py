"""Lengths, rate, channels and calibration of a TIFF, from OME-XML and ImageJ's description."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.coordinates import Coordinate, along_axes
from napari_ulm3d.io.facts.units import to_seconds, to_um

__all__ = ["Described", "described_by_imagej", "described_by_ome", "described_by_tags"]

#: Number of coefficients by ImageJ's number of a calibration function (ij.measure.Calibration):
#: a straight line and polynomials of degree 2 to 4; 20 means none.
_POLYNOMIALS = {0: 2, 1: 3, 2: 4, 3: 5}
_NO_FUNCTION = 20


@dataclass(frozen=True)
class Described:
    """Lengths along TIFF's Z, Y, X, the rate, and the meaning of the stored numbers.

    `calibration` contains a polynomial's coefficients, the constant first; `channels` the names
    of the channels.
    """

    size_um: dict[str, float | None] = field(default_factory=dict)
    rate_hz: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    calibration: tuple[float, ...] = ()


def described_by_ome(xml: str, index: int) -> Described:
    """Read physical sizes and time from OME-XML (default units um and s).

    Without a time increment, the rate is from the times of the planes (DeltaT), which is all that
    many microscopes and converters write.
    """
    images = [e for e in ElementTree.fromstring(xml).iter() if e.tag.endswith("}Image")]
    image = images[index if index < len(images) else 0]
    pixels = next((e for e in image if e.tag.endswith("}Pixels")), None)
    if pixels is None:
        return Described()
    size: dict[str, float | None] = {}
    unused: tuple[str, ...] = ()
    for letter in "ZYX":
        value = _positive(pixels.get(f"PhysicalSize{letter}"))
        named = pixels.get(f"PhysicalSize{letter}Unit", "um")
        unit = to_um(named)
        size[letter] = value * unit if value and unit else None
        if value and not unit:
            unused += (
                f"The size {value:g} along {letter} has the unit '{named}', which is not a unit of "
                "length, and was not used.",
            )
    rate, notes = _rate(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"))
    if rate is None and not notes:
        rate, notes = _rate_of_planes(pixels)
    notes = (*unused, *notes)
    channels = [e.get("Name", "") for e in pixels if e.tag.endswith("}Channel")]
    metadata = {"ome_name": image.get("Name")} if image.get("Name") else {}
    return Described(size, rate, metadata, notes, tuple(channels))


def _rate_of_planes(pixels: ElementTree.Element) -> tuple[float | None, tuple[str, ...]]:
    """Frame rate from the times at which the first plane of each frame was acquired."""
    planes = [
        e for e in pixels
        if e.tag.endswith("}Plane") and e.get("DeltaT") and {e.get("TheZ"), e.get("TheC")} == {"0"}
    ]  # fmt: skip
    units = {e.get("DeltaTUnit", "s") for e in planes}
    if len(planes) < 2 or len(units) != 1:
        return None, ()
    planes.sort(key=lambda e: int(e.get("TheT", "0")))
    times = np.array([float(e.get("DeltaT", "nan")) for e in planes])
    found = along_axes("t", (Coordinate("DeltaT", times, units.pop()),))
    return found.rate_hz, found.notes


def described_by_imagej(path: Path, file: Any, dtype: np.dtype[Any]) -> Described:
    """Read ImageJ's units, spacing, resolution tags (pixels per unit), interval and calibration.

    Raises
    ------
    InputError
        The grey values are calibrated by a function other than a polynomial.
    """
    info = file.imagej_metadata
    size: dict[str, float | None] = {}
    tags = file.pages[0].tags
    for letter, key in (("X", "unit"), ("Y", "yunit"), ("Z", "zunit")):
        unit = to_um(str(info.get(key, info.get("unit", ""))))
        if not unit:
            continue
        if letter == "Z":
            spacing = _positive(info.get("spacing"))
            size["Z"] = spacing * unit if spacing else None
            continue
        tag = tags.get(f"{letter}Resolution")
        if tag is not None and tag.value[0] > 0:
            size[letter] = unit * tag.value[1] / tag.value[0]
    rate, notes = _rate(info.get("finterval"), info.get("tunit", "s"))
    keep = {k: v for k, v in info.items() if isinstance(v, str | int | float) and len(str(v)) < 200}
    # Only finterval describes the data; without it, fps is just the playback speed.
    fps = _positive(info.get("fps"))
    if fps and rate is None:
        keep["playback_fps"] = fps
    calibration = _calibration(path, info) if dtype.kind in "iu" else ()
    if calibration:
        terms = ", ".join(f"{c:g}" for c in calibration)
        notes = (*notes, f"ImageJ's calibration of the grey values was applied ({terms}).")
    labels = info.get("Labels") or ()
    return Described(size, rate, keep, notes, _channels(labels), calibration)


def described_by_tags(page: Any) -> Described:
    """Name the resolution in a TIFF's own tags, which many programs fill with that of a screen."""
    tags = page.tags
    unit = {2: 25400.0, 3: 1e4}.get(
        int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 0
    )
    sizes = []
    for name in ("XResolution", "YResolution"):
        tag = tags.get(name)
        if unit is None or tag is None or not isinstance(tag.value, tuple) or not tag.value[0]:
            return Described()
        sizes.append(unit * tag.value[1] / tag.value[0])
    if unit == 25400 and sizes[0] > 80:  # up to 300 dots per inch: of a screen or printer
        return Described()
    return Described(
        notes=(
            f"The resolution tags ({sizes[0]:.6g} um along columns, {sizes[1]:.6g} um along rows) "
            "were not used, since many programs write any number there; give --voxel-um if they "
            "are right.",
        )
    )


def _channels(labels: Any) -> tuple[str, ...]:
    """Names of two channels, from ImageJ's labels of planes."""
    found = [str(label) for label in labels if label][:2] if not isinstance(labels, str) else []
    return tuple(found)


def _calibration(path: Path, info: dict[str, Any]) -> tuple[float, ...]:
    if "cf" not in info:
        return ()
    function = int(info["cf"])
    if function == _NO_FUNCTION:
        return ()
    count = _POLYNOMIALS.get(function)
    values = [info.get(f"c{i}") for i in range(count or 0)]
    if count is None or any(not isinstance(v, int | float) for v in values):
        raise InputError(
            path,
            f"has grey values calibrated in ImageJ by function {function}, which is not a polynomial",
            "In ImageJ, choose Analyze > Calibrate... > Function: None, and save the file again.",
        )
    coefficients = tuple(float(v) for v in values if v is not None)
    return () if coefficients == (0.0, 1.0) else coefficients


def _rate(interval: Any, unit: Any) -> tuple[float | None, tuple[str, ...]]:
    """Frame rate from an interval and its unit, with a note if the unit is not understood."""
    value = _positive(interval)
    if value is None:
        return None, ()
    seconds = to_seconds(str(unit))
    if seconds is None:
        return None, (
            f"The frame interval {value:g} has the unit '{unit}', which is not a unit of time.",
        )
    return 1 / (value * seconds), ()


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None
