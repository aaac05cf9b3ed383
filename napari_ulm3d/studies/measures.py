"""The measures of one scan, in the whole field and by region."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import InputError
from napari_ulm3d.studies.config import RegionConfig
from napari_ulm3d.vasculature import VesselGraph
from napari_ulm3d.volumes import VesselMap

__all__ = ["WHOLE", "scan_measures"]

WHOLE = "whole"
_MOST_SAMPLES = 400_000
_SAMPLES_ACROSS = 3.0  # samples per distance that counts as perfused

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]


@dataclass(frozen=True)
class _Part:
    """A part of the field, with a function that selects the positions (n, 3) in it."""

    name: str
    contains: Inside


def scan_measures(
    graph: VesselGraph,
    grid: Grid,
    regions: Sequence[RegionConfig] = (),
    labels: VesselMap | None = None,
    *,
    perfused_within_um: float = 50.0,
) -> list[dict[str, float | str]]:
    """Measure the whole field and each region; one row for each.

    Means are weighted by the length of vessels within the part. The volume of vessels is that of
    round tubes along the centrelines; vessels without a diameter (too few tracks) are left out,
    and `measured_share` is the share of the length that has one. In a plane, volumes are areas.

    Parameters
    ----------
    graph
        Vessels of the scan.
    grid
        Grid of the acquisition, which defines the field.
    regions
        Parts to measure besides the whole field.
    labels
        Label volume for regions with a label; None: these are NaN.
    perfused_within_um
        Tissue within this distance of a vessel's wall counts as perfused.
    """
    samples, cell = _samples(grid, perfused_within_um)
    perfused = _perfused(graph, samples, perfused_within_um)
    middle, step, owner = _pieces(graph)
    rows = []
    for part in _parts(regions, labels):
        volume = float(np.count_nonzero(inside := part.contains(samples))) * cell
        row: dict[str, float | str] = {"region": part.name}
        length = np.bincount(owner, step * part.contains(middle), len(graph)).astype(np.float64)
        row |= _numbers(graph, length, volume, planar=min(grid.shape) == 1)
        row["perfused_fraction"] = float(perfused[inside].mean()) if inside.any() else np.nan
        rows.append(row)
    return rows


def _numbers(
    graph: VesselGraph, length: NDArray[np.float64], volume: float, *, planar: bool
) -> dict[str, float]:
    table = graph.table
    diameter = table["diameter_um"].to_numpy(np.float64)
    known = np.isfinite(diameter)
    section = diameter if planar else np.pi / 4 * diameter**2
    total = float(length.sum())
    if volume <= 0:
        total = np.nan
    per_mm = 1e3 if planar else 1e6  # um/um2 and um/um3 to mm/mm2 and mm/mm3
    share = float(length[known].sum() / total) if total > 0 else np.nan
    told = volume > 0 and (share > 0 or total == 0)  # without vessels, a part is empty, not unknown
    return {
        "n_vessels": float(np.count_nonzero(length)),
        "measured_share": share,
        "vascular_fraction": float((section * length)[known].sum() / volume) if told else np.nan,
        "length_density": total / volume * per_mm if volume > 0 else np.nan,
        "diameter_um": _mean(diameter, length),
        "speed_mm_s": _mean(np.abs(table["mean_speed_mm_s"].to_numpy(np.float64)), length),
        "flow_nl_min": _mean(table["flow_nl_min"].to_numpy(np.float64), length),
        "tortuosity": _mean(table["tortuosity"].to_numpy(np.float64), length),
    }


def _mean(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    known = np.isfinite(values) & (weight > 0)
    return float(np.average(values[known], weights=weight[known])) if known.any() else np.nan


def _pieces(
    graph: VesselGraph,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """The centrelines in short pieces: middle (n, 3), length (n,) um, index of the vessel (n,)."""
    middles, steps, owners = [np.empty((0, 3))], [np.empty(0)], [np.empty(0, np.int64)]
    for k, path in enumerate(graph.paths):
        step = np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=1))
        # Scale the drawn path to the vessel's length in the table.
        own, drawn = float(graph.table["length_um"].iloc[k]), float(step.sum())
        middles.append((path[1:] + path[:-1]) / 2)
        steps.append(step * (own / drawn if drawn > 0 else 0.0))
        owners.append(np.full(len(step), k))
    return np.concatenate(middles), np.concatenate(steps), np.concatenate(owners)


def _samples(grid: Grid, within_um: float) -> tuple[NDArray[np.float64], float]:
    """(n, 3) positions that sample the field evenly, and the volume (plane: area) of each."""
    spacing, shape = np.asarray(grid.spacing_um), np.asarray(grid.shape)
    extent = spacing * shape
    held = shape > 1 if shape.min() == 1 else np.ones(3, bool)
    size = float(np.prod(extent[held]))
    pitch = max(within_um / _SAMPLES_ACROSS, (size / _MOST_SAMPLES) ** (1 / held.sum()))
    count = np.where(held, np.maximum(1, np.round(extent / pitch)), 1).astype(int)
    low = np.asarray(grid.origin_um) - spacing / 2
    axes = [low[k] + (np.arange(count[k]) + 0.5) * extent[k] / count[k] for k in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return points, size / len(points)


def _perfused(
    graph: VesselGraph, samples: NDArray[np.float64], within_um: float
) -> NDArray[np.bool_]:
    if not len(graph):
        return np.zeros(len(samples), bool)
    points = np.concatenate(graph.paths)
    radius = np.nan_to_num(graph.table["diameter_um"].to_numpy(np.float64)) / 2
    owner = np.repeat(np.arange(len(graph)), [len(path) for path in graph.paths])
    distance, nearest = cKDTree(points).query(samples, workers=1)
    return np.asarray(distance - radius[owner[nearest]] <= within_um)


def _parts(regions: Sequence[RegionConfig], labels: VesselMap | None) -> Iterator[_Part]:
    yield _Part(WHOLE, lambda places: np.ones(len(places), bool))
    for region in regions:
        if region.box_um is not None:
            yield _Part(region.name, _in_box(np.asarray(region.box_um)))
        elif labels is not None and region.label is not None:
            yield _Part(region.name, _in_label(labels, region.label))
        else:
            yield _Part(region.name, lambda places: np.zeros(len(places), bool))


def _in_box(box: NDArray[np.float64]) -> Inside:
    def contains(places: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray(((places >= box[:, 0]) & (places < box[:, 1])).all(axis=1))

    return contains


def _in_label(labels: VesselMap, number: int) -> Inside:
    index = labels.index[labels.values == number]
    if not len(index):
        raise InputError(None, f"The volume of regions has no voxel with the label {number}")

    def contains(places: NDArray[np.float64]) -> NDArray[np.bool_]:
        cell = np.floor(labels.grid.to_index(places) + 0.5).astype(np.int64)
        rows = np.flatnonzero(((cell >= 0) & (cell < np.asarray(labels.shape))).all(axis=1))
        flat = np.ravel_multi_index(tuple(cell[rows].T), labels.shape)
        inside = np.zeros(len(places), bool)
        inside[rows] = np.isin(flat, index)
        return inside

    return contains
