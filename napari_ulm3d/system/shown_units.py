"""Units as people read them: micrometres as µm, which files and settings write as um."""

from __future__ import annotations

import re

__all__ = ["in_display_units", "shown_as"]

# A number or a bracket before the unit, and after it no letter, slash or ending: not part of a path.
_MICROMETRES = re.compile(r"(?<=[\d,(\[] )um\b(?![\w/\\]|\.\w)|(?<=[(\[])um(?=[)\]\s,/])|^um$")


def shown_as(unit: str) -> str:
    """A unit as it is shown."""
    return "µm" if unit == "um" else unit


def in_display_units(text: str) -> str:
    """A text of the core with its micrometres as they are shown."""
    return _MICROMETRES.sub("µm", text)
