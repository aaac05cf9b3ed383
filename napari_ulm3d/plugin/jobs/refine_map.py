"""Maps in the viewer that can be refined, and refining them off the GUI thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ulm3d.plugin.jobs.job import Stop, Work, waits
from napari_ulm3d.plugin.layers.convert import VALUE
from napari_ulm3d.plugin.layers.volume_of import um_per_unit
from napari_ulm3d.volumes import VesselMap

if TYPE_CHECKING:
    from napari_ulm3d.refinement.refined import Task

__all__ = ["Order", "cost_work", "layer_map", "refinable", "refine_work"]

_BOX_VOXELS = 64
Maps = Mapping[str, VesselMap]


@dataclass(frozen=True)
class Order:
    """A request to refine a map.

    Attributes
    ----------
    read
        Returns the maps; called off the GUI thread.
    task, factor, weights
        As in `refine`.
    """

    read: Callable[[], Maps]
    task: Task
    factor: int
    weights: str | None


def refinable(layer: Any) -> bool:
    """Whether a layer shows a single measured volume or plane."""
    value = layer.metadata.get(VALUE)
    if value is not None:
        return isinstance(value, VesselMap) and not value.predicted and not value.signed
    kind = type(layer).__name__
    return kind in ("Image", "Labels") and layer.ndim in (2, 3) and not getattr(layer, "rgb", False)


def layer_map(layer: Any) -> VesselMap:
    """The density that a layer shows; in Labels, every value but 0 is vessel.

    Raises
    ------
    InputError, ResultsError
        The values or the scale cannot be used.
    """
    from napari_ulm3d.refinement import image_map

    value = layer.metadata.get(VALUE)
    if isinstance(value, VesselMap):
        return value
    data = layer.data[0] if layer.multiscale else layer.data
    array = np.asarray(data)
    if type(layer).__name__ == "Labels":
        array = (array != 0).view(np.uint8)
    um = _um_of(layer)
    scale = np.abs(np.asarray(layer.scale)[-array.ndim :]) * um[-array.ndim :]
    origin = np.asarray(layer.translate)[-array.ndim :] * um[-array.ndim :]
    return image_map(array, scale.tolist(), origin.tolist(), layer.name)


def refine_work(
    order: Order, centre_um: tuple[float, float, float] | None, tell: Callable[[float], None]
) -> Work:
    """Refine a map, or a box around a position (around the densest place if the box is empty)."""

    def work(stop: Stop) -> Any:
        from napari_ulm3d.plugin.layers.predicted import predicted_layers
        from napari_ulm3d.refinement import refine

        maps = order.read()
        box = None if centre_um is None else _box(maps["density"], centre_um)
        refined = refine(
            maps,
            order.task,
            factor=order.factor,
            weights=order.weights,
            box=box,
            cancelled=stop,
            progress=lambda share, _: tell(share),
        )
        return refined, predicted_layers(refined, whole=box is None)

    return waits(work)


def cost_work(order: Order) -> Work:
    """Estimated cost of the whole map."""

    def work(stop: Stop) -> Generator[Any, None, Any]:
        from napari_ulm3d.refinement.refining import expected_cost

        yield from ()
        return expected_cost(
            order.read(), order.task, factor=order.factor, weights=order.weights
        ).text()

    return work


def _um_of(layer: Any) -> np.ndarray:
    units = tuple(layer.units)
    return np.array(um_per_unit(layer.name, (units[0],) * (3 - len(units)) + units))


def _box(density: VesselMap, centre_um: tuple[float, float, float]) -> Any:
    grid = density.grid
    edge = min(
        s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1 or grid.size == 1
    )
    half = np.where(np.asarray(grid.shape) > 1, _BOX_VOXELS / 2 * edge, np.inf)
    half = np.minimum(half, np.asarray(grid.extent_um) + np.asarray(grid.spacing_um))
    places = grid.to_um(np.stack(np.unravel_index(density.index, grid.shape), axis=1))

    def about(centre: np.ndarray) -> np.ndarray:
        return np.stack([centre - half, centre + half], axis=1)

    box = about(np.asarray(centre_um, float))
    inside = ((places >= box[:, 0]) & (places <= box[:, 1])).all(axis=1)
    if not inside.any() and len(places):
        blocks = np.floor((places - places.min(axis=0)) / half).astype(np.int64)
        _, block, counts = np.unique(blocks, axis=0, return_inverse=True, return_counts=True)
        box = about(places[block.ravel() == counts.argmax()].mean(axis=0))
    return tuple((float(low), float(high)) for low, high in box)
