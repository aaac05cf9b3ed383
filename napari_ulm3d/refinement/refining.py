"""Refine a measured map."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import Device
from napari_ulm3d.device import resolve_device
from napari_ulm3d.errors import Cancelled, ConfigError, InputError
from napari_ulm3d.networks.shipped import LoadedNetwork, find_weights, load_weights
from napari_ulm3d.networks.volumes.config import FEATURES
from napari_ulm3d.refinement.cost import RefiningCost, refining_cost
from napari_ulm3d.refinement.features import MapFeatures, map_features
from napari_ulm3d.refinement.refined import TASKS, RefinedMap, Task
from napari_ulm3d.refinement.regrid import on_cubes, working_grid
from napari_ulm3d.refinement.sources import Source, read_source
from napari_ulm3d.refinement.tensor import as_tensor, finer, flat_index
from napari_ulm3d.refinement.watch import watched
from napari_ulm3d.volumes import VesselMap

__all__ = ["Box", "expected_cost", "prepared", "refine"]

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

_ARCHITECTURES: dict[str, str] = {
    "complete": "CompletionNet",
    "superres": "SuperResolutionNet",
    "segment": "SegmentationNet",
}
# Finer maps are resampled to coarser cubes first, since the networks were not trained on them.
_FINEST_UM = 5.0
# Margin around the box of a preview that the network also reads.
_MARGIN_VOXELS = 16
_MOST_VOXELS = 40_000_000
#: Threshold on the probability of vessel if neither the caller nor the weights give one.
LEAST = 0.5
_KINDS_NOTE = (
    "Artery, capillary or vein is a guess from simulated networks, and often wrong in measured anatomy. With tracks, "
    "`napari-ulm3d vessels` tells arteries from veins by their branching along the flow."
)


def refine(
    source: Source,
    task: Task = "complete",
    *,
    factor: int = 2,
    least: float | None = None,
    weights: str | PathLike[str] | None = None,
    device: Device = "auto",
    box: Box | None = None,
    load: Mapping[str, Any] | None = None,
    progress: Callable[[float, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RefinedMap:
    """Complete, sharpen or segment a vessel map with a sparse network.

    The result is a prediction. It never enters tracks, resolution, saturation or scores.

    Parameters
    ----------
    source
        A run, a results folder, a density map (`VesselMap`), maps by name, or the file of a map
        or of any volume. The networks also use ``speed``, ``velocity_z`` and ``direction`` if
        all are present.
    task
        ``complete``: the vessel voxels that a longer acquisition would fill. ``superres``: the
        vessels on voxels 1/factor as large. ``segment``: which voxels are vessel and which are
        noise, and the kind of vessel.
    factor
        superres: 2, 4 or another power of two that the weights support.
    least
        Probability at or above which a voxel counts as vessel; None: the weights' threshold.
    weights
        A weights file; None: those shipped for the task.
    device
        ``auto``, ``cpu`` or ``cuda``.
    box
        (low, high) in um along z, y, x: refine only this part, as a preview.
    load
        Settings of `LoadConfig` for an image file, such as ``{"voxel_um": (10, 10, 10)}``.
    progress
        Called with the share done and the current step.
    cancelled
        Called between the network's layers; a true result stops the refinement.

    Returns
    -------
    RefinedMap

    Raises
    ------
    ConfigError
        The task, factor or threshold is invalid.
    InputError, ResultsError
        The source is not a density map, or contains NaN, infinite or negative values.
    Cancelled
        `cancelled` returned true.
    """
    _check(task, factor, least)

    def at(share: float, what: str) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("The refinement was stopped.")
        if progress is not None:
            progress(share, what)

    at(0.0, "reading the map")
    maps, name = read_source(source, load)
    loaded = load_weights(
        find_weights(None if weights is None else str(weights), task),
        (_ARCHITECTURES[task],),
        resolve_device(device),
    )
    features, measured, notes = prepared(maps, task, loaded, box)
    at(0.2, "predicting")
    doublings = int(math.log2(factor)) if task == "superres" else 0
    with watched(loaded.network, lambda share: at(0.2 + 0.7 * share, "predicting")):
        grid, index, probability, kind = _predict(loaded, task, features, doublings)
    at(0.9, "gathering")
    if box is not None:
        kept = _within(grid, index, box)
        index, probability = index[kept], probability[kept]
        kind = None if kind is None else kind[kept]
    bound = _threshold(loaded.card.scores, task, factor) if least is None else least
    facts = {
        "task": task,
        "weights": loaded.card.name or loaded.path.stem,
        "weights_sha256": loaded.sha256,
        "source": name,
        "least": bound,
        **({"factor": factor} if task == "superres" else {}),
    }
    kinds = None
    if kind is not None:
        vessel = probability >= bound
        kinds = VesselMap(
            "predicted_kind", grid, index[vessel], kind[vessel] + 1.0, "", prediction=facts
        )
        notes = (*notes, _KINDS_NOTE)
    result = VesselMap(
        "predicted_probability", grid, index, probability, "probability", prediction=facts
    )
    at(1.0, "done")
    return RefinedMap(task, result, measured, kinds, loaded.facts(), name, bound, notes)


def expected_cost(
    source: Source,
    task: Task = "complete",
    *,
    factor: int = 2,
    weights: str | PathLike[str] | None = None,
    load: Mapping[str, Any] | None = None,
) -> RefiningCost:
    """Expected memory and time of `refine` with the same arguments.

    Raises
    ------
    ConfigError, InputError, ResultsError
        As for `refine`.
    """
    _check(task, factor, None)
    maps, _ = read_source(source, load)
    loaded = load_weights(
        find_weights(None if weights is None else str(weights), task),
        (_ARCHITECTURES[task],),
        "cpu",
    )
    features, _, _ = prepared(maps, task, loaded)
    sizes = cast(Any, loaded.network).config
    return refining_cost(len(features), features.grid.shape, task, sizes, factor)


def prepared(
    maps: Mapping[str, VesselMap], task: Task, loaded: LoadedNetwork, box: Box | None = None
) -> tuple[MapFeatures, VesselMap, tuple[str, ...]]:
    """The network's input, the density on the working grid, and notes for the user.

    Raises
    ------
    InputError
        As for `map_features`; also for an empty box or too many voxels.
    """
    density = maps["density"]
    grid = working_grid(density.grid, _FINEST_UM)
    maps = on_cubes(_valid(maps), grid)
    if box is not None:
        maps = {name: _cut(each, box) for name, each in maps.items()}
    features = map_features(maps)
    if len(features) > _MOST_VOXELS:
        raise InputError(
            None,
            f"The map has {len(features):,} non-empty voxels; at most {_MOST_VOXELS:,} can be refined",
            "Apply a threshold first: a vessel map is nearly empty.",
        )
    notes = []
    if len(features) > grid.size / 3 and len(features) > 1000:
        notes.append(
            f"{len(features) / grid.size:.0%} of the voxels are not empty; in a vessel map, a few "
            "percent are. Apply a threshold to an image before refining it."
        )
    if grid != density.grid:
        notes.append(f"The map was first resampled to cubes of {features.voxel_um:g} um.")
    trained = loaded.card.data.get("data", {}).get("voxel_um")
    if trained:
        low, high = float(trained[0]), float(trained[1])
        edge = features.voxel_um
        if not 0.8 * low <= edge <= 1.25 * high:
            notes.append(
                f"Voxels of {edge:g} um: the network was trained on {low:g} to {high:g} um."
            )
        values = features.values.copy()
        column = FEATURES.index("log_voxel")
        shift = np.log2(np.clip(edge, low, high) / edge)
        values[:, column] += shift
        features = replace(features, values=values)
    return features, maps["density"], tuple(notes)


def _threshold(scores: Mapping[str, float], task: Task, factor: int) -> float:
    """The threshold with the best Dice on the validation scenes of the weights."""
    usual = scores.get("least", LEAST)
    return float(scores.get(f"least_x{factor}", usual) if task == "superres" else usual)


def _check(task: str, factor: int, least: float | None) -> None:
    if task not in TASKS:
        raise ConfigError(f"There is no task {task!r}. Choose {', '.join(TASKS)}.")
    if task == "superres" and (factor < 2 or factor & (factor - 1)):
        raise ConfigError(f"A factor of {factor} is not a power of two. Choose 2 or 4.")
    if least is not None and not 0 < least <= 1:
        raise ConfigError(
            f"The least probability is {least:g}; give one over 0 and up to 1, such as 0.5."
        )


def _valid(maps: Mapping[str, VesselMap]) -> Mapping[str, VesselMap]:
    map_features(maps)  # reject invalid values before they are averaged
    return maps


@torch.no_grad()
def _predict(
    loaded: LoadedNetwork, task: Task, features: MapFeatures, doublings: int
) -> tuple[Grid, NDArray[np.int64], NDArray[np.float32], NDArray[np.float32] | None]:
    x = as_tensor(features, loaded.device)
    network = cast(Any, loaded.network)
    if task == "segment":
        out = network(x)
        with_speed = bool(len(features)) and bool(
            features.values[0, FEATURES.index("has_velocity")]
        )
        kind = out.kind.features.argmax(1).float().cpu().numpy() if with_speed else None
        logit, grid = out.vessel, features.grid
        index = flat_index(logit, grid)
        return grid, index, _sigmoid(logit.features), kind
    out = network(x) if task == "complete" else network(x, doublings)
    grid = finer(features.grid, doublings)
    index = flat_index(out.output, grid)
    probability = _sigmoid(out.output.features)
    if features.grid.shape[1] == 1 and grid.shape[1] > 1:
        grid, index, probability = _flattened(grid, features.grid, index, probability)
    return grid, index, probability, None


def _sigmoid(logits: torch.Tensor) -> NDArray[np.float32]:
    return torch.sigmoid(logits[:, 0].float()).cpu().numpy()


def _flattened(
    grid: Grid, plane: Grid, index: NDArray[np.int64], probability: NDArray[np.float32]
) -> tuple[Grid, NDArray[np.int64], NDArray[np.float32]]:
    """Merge the layers of a plane that was divided along y: the maximum of each voxel."""
    z, _, x = np.unravel_index(index, grid.shape)
    shape = (grid.shape[0], 1, grid.shape[2])
    flat = np.ravel_multi_index((z, np.zeros_like(z), x), shape)
    kept, inverse = np.unique(flat, return_inverse=True)
    most = np.zeros(kept.size, np.float32)
    np.maximum.at(most, inverse, probability)
    (dz, _, dx), (oz, _, ox) = grid.spacing_um, grid.origin_um
    thin = Grid(shape, (dz, plane.spacing_um[1], dx), (oz, plane.origin_um[1], ox))
    return thin, kept, most


def _cut(each: VesselMap, box: Box) -> VesselMap:
    margin = _MARGIN_VOXELS * np.asarray(each.grid.spacing_um)
    wide = [(low - m, high + m) for (low, high), m in zip(box, margin, strict=True)]
    kept = _within(each.grid, each.index, wide)
    return replace(each, index=each.index[kept], values=each.values[kept])


def _within(grid: Grid, index: NDArray[np.int64], box: Any) -> NDArray[np.bool_]:
    places = grid.to_um(np.stack(np.unravel_index(index, grid.shape), axis=1))
    low, high = np.asarray(box, float).T
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise InputError(None, "The box is empty", "Give lowest and highest z, y, x in um.")
    return np.asarray(((places >= low) & (places <= high)).all(axis=1))
