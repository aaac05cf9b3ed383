"""The plugin's keyboard shortcuts, none of which napari uses, and their actions.

They work in the viewer's window once one of the plugin's widgets has been opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QWidget

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.plugin.napari_private import main_window
from napari_ulm3d.plugin.session import Session, session_of
from napari_ulm3d.plugin.tabs import open_panel

if TYPE_CHECKING:
    import napari

__all__ = [
    "SHORTCUTS",
    "Shortcut",
    "flip_display",
    "install_shortcuts",
    "lower_threshold",
    "next_section",
    "previous_section",
    "raise_threshold",
    "run_frame",
    "run_series",
    "run_window",
    "show_map",
]

_LOCALIZE = "Localize & track"
_INSTALLED = "ulm3d_shortcuts"
_RATIO, _STEP_DB = 1.1, 0.5
_NO_MAP = "There is no vessel map yet: run the whole series, or open a results folder."
_EMPTY_MAP = "There is no vessel map: no track passes the filters of Vessel maps; reset them."


def run_frame(viewer: napari.Viewer) -> None:
    """Localize the current frame."""
    _localize(viewer).frame_button.click()


def run_window(viewer: napari.Viewer) -> None:
    """Localize, track and map the frames around the current one."""
    _localize(viewer).window_button.click()


def run_series(viewer: napari.Viewer) -> None:
    """Localize, track and map the whole acquisition."""
    _localize(viewer).series_button.click()


def show_map(viewer: napari.Viewer) -> None:
    """Show the vessel map alone, in 3-D, fitted to the view, or say why there is none."""
    from napari_ulm3d.plugin.layers.vessel_view import show_vessel_map
    from napari_ulm3d.plugin.notices import show_info

    if not show_vessel_map(viewer):
        result = session_of(viewer).result
        show_info(_EMPTY_MAP if result is not None and result.tracks.n_tracks else _NO_MAP)


def flip_display(viewer: napari.Viewer) -> None:
    """Switch between 2-D and 3-D and fit the view."""
    from napari_ulm3d.plugin.layers.vessel_view import fit_view, look_at_a_plane

    if viewer.dims.ndisplay == 3:
        look_at_a_plane(viewer)
        return
    viewer.dims.ndisplay = 3
    shown = [layer for layer in viewer.layers if layer.visible]
    if shown:
        fit_view(viewer, shown[-1])


def next_section(viewer: napari.Viewer) -> None:
    """Move one voxel of the topmost visible image along the hidden axis."""
    _step(viewer, 1)


def previous_section(viewer: napari.Viewer) -> None:
    """Move one voxel back along the hidden axis."""
    _step(viewer, -1)


def raise_threshold(viewer: napari.Viewer) -> None:
    """Keep fewer voxels: threshold up by 10 %, or by 0.5 dB of contrast."""
    _change_threshold(session_of(viewer), 1)


def lower_threshold(viewer: napari.Viewer) -> None:
    """Keep more voxels: threshold down."""
    _change_threshold(session_of(viewer), -1)


@dataclass(frozen=True)
class Shortcut:
    """The action, its keys, and the function of a viewer that performs it."""

    label: str
    keys: str
    act: Callable[[Any], None]


#: In the order listed in *Keyboard shortcuts*.
SHORTCUTS = (
    Shortcut("Run this frame", "F5", run_frame),
    Shortcut("Run this window", "F6", run_window),
    Shortcut("Run the whole series", "F7", run_series),
    Shortcut("Show vessel map", "F8", show_map),
    Shortcut("2-D / 3-D", "F9", flip_display),
    Shortcut("Lower the threshold", "F3", lower_threshold),
    Shortcut("Raise the threshold", "F4", raise_threshold),
    Shortcut("Previous section", "Alt+PgUp", previous_section),
    Shortcut("Next section", "Alt+PgDown", next_section),
)


def install_shortcuts(viewer: Any) -> None:
    """Add the shortcuts to the viewer's window, once."""
    window = main_window(viewer)
    if window is None or window.property(_INSTALLED):
        return
    window.setProperty(_INSTALLED, True)
    session = session_of(viewer)
    for shortcut in SHORTCUTS:
        made = QShortcut(QKeySequence(shortcut.keys), window)
        made.setContext(Qt.ShortcutContext.WindowShortcut)
        made.activated.connect(lambda act=shortcut.act: act(session.viewer))


def _localize(viewer: Any) -> Any:
    """The panel that starts runs: an open one, or that of the dock."""
    window = main_window(viewer)
    found = window.findChildren(QWidget) if window is not None else []
    opened = [widget for widget in found if hasattr(widget, "series_button")]
    if opened:
        return opened[0]
    return open_panel(viewer, _LOCALIZE)


def _step(viewer: Any, by: int) -> None:
    dims = viewer.dims
    if dims.ndisplay != 2 or dims.ndim < 3:
        return
    axis = next(k for k in dims.order[:-2][::-1])
    images = [
        layer
        for layer in viewer.layers
        if layer.visible and hasattr(layer, "colormap") and layer.ndim >= dims.ndim - axis
    ]
    # Tracks and drawn shapes have steps of 1 um, too small to scroll by.
    step = abs(float(images[-1].scale[axis - dims.ndim])) if images else dims.range[axis].step
    low, high, _ = dims.range[axis]
    dims.set_point(axis, min(max(dims.point[axis] + by * step, low), high))


def _change_threshold(session: Session, by: int) -> None:
    settings: Any = session.section("sparsify")
    try:
        if settings.strategy == "contrast":
            session.change("sparsify", min_snr_db=settings.min_snr_db + by * _STEP_DB)
        elif settings.strategy == "threshold":
            value = float(f"{settings.threshold * _RATIO**by:.4g}")
            session.change("sparsify", threshold=value)
    except ConfigError:
        pass  # at the end of its range
