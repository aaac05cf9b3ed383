"""Remembering whether the user has seen the tour."""

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
    """The file that remembers it."""
    return Path(user_config_dir("napari-ulm3d", appauthor=False)) / "tour.json"


def was_seen() -> bool:
    """Whether the tour was taken or dismissed; an unreadable file counts as no."""
    try:
        known = json.loads(tour_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(known, dict) and known.get("seen") is True


def remember_tour() -> None:
    """Remember that the tour must not start by itself any more."""
    file = tour_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as path:
            path.write_text(json.dumps({"seen": True}), encoding="utf-8")
    except (OSError, ResultsError) as error:
        # The tour starts again next time; nothing else is lost.
        log.warning("that the tour was seen could not be saved: %s", error)
