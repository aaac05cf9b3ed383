"""Adding layers to the viewer, or updating existing ones."""

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
from napari_ulm3d.plugin.napari_private import insert_unselected

__all__ = ["Placer", "find_layer", "make_layer", "place", "place_opened", "remove", "set_aside"]

#: Metadata key that tells which of the plugin's layers it is.
ROLE = "ulm3d_role"

#: Metadata key of the former role of a layer of an earlier acquisition.
EARLIER = "ulm3d_earlier"

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
    """Create the layer; large ones take time and may be created off the GUI thread."""
    from napari.layers import Layer

    values, settings, kind = data
    metadata = {**settings.get("metadata", {}), ROLE: role}
    layer = Layer.create(values, {**settings, "metadata": metadata}, kind)
    if COLOURING in metadata:
        apply_colouring(layer, metadata[COLOURING])
    return layer


def find_layer(viewer: Any, role: str) -> Any:
    """The layer with that role; None if there is none."""
    for layer in viewer.layers:
        if layer.metadata.get(ROLE) == role:
            return layer
    return None


def remove(viewer: Any, role: str) -> None:
    """Remove the layer with that role."""
    layer = find_layer(viewer, role)
    if layer is not None:
        with _same_place(viewer), _no_full_collection():
            viewer.layers.remove(layer)


def place(viewer: Any, layer: Any, *, renew_data: bool = False) -> Any:
    """Add a layer at the position of its role, or update the existing layer with that role.

    An older layer that cannot take over the new data is replaced. What the
    user set on the older one (visibility, opacity, track colours, contrast limits of the same map)
    is kept. With `renew_data`, an older image of the same scale keeps its position and appearance
    and only gets the data.
    """
    role = layer.metadata[ROLE]
    old = find_layer(viewer, role)
    layers = viewer.layers
    active = layers.selection.active
    # The user carries on with the layers selected; without any, napari selects the new one.
    insert = partial(insert_unselected, layers) if layers.selection else layers.insert
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
            insert(_place_of(viewer, role), layer)
        else:
            at = layers.index(old)
            layer.visible, layer.opacity = old.visible, old.opacity
            with _no_full_collection():
                layers.remove(old)
            insert(at, layer)
    if active is not None and active is old:
        layers.selection.active = layer
    return layer


def place_opened(viewer: Any, layers: tuple[Any, ...]) -> None:
    """Tidy up after layers that napari has added itself, keeping the last one of each role.

    Older layers with those roles are removed: there is one result at a time.
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
    """Hide the layers of the previous acquisition and prefix their names with its name.

    They lose their roles, so that new layers are added beside them and do not update them.
    """
    for layer in viewer.layers:
        role = layer.metadata.get(ROLE)
        acquisition = isinstance(layer.metadata.get(VALUE), Acquisition)
        if layer is newest or EARLIER in layer.metadata or not (role in _ORDER or acquisition):
            continue
        if name and not layer.name.startswith(name):
            layer.name = f"{name}: {layer.name}"
        layer.visible = False
        kept = {key: value for key, value in layer.metadata.items() if key != ROLE}
        layer.metadata = {**kept, EARLIER: role}


class Placer(QObject):
    """Places layers one after the other, one per turn of the event loop.

    Adding a layer takes some 50 ms, and drawing it first as long again; several at once would
    be noticeable.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._steps: deque[Callable[[], Any]] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(10)
        self._timer.timeout.connect(self._step)

    @property
    def busy(self) -> bool:
        """Whether layers are left to place."""
        return bool(self._steps)

    def start(
        self,
        viewer: Any,
        layers: tuple[Any, ...],
        stale_roles: tuple[str, ...],
        done: Callable[[], None],
    ) -> None:
        """Remove the layers with stale roles, place the others, then call `done`."""
        self.take_turns(
            *(partial(remove, viewer, role) for role in stale_roles),
            *(partial(place, viewer, layer) for layer in layers),
            done,
        )

    def take_turns(self, *steps: Callable[[], Any]) -> None:
        """Queue these actions, one per turn of the event loop."""
        self._steps.extend(steps)
        if self._steps:
            self._timer.start()

    def forget(self) -> None:
        """Discard all queued actions."""
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
    """Position below the first layer whose role belongs further up, else on top."""
    above = _ORDER[_ORDER.index(role) + 1 :] if role in _ORDER else ()
    for at, layer in enumerate(viewer.layers):
        if layer.metadata.get(ROLE) in above:
            return at
    return len(viewer.layers)


@contextmanager
def _no_full_collection() -> Iterator[None]:
    """Keep the full garbage collection that napari runs for every removed layer short.

    In a large process it takes a quarter of a second on the GUI thread. Live objects are
    frozen meanwhile; the interpreter's own collections include them again afterwards.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _same_place(viewer: Any) -> Iterator[None]:
    """Keep the sliders at their positions.

    When a layer is removed, napari keeps the step number and not the position; with other
    step sizes the view would jump.
    """
    point, ndim = viewer.dims.point, viewer.dims.ndim
    yield
    if viewer.dims.ndim == ndim:
        viewer.dims.point = point
