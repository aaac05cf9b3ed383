"""Two results on a common grid, with the numbers to compare them; independent of the viewer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate import (
    EvaluateConfig,
    Scores,
    evaluate,
    map_difference,
    read_truth,
    score_rows,
    tracks_dice,
)
from napari_ulm3d.plugin.layers.convert import map_layer
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.plugin.state.saved_results import TRUTH, mapped, result_of_folder, result_of_table
from napari_ulm3d.plugin.state.saved_results import result_of_truth as _of_truth
from napari_ulm3d.volumes import VesselMap

__all__ = ["ROLES", "Compared", "Source", "compare", "layers_of"]

#: Roles of the layers that show a comparison.
ROLES = ("compare A", "compare B", "compare difference")

# Maps of counts: an empty voxel is zero. In a speed map it has no value.
_COUNTS = ("density", "direction", "power_doppler")

#: The scores shown; they are defined as in PALA.
_SCORING = EvaluateConfig()


@dataclass(frozen=True)
class Source:
    """A result to choose from: in memory, or loaded on demand.

    Attributes
    ----------
    key
        Unique key.
    label
        Label for the list.
    kind
        "result", "folder", "table" or "truth".
    """

    key: str
    label: str
    kind: str
    result: Result | None = None
    path: Path | None = None

    def load(self, like: Result | Acquisition | None) -> Result:
        """Load the result; a bare table or the ground truth takes its grid and rate from `like`.

        Raises
        ------
        UlmError
            It cannot be read.
        """
        if self.result is not None:
            return self.result
        assert self.path is not None
        if self.kind == "folder":
            return result_of_folder(self.path)
        if self.kind == "table":
            return result_of_table(self.path, like)
        if like is None:
            raise ConfigError(
                "The ground truth belongs to an acquisition; open the acquisition first."
            )
        return _of_truth(self.path, like)


@dataclass(frozen=True)
class Compared:
    """One or two results on one grid.

    Attributes
    ----------
    results
        A, and B if there is one.
    labels
        Their labels.
    rows
        Name, value of A, value of B.
    note
        A caution for the user; often empty.
    """

    results: tuple[Result, ...]
    labels: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def map(self, number: int, name: str) -> VesselMap | None:
        """A map of A (0) or B (1)."""
        return self.results[number].maps.get(name) if number < len(self.results) else None


def compare(
    sources: tuple[Source, ...],
    acquisition: Acquisition | None,
    truth: Path | None,
    stop: Callable[[], bool],
) -> Compared:
    """Load one or two results, map them on a common grid, and summarize them.

    Parameters
    ----------
    acquisition
        The open acquisition, which gives bare tables their grid.
    truth
        Ground truth to score against; None: no scores.
    stop
        Returns True to skip the rest of the work.

    Raises
    ------
    UlmError
        A source cannot be read.
    """
    like: Result | Acquisition | None = acquisition
    results: list[Result] = []
    for source in sorted(sources, key=lambda s: s.kind in ("table", "truth")):
        result = source.load(like)
        like = result if like is None else like
        results.append(result)
    order = sorted(range(len(sources)), key=lambda k: sources[k].kind in ("table", "truth"))
    placed = [results[order.index(k)] for k in range(len(sources))]
    note = ""
    if placed and "density" not in placed[0].maps:
        placed[0] = mapped(placed[0])
    if len(placed) == 2:
        placed[1], note = _like_first(*placed)
    columns = [_numbers(result, truth, stop) for result in placed]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, *(column.get(name, "-") for column in columns)) for name in names]
    if len(placed) == 2 and all(len(result.tracks) for result in placed):
        share = tracks_dice(placed[0].tracks, placed[1].tracks, placed[0].grid)
        rows.append(("A to B: Dice at 25 um", f"{share:.3f}", ""))
    labels = tuple(source.label for source in sources)
    return Compared(tuple(placed), labels, tuple(rows), note)


def layers_of(compared: Compared, name: str, view: str) -> tuple[Any, ...]:
    """Layers of one map of both results: "overlay", "side by side" or "difference"."""
    first, second = compared.map(0, name), compared.map(1, name)
    if first is None or second is None:
        return ()
    if view == "difference":
        values, settings, kind = map_layer(
            map_difference(first, second, common=name not in _COUNTS)
        )
        settings |= {"name": f"A - B: {settings['name']}", "blending": "translucent_no_depth"}
        return (make_layer((values, settings, kind), ROLES[2]),)
    made = [map_layer(vessel_map) for vessel_map in (first, second)]
    # One scale for both: colours mean the same.
    top = max(settings["contrast_limits"][1] for _, settings, _ in made)
    low = -top if first.signed else 0.0
    layers = []
    for (values, settings, kind), letter, role, colour in zip(
        made, "AB", ROLES[:2], ("magenta", "green"), strict=True
    ):
        settings |= {"name": f"{letter}: {settings['name']}", "contrast_limits": (low, top)}
        if view == "overlay":
            # Magnitudes: magenta and green add up to white where both maps have signal.
            settings |= {"colormap": colour, "blending": "additive", "contrast_limits": (0.0, top)}
            values = np.abs(values) if first.signed else values
        layers.append(make_layer((values, settings, kind), role))
    return tuple(layers)


def _like_first(first: Result, second: Result) -> tuple[Result, str]:
    """The second result with maps on the grid of the first."""
    same = first.grid == second.grid
    other = second.maps.get("density")
    if same and other is not None and other.grid == first.maps["density"].grid:
        return second, ""
    alike = replace(second, grid=first.grid, maps={})
    note = (
        "B's maps were rebuilt from its tracks at A's resolution factor."
        if same
        else "A and B have different fields of view: B's tracks were mapped on A's grid."
    )
    return mapped(alike, first.config.maps), note


def _numbers(result: Result, truth: Path | None, stop: Callable[[], bool]) -> dict[str, str]:
    """Names and values of a result's summary."""
    found, tracks = result.localizations, result.tracks
    numbers = {"of": result.title}
    if len(found):
        numbers["bubbles per frame"] = f"{len(found) / result.n_frames:.2f}"
    numbers["tracks"] = f"{tracks.n_tracks:,}"
    if len(tracks):
        length = len(tracks) / tracks.n_tracks
        numbers["mean track length"] = f"{length:.1f} frames"
        numbers["mean speed"] = f"{float(tracks.table['speed_mm_s'].mean()):.2f} mm/s"
    if result.resolution is not None:
        numbers["resolution (FSC)"] = result.resolution.text
    if result.saturation is not None:
        share = 100 * float(result.saturation["share_of_grid"].iloc[-1])
        numbers["saturation (voxels)"] = f"{share:.3f} %"
    if truth is None or stop() or result.scope == TRUTH:
        return numbers
    try:
        scores = _scores(result, truth)
    except ConfigError as error:
        return numbers | {"against the truth": str(error)}
    return numbers | dict(score_rows(scores))


def _scores(result: Result, truth: Path) -> Scores:
    frames = result.frames or (0, result.n_frames)
    return evaluate(
        result.localizations,
        result.tracks,
        read_truth(truth),
        result.grid,
        result.wavelength_um,
        _SCORING,
        frames=frames,
    )
