"""Whether a person has had the tour: one word in the user's settings."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from platformdirs import user_config_dir

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.system.atomic import atomic_path

__all__ = ["remember_tour", "tour_file", "was_seen"]

log = logging.getLogger("napari_ulm3d")


def tour_file() -> Path:
    """Where it is remembered."""
    return Path(user_config_dir("napari-ulm3d", appauthor=False)) / "tour.json"


def was_seen() -> bool:
    """Whether the tour was had, or dismissed; a file that cannot be read counts as not."""
    try:
        known = json.loads(tour_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(known, dict) and known.get("seen") is True


def remember_tour() -> None:
    """It does not begin by itself any more."""
    file = tour_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as path:
            path.write_text(json.dumps({"seen": True}), encoding="utf-8")
    except (OSError, ResultsError) as error:
        # It begins again next time; nothing else is lost.
        log.warning("that the tour was seen could not be saved: %s", error)
