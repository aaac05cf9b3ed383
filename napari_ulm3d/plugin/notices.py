"""napari's notifications, in the words and units of the widgets."""

from __future__ import annotations

from napari_ulm3d.plugin.controls.words import in_the_widgets_words
from napari_ulm3d.system.shown_units import in_display_units

__all__ = ["show_error", "show_info", "show_warning"]


def show_info(text: str) -> None:
    """Tell something that went well, or what to do."""
    from napari.utils import notifications

    notifications.show_info(_shown(text))


def show_warning(text: str) -> None:
    """Tell something that may be missed."""
    from napari.utils import notifications

    notifications.show_warning(_shown(text))


def show_error(text: str) -> None:
    """Tell what went wrong."""
    from napari.utils import notifications

    notifications.show_error(_shown(text))


def _shown(text: str) -> str:
    return in_display_units(in_the_widgets_words(text))
