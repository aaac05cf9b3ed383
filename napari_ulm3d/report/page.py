"""The report page: contents of a results folder, arranged to assess the run."""

from __future__ import annotations

from html import escape
from os import PathLike
from typing import Any

import pandas as pd

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.maps import kept_maps
from napari_ulm3d.report.blocks import (
    check_page,
    document,
    facts_table,
    figure,
    figures_row,
    number,
    table,
    warning,
    write_page,
)
from napari_ulm3d.report.criteria import criteria_of, grade_of
from napari_ulm3d.report.evidence import evidence
from napari_ulm3d.report.figures import curve_image, histogram_image, map_image
from napari_ulm3d.system.shown_units import shown_as
from napari_ulm3d.vasculature import VesselGraph, vessels
from napari_ulm3d.vasculature.summary import summary

__all__ = ["write_report"]

_LARGEST = 12
_SHOWN = ("density", "speed", "velocity_z", "speed_se", "resolution_local")


def write_report(
    folder: str | PathLike[str], to: str | PathLike[str], *, overwrite: bool = False
) -> None:
    """Write a run as one self-contained HTML file without external resources.

    Parameters
    ----------
    folder
        Results folder.
    to
        File ending in ``.html``.
    overwrite
        Replace `to` if it exists.

    Raises
    ------
    ResultsError
        There is no such run, or `to` exists.
    ConfigError
        The suffix is not ``.html``.
    """
    target = check_page(to, overwrite=overwrite)
    write_page(_page(ResultsFolder.open(folder)), target)


def _page(results: ResultsFolder) -> str:
    facts = results.facts()
    acquisition, result = facts.get("acquisition", {}), facts.get("result", {})
    name = str(acquisition.get("name", results.path.name))
    graph, unmeasured = _vessels(results)
    criteria = criteria_of(result, acquisition.get("wavelength_um"))
    grade = grade_of(criteria)
    parts = [
        f"<h1>{escape(name)}</h1><p>3-D ultrasound localization microscopy, "
        f"{escape(str(facts.get('program', {}).get('created', 'date not known')))}</p>",
        f'<p class="grade">Quality: <b class="{grade}">{grade}</b></p>',
        table(
            ["criterion", "found", "", "limits"],
            [[c.name, c.found, c.word, c.wanted] for c in criteria],
        ),
        *(warning(w) for w in _warnings(result, unmeasured)),
        "<h2>Maps</h2>",
        *_maps(results),
        "<h2>Vessels</h2>",
        *_of_vessels(graph, unmeasured),
        "<h2>Tracks, saturation, resolution</h2>",
        figures_row(_plots(results)),
        *evidence(results),
        "<h2>Acquisition</h2>",
        facts_table(acquisition),
        "<h2>Measured on the data</h2>",
        _findings(facts.get("calibration", {})),
        *_motion(facts),
        "<h2>Result</h2>",
        facts_table(result),
        "<h2>Settings that differ from the defaults</h2>",
        _settings(results.config),
        "<h2>Provenance</h2>",
        facts_table(facts.get("program", {})),
        "<p>This run can be repeated with the settings in its folder:</p>"
        f"<pre>{escape(_again(acquisition, results))}</pre>",
    ]
    return document(f"{name}: report", parts)


def _vessels(results: ResultsFolder) -> tuple[VesselGraph | None, str]:
    """The vessels, or the reason why there are none."""
    try:
        return vessels(results), ""
    except ResultsError as error:
        return None, str(error)


def _warnings(result: dict[str, Any], unmeasured: str) -> list[str]:
    found = [str(result["verdict"])] if result.get("verdict") else []
    if not result.get("complete"):
        found.append("The run did not go to its end.")
    return found + ([f"Vessels were not measured: {unmeasured}"] if unmeasured else [])


def _maps(results: ResultsFolder) -> list[str]:
    shown = kept_maps(results, _SHOWN)
    images = [
        figure(map_image(m), f"{m.name} ({shown_as(m.unit)})")
        for m in shown.values()
        if m.values.size
    ]
    return images or ["<p>The maps are empty.</p>"]


def _of_vessels(graph: VesselGraph | None, unmeasured: str) -> list[str]:
    if graph is None:
        return [f"<p>{escape(unmeasured)}</p>"]
    measured = graph.table
    length_mm = measured["length_um"].to_numpy() / 1000
    plots = [figure(histogram_image(measured["length_um"].to_numpy(), "length (µm)"), "")]
    for column, label in (
        ("diameter_um", "diameter (µm)"),
        ("mean_speed_mm_s", "mean speed (mm/s)"),
    ):
        if measured[column].notna().any():
            plots.append(figure(histogram_image(measured[column].to_numpy(), label, length_mm), ""))
    columns = {
        "vessel_id": "vessel",
        "length_um": "length µm",
        "diameter_um": "diameter µm",
        "mean_speed_mm_s": "speed mm/s",
        "flow_nl_min": "flow nl/min",
        "n_tracks": "tracks",
        "kind": "kind",
    }
    largest = measured.sort_values("flow_nl_min", ascending=False, na_position="last").head(
        _LARGEST
    )
    rows = [[number(row[c]) for c in columns] for row in largest.to_dict("records")]
    return [
        table(["", ""], [list(row) for row in summary(graph, with_speeds=True)]),
        figures_row(plots),
        "<h2>Largest vessels by flow</h2>",
        table(list(columns.values()), rows),
    ]


def _plots(results: ResultsFolder) -> list[str]:
    plots = []
    tracks = results.tracks().table
    if len(tracks):
        speed = tracks.groupby("track_id")["speed_mm_s"].mean().to_numpy(float)
        plots.append(figure(histogram_image(speed, "speed of a track (mm/s)"), ""))
    for file, x, lines, labels in (
        ("saturation.csv", "time_s", ["share_of_grid"], ("time (s)", "share of the map reached")),
        (
            "fsc.csv",
            "frequency_per_um",
            ["correlation", "half_bit"],
            ("spatial frequency (1/µm)", "Fourier shell correlation"),
        ),
    ):
        path = results.path / file
        if path.is_file() and len(table := pd.read_csv(path)) > 1:
            curves = {name.replace("_", " "): table[name].tolist() for name in lines}
            plots.append(figure(curve_image(table[x].tolist(), curves, *labels), ""))
    return plots


def _findings(calibration: dict[str, Any]) -> str:
    rows = [
        [str(f.get(k, "")) for k in ("name", "value", "how", "sure")]
        for f in calibration.get("findings", [])
    ]
    return table(["what", "value", "how", "how sure"], rows) if rows else "<p>Nothing.</p>"


def _motion(facts: dict[str, Any]) -> list[str]:
    motion = facts.get("motion")
    return ["<h2>Motion</h2>", facts_table(motion)] if isinstance(motion, dict) else []


def _settings(config: PipelineConfig) -> str:
    differ = config.differences(PipelineConfig())
    if not differ:
        return "<p>None.</p>"
    rows = [[name, str(own), str(default)] for name, (own, default) in differ.items()]
    return table(["setting", "here", "default"], rows)


def _again(acquisition: dict[str, Any], results: ResultsFolder) -> str:
    import shlex

    files = [str(name) for name in acquisition.get("files", [])]
    settings = str(results.path.resolve() / "run.toml")
    return shlex.join(["napari-ulm3d", "run", *files, "--config", settings, "--out", "again"])
