"""Units of length and time in the words that files and people use for them."""

from __future__ import annotations

__all__ = ["SECONDS_PER_UNIT", "UM_PER_UNIT", "to_seconds", "to_um"]

UM_PER_UNIT = {
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre", "centimeters", "centimetres"), 1e4),
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), 1e3),
    **dict.fromkeys(
        ("um", "micrometer", "micrometre", "micrometers", "micrometres", "micron", "microns"), 1.0
    ),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers", "nanometres"), 1e-3),
    **dict.fromkeys(("\u00e5", "angstrom", "angstroms", "\u00e5ngstr\u00f6m"), 1e-4),
    **dict.fromkeys(("pm", "picometer", "picometre", "picometers", "picometres"), 1e-6),
    **dict.fromkeys(("in", "inch", "inches"), 25400.0),
}
SECONDS_PER_UNIT = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds", "millisec"), 1e-3),
    **dict.fromkeys(("us", "usec", "usecs", "microsecond", "microseconds", "microsec"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


def to_seconds(unit: str) -> float | None:
    """Seconds in one `unit` of time; None if the word is not a unit of time."""
    return SECONDS_PER_UNIT.get(_plain_unit(unit))


def to_um(unit: str) -> float | None:
    """Micrometres in one `unit` of length; None if the word is not a unit of length."""
    return UM_PER_UNIT.get(_plain_unit(unit))


def _plain_unit(unit: str) -> str:
    # ImageJ escapes the micro sign; both Greek mu and the micro sign are in use.
    plain = unit.strip().replace("\\u00B5", "u").replace("\u00b5", "u").replace("\u03bc", "u")
    plain = plain.replace("\u212b", "\u00c5")  # the angstrom sign, also written as the letter
    return plain.lower().rstrip(".")
