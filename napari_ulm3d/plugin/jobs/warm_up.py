"""Slow imports, done in a thread while the user looks at the first widget."""

from __future__ import annotations

import logging
import threading
from importlib import import_module

__all__ = ["warm_up"]

log = logging.getLogger("napari_ulm3d")

# In the order in which they will be needed.
_SLOW = (
    "pyqtgraph",
    "napari_ulm3d.pipeline",
    "napari_ulm3d.calibrate",
    "napari_ulm3d.maps",
    "napari_ulm3d.link",
    "napari_ulm3d.localize",
)
_begun = threading.Event()


def warm_up() -> None:
    """Start importing what runs need; only the first call has an effect."""
    if not _begun.is_set():
        _begun.set()
        threading.Thread(target=_import, name="ulm3d imports", daemon=True).start()


def _import() -> None:
    for name in _SLOW:
        try:
            import_module(name)
        except Exception as error:  # reported with a remedy when it is needed
            log.debug("%s could not be imported yet: %s", name, error)
