"""Putting layers into the viewer, or renewing those that are there."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.plugin.layers.convert import LIMITS, VALUE, LayerData
from napari_ulm3d.plugin.layers.replace import renew
from napari_ulm3d.plugin.layers.track_colors import COLOURING, apply_colouring, carried
from napari_ulm3d.plugin.layers.track_span import SPAN, apply_span, span_of

__all__ = ["Placer", "find_layer", "make_layer", "place", "place_opened", "remove", "set_aside"]

#: Key of a layer's metadata that says which of the plugin's layers it is.
ROLE = "ulm3d_role"

# Of a layer of an earlier acquisition: the role that it had.
_EARLIER = "ulm3d_earlier"

# From below to above.
_ORDER = (
    "acquisition",
    "filtered frames preview",
    "power doppler preview",
    "kept voxels",
    "map",
    "compare A",
    "compare B",
    "compare difference",
    "tracks",
    "localizations",
    "vessels",
    "vessel chosen",
    "measure",
)


def make_layer(data: LayerData, role: str) -> Any:
    """The layer itself; may be made off the GUI thread, where large ones take time."""
    from napari.layers import Layer

    values, settings, kind = data
    metadata = {**settings.get("metadata", {}), ROLE: role}
    layer = Layer.create(values, {**settings, "metadata": metadata}, kind)
    if COLOURING in metadata:
        apply_colouring(layer, metadata[COLOURING])
    return layer


def find_layer(viewer: Any, role: str) -> Any:
    """The layer in that role; None when there is none."""
    for layer in viewer.layers:
        if layer.metadata.get(ROLE) == role:
            return layer
    return None


def remove(viewer: Any, role: str) -> None:
    """Take the layer in that role away."""
    layer = find_layer(viewer, role)
    if layer is not None:
        with _same_place(viewer), _no_full_collection():
            viewer.layers.remove(layer)


def place(viewer: Any, layer: Any, *, renew_data: bool = False) -> Any:
    """Add a layer where its role belongs; one that is there already shows what is new.

    Where an older layer cannot take over what the new one shows, that replaces it. What the
    person set on the older one (visibility, opacity, colours of tracks, limits of the same map)
    is kept. With `renew_data` an older image of the same scale keeps its place and all its looks
    and gets the data.
    """
    role = layer.metadata[ROLE]
    old = find_layer(viewer, role)
    active = viewer.layers.selection.active
    if renew_data and old is not None and _same_grid(old, layer):
        old.data = layer.data
        old.metadata = {**old.metadata, VALUE: layer.metadata.get(VALUE)}
        old.name = layer.name
        return old
    if old is not None:
        _keep_looks(old, layer)
        with _same_place(viewer):
            if renew(old, layer):
                return old
    with _same_place(viewer):
        if old is None:
            viewer.layers.insert(_place_of(viewer, role), layer)
        else:
            at = viewer.layers.index(old)
            layer.visible, layer.opacity = old.visible, old.opacity
            with _no_full_collection():
                viewer.layers.remove(old)
            viewer.layers.insert(at, layer)
    # The viewer selects what is new: a person at work on a layer goes on with it.
    if active is not None:
        viewer.layers.selection.active = layer if active is old else active
    return layer


def place_opened(viewer: Any, layers: tuple[Any, ...]) -> None:
    """Place what belongs to layers that napari has added itself, the last ones of their roles.

    Older layers of those roles go: there is one result at a time.
    """
    newest = {layer.metadata[ROLE]: layer for layer in viewer.layers if ROLE in layer.metadata}
    for layer in [*viewer.layers]:
        role = layer.metadata.get(ROLE)
        if role in ("map", "tracks", "localizations") and layer is not newest[role]:
            with _same_place(viewer), _no_full_collection():
                viewer.layers.remove(layer)
    for layer in layers:
        place(viewer, layer)


def set_aside(viewer: Any, newest: Any, name: str) -> None:
    """Hide the layers of an acquisition that another one follows; its name stands before theirs.

    They have no role any more: what comes now is placed beside them and does not renew them.
    """
    for layer in viewer.layers:
        role = layer.metadata.get(ROLE)
        acquisition = isinstance(layer.metadata.get(VALUE), Acquisition)
        if layer is newest or _EARLIER in layer.metadata or not (role in _ORDER or acquisition):
            continue
        if name and not layer.name.startswith(name):
            layer.name = f"{name}: {layer.name}"
        layer.visible = False
        kept = {key: value for key, value in layer.metadata.items() if key != ROLE}
        layer.metadata = {**kept, _EARLIER: role}


class Placer(QObject):
    """Places layers one after the other, a turn of the event loop each.

    A layer takes some 50 ms to be added, and as long to be drawn first; several at once would
    be felt.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._steps: deque[Callable[[], Any]] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(10)
        self._timer.timeout.connect(self._step)

    @property
    def busy(self) -> bool:
        """Whether there is something left to place."""
        return bool(self._steps)

    def start(
        self,
        viewer: Any,
        layers: tuple[Any, ...],
        stale_roles: tuple[str, ...],
        done: Callable[[], None],
    ) -> None:
        """Take away the layers of stale roles, place the others, then call `done`."""
        self.take_turns(
            *(partial(remove, viewer, role) for role in stale_roles),
            *(partial(place, viewer, layer) for layer in layers),
            done,
        )

    def take_turns(self, *steps: Callable[[], Any]) -> None:
        """Do these after what is waiting already, a turn of the event loop each."""
        self._steps.extend(steps)
        if self._steps:
            self._timer.start()

    def forget(self) -> None:
        """What is waiting is not to be done any more."""
        self._steps.clear()
        self._timer.stop()

    def _step(self) -> None:
        step = self._steps[0]
        try:
            step()
        finally:
            if self._steps and self._steps[0] is step:
                self._steps.popleft()
            if not self._steps:
                self._timer.stop()


def _keep_looks(old: Any, new: Any) -> None:
    carried(old, new)
    if SPAN in old.metadata and hasattr(new, "tail_length"):
        apply_span(new, span_of(old))
    before, now = old.metadata.get(LIMITS), new.metadata.get(LIMITS)
    if before is not None and now is not None and old.name == new.name:
        if tuple(old.contrast_limits) != tuple(before):
            new.contrast_limits = old.contrast_limits
        new.rendering, new.projection_mode = old.rendering, old.projection_mode
        new.blending = old.blending


def _same_grid(old: Any, new: Any) -> bool:
    return bool(
        old.data.shape == new.data.shape
        and (old.scale == new.scale).all()
        and (old.translate == new.translate).all()
    )


def _place_of(viewer: Any, role: str) -> int:
    """Under the first layer of a role that belongs further up; else on top."""
    above = _ORDER[_ORDER.index(role) + 1 :] if role in _ORDER else ()
    for at, layer in enumerate(viewer.layers):
        if layer.metadata.get(ROLE) in above:
            return at
    return len(viewer.layers)


@contextmanager
def _no_full_collection() -> Iterator[None]:
    """Keep napari's full garbage collection at every removed layer short.

    It takes a quarter of a second in a grown process, on the GUI thread. What lives now is
    set aside from it; the interpreter's own collections see it again afterwards.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _same_place(viewer: Any) -> Iterator[None]:
    """Keep the sliders where they are.

    When a layer goes, napari keeps the number of the step and not the position; with other
    layers' steps the view would jump.
    """
    point, ndim = viewer.dims.point, viewer.dims.ndim
    yield
    if viewer.dims.ndim == ndim:
        viewer.dims.point = point
