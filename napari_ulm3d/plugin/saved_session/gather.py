"""Gathering the contents of a session file from a viewer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.io.session_file import SavedLayer, SavedSession, SavedView, stored_path
from napari_ulm3d.plugin.layers.convert import value_of
from napari_ulm3d.plugin.layers.place import ROLE
from napari_ulm3d.plugin.layers.vessel_lines import CHOSEN_ROLE
from napari_ulm3d.plugin.napari_private import main_window
from napari_ulm3d.plugin.saved_session.looks import looks_of, shapes_um

if TYPE_CHECKING:
    from napari_ulm3d.plugin.session import Session

__all__ = ["OF_RESULT", "gather", "open_docks"]

#: Layers that are restored from a results folder.
OF_RESULT = ("map", "tracks", "localizations")
_DRAWN = ("", "region", "measure")
# Marks of the table selection, which are not worth saving.
_SELECTED = ("chosen tracks", CHOSEN_ROLE)


def gather(session: Session, path: Path) -> tuple[SavedSession, list[str]]:
    """The contents of a session file at `path`, and the names of what it leaves out."""
    viewer, lost = session.viewer, []
    result = session.result
    folder = None if result is None else result.folder
    if result is not None and folder is None:
        lost.append("the result, which is in memory only (run the whole series into a folder)")
    if session.acquisition is not None and not session.paths:
        lost.append(f"the frames of {session.acquisition.name}, which were not read from a file")
    layers = []
    for layer in viewer.layers:
        saved = _layer(session, layer, path, kept=folder is not None)
        if saved is not None:
            layers.append(saved)
        elif not _said_already(session, layer):
            lost.append(f"the layer '{layer.name}'")
    kept = SavedSession(
        results="" if folder is None else stored_path(folder, path),
        acquisition=tuple(stored_path(one, path) for one in session.paths),
        config=session.config,
        maps=session.map_view,
        view=_view(viewer),
        layers=tuple(layers),
    )
    return kept, lost


def _layer(session: Session, layer: Any, path: Path, *, kept: bool) -> SavedLayer | None:
    """A layer as saved; None if it cannot be saved."""
    from napari.layers import Shapes

    role = layer.metadata.get(ROLE, "")
    looks = looks_of(layer)
    shown = value_of(layer, Acquisition)
    if shown is not None:
        mine = shown is session.acquisition and session.paths
        return SavedLayer(role="acquisition", **looks) if mine else None
    if role in OF_RESULT:
        return SavedLayer(role=role, **looks) if kept else None
    if isinstance(layer, Shapes) and role in _DRAWN:
        shapes = shapes_um(layer)
        if shapes is None:
            return None
        width = float(np.max(layer.edge_width, initial=0)) * abs(float(layer.scale[-1]))
        return SavedLayer(role=role, shapes=shapes, edge_width_um=width or None, **looks)
    file = getattr(layer.source, "path", None)
    if role or not file or not Path(file).exists():
        return None
    return SavedLayer(file=stored_path(file, path), **looks)


def _said_already(session: Session, layer: Any) -> bool:
    role = layer.metadata.get(ROLE, "")
    return (
        role in (*OF_RESULT, *_SELECTED)
        or value_of(layer, Acquisition) is session.acquisition is not None
    )


def _view(viewer: Any) -> SavedView:
    camera, dims = viewer.scene.camera, viewer.dims
    return SavedView(
        ndisplay=dims.ndisplay,
        order=tuple(int(axis) for axis in dims.order),
        point=tuple(float(value) for value in dims.point),
        thickness=tuple(float(value) for value in dims.thickness),
        center=_three((0.0, *camera.center)[-3:]),
        angles=_three(camera.angles),
        zoom=float(camera.zoom),
        canvas=tuple(int(n) for n in viewer.canvas.size),
        scale_bar=bool(viewer.canvas.overlays.scale_bar.visible),
        docks=tuple(name for name, _ in open_docks(viewer)),
    )


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def open_docks(viewer: Any) -> list[tuple[str, Any]]:
    """The plugin's open widgets: name in the menu, and dock.

    The steps of *ULM workflow* follow its name after a slash: "ULM workflow/Vessel maps".
    """
    from napari_ulm3d.plugin.docks import Dock

    if main_window(viewer) is None:
        return []
    found = []
    for name, widget in viewer.window.dock_widgets.items():
        if isinstance(widget, Dock):
            opened = getattr(widget.panel, "accordion", None)
            step = "" if opened is None or opened.opened is None else f"/{opened.opened}"
            found.append((name.rpartition(" (")[0] + step, widget))
    return found
