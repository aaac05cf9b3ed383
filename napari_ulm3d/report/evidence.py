"""Evidence for the quality of a run: errors of the maps, chance tracks, saturation, motion."""

from __future__ import annotations

import pandas as pd

from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.maps.confidence import SHOWN, confidence_rows
from napari_ulm3d.report.blocks import figure, figures_row, table
from napari_ulm3d.report.figures import curve_image
from napari_ulm3d.tables import POSITION_UM

__all__ = ["evidence"]

_LONGEST = 40  # frames: there are few longer tracks
_CURVES = (
    (
        "saturation_forecast.csv",
        "time_s",
        {"voxels": "expected", "low": "90 % interval, low", "high": "high"},
        ("time (s)", "voxels reached (forecast)"),
    ),
    (
        "chance_tracks.csv",
        "length_frames",
        {"share_by_chance": "by chance", "share_permuted": "permuted (upper bound)"},
        ("minimum track length (frames)", "share expected by chance"),
    ),
    (
        "motion.csv",
        "frame",
        {name: name.removesuffix("_um") for name in POSITION_UM},
        ("frame", "displacement of the tissue (µm)"),
    ),
)


def evidence(results: ResultsFolder) -> list[str]:
    """The section as parts of a page; empty for an older run without these files."""
    names = set(SHOWN) & set(results.map_names())
    rows = confidence_rows({name: results.map(name) for name in names})
    rows += list(results.facts().get("result", {}).get("forecast", {}).items())
    plots = []
    for file, x, lines, labels in _CURVES:
        path = results.path / file
        if not path.is_file() or len(curve := pd.read_csv(path)) < 2:
            continue
        if file == "chance_tracks.csv":
            curve = curve[curve["tracks"].cumsum() < curve["tracks"].sum()].head(_LONGEST)
        shown = {text: curve[name].tolist() for name, text in lines.items()}
        plots.append(figure(curve_image(curve[x].tolist(), shown, *labels), ""))
    if not rows and not plots:
        return []
    listed = [table(["", ""], [list(row) for row in rows])] if rows else []
    return ["<h2>Evidence</h2>", *listed, figures_row(plots)]
