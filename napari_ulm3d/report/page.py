"""The report's page: what a results folder holds, written so that it can be judged."""

from __future__ import annotations

from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.report.criteria import criteria_of, grade_of
from napari_ulm3d.report.figures import curve_image, histogram_image, map_image
from napari_ulm3d.system.atomic import atomic_path
from napari_ulm3d.vasculature import VesselGraph, vessels
from napari_ulm3d.vasculature.summary import summary

__all__ = ["write_report"]

_LARGEST = 12
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1d20}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:1.8rem 0 .5rem;border-bottom:1px solid #ccc}
table{border-collapse:collapse;width:100%;font-size:.85rem}td,th{text-align:left;padding:.15rem .6rem .15rem 0;
vertical-align:top;overflow-wrap:anywhere}th{border-bottom:1px solid #999}td.n,th.n{text-align:right}
img{max-width:100%}figure{margin:.4rem 0;break-inside:avoid}.row{display:flex;flex-wrap:wrap;gap:.6rem}
.row figure{flex:1 1 16rem}.grade{font-size:1.1rem}.good{color:#1d7a3a}.fair{color:#9a6a00}.poor{color:#b3261e}
.warning{border-left:4px solid #b3261e;padding-left:.6rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;
background:#f3f4f5;padding:.5rem;font-size:.8rem}
@media print{@page{size:A4;margin:14mm}body{margin:0;font-size:10pt;max-width:none}h2{break-after:avoid}
tr,figure,pre{break-inside:avoid}}
"""


def write_report(
    folder: str | PathLike[str], to: str | PathLike[str], *, overwrite: bool = False
) -> None:
    """Write a run as one HTML file that needs nothing else and fetches nothing.

    Parameters
    ----------
    folder
        Results folder.
    to
        File ending in ``.html``.
    overwrite
        Replace `to` if it is there.

    Raises
    ------
    ResultsError
        There is no such run, or `to` is there already.
    ConfigError
        Another suffix.
    """
    target = Path(to)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{target}: a report is a .html file; a browser prints it to PDF.")
    if target.exists() and not overwrite:
        raise ResultsError(f"{target}: already exists. Add --overwrite, or name another file.")
    page = _page(ResultsFolder.open(folder))
    with atomic_path(target) as path:
        path.write_text(page, encoding="utf-8")


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
        _table(
            ["criterion", "found", "", "limits"],
            [[c.name, c.found, c.word, c.wanted] for c in criteria],
        ),
        *(f'<p class="warning">{escape(w)}</p>' for w in _warnings(result, unmeasured)),
        "<h2>Maps</h2>",
        *_maps(results),
        "<h2>Vessels</h2>",
        *_of_vessels(graph, unmeasured),
        "<h2>Tracks, saturation, resolution</h2>",
        _row(_plots(results)),
        "<h2>Acquisition</h2>",
        _facts_table(acquisition),
        "<h2>Measured on the data</h2>",
        _findings(facts.get("calibration", {})),
        *_motion(facts),
        "<h2>Result</h2>",
        _facts_table(result),
        "<h2>Settings that differ from the defaults</h2>",
        _settings(results.config),
        "<h2>Provenance</h2>",
        _facts_table(facts.get("program", {})),
        "<p>This run can be repeated with the settings in its folder:</p>"
        f"<pre>{escape(_again(acquisition, results))}</pre>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(name)}: report</title><style>{_STYLE}</style></head><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _vessels(results: ResultsFolder) -> tuple[VesselGraph | None, str]:
    """The vessels, or why there are none."""
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
    wanted = [n for n in ("density", "speed", "velocity_z") if n in results.map_names()]
    shown = [results.map(name) for name in wanted]
    images = [_figure(map_image(m), f"{m.name} ({m.unit})") for m in shown if m.values.size]
    return images or ["<p>The maps are empty.</p>"]


def _of_vessels(graph: VesselGraph | None, unmeasured: str) -> list[str]:
    if graph is None:
        return [f"<p>{escape(unmeasured)}</p>"]
    table = graph.table
    length_mm = table["length_um"].to_numpy() / 1000
    plots = [_figure(histogram_image(table["length_um"].to_numpy(), "length (um)"), "")]
    for column, label in (
        ("diameter_um", "diameter (um)"),
        ("mean_speed_mm_s", "mean speed (mm/s)"),
    ):
        if table[column].notna().any():
            plots.append(_figure(histogram_image(table[column].to_numpy(), label, length_mm), ""))
    columns = {
        "vessel_id": "vessel",
        "length_um": "length um",
        "diameter_um": "diameter um",
        "mean_speed_mm_s": "speed mm/s",
        "flow_nl_min": "flow nl/min",
        "n_tracks": "tracks",
        "kind": "kind",
    }
    largest = table.sort_values("flow_nl_min", ascending=False, na_position="last").head(_LARGEST)
    rows = [[_number(row[c]) for c in columns] for row in largest.to_dict("records")]
    return [
        _table(["", ""], [list(row) for row in summary(graph, with_speeds=True)]),
        _row(plots),
        "<h2>Largest vessels by flow</h2>",
        _table(list(columns.values()), rows),
    ]


def _plots(results: ResultsFolder) -> list[str]:
    plots = []
    tracks = results.tracks().table
    if len(tracks):
        speed = tracks.groupby("track_id")["speed_mm_s"].mean().to_numpy(float)
        plots.append(_figure(histogram_image(speed, "speed of a track (mm/s)"), ""))
    for file, x, lines, labels in (
        ("saturation.csv", "time_s", ["share_of_grid"], ("time (s)", "share of the map reached")),
        (
            "fsc.csv",
            "frequency_per_um",
            ["correlation", "half_bit"],
            ("spatial frequency (1/um)", "Fourier shell correlation"),
        ),
    ):
        path = results.path / file
        if path.is_file() and len(table := pd.read_csv(path)) > 1:
            curves = {name.replace("_", " "): table[name].tolist() for name in lines}
            plots.append(_figure(curve_image(table[x].tolist(), curves, *labels), ""))
    return plots


def _findings(calibration: dict[str, Any]) -> str:
    rows = [
        [str(f.get(k, "")) for k in ("name", "value", "how", "sure")]
        for f in calibration.get("findings", [])
    ]
    return _table(["what", "value", "how", "how sure"], rows) if rows else "<p>Nothing.</p>"


def _motion(facts: dict[str, Any]) -> list[str]:
    motion = facts.get("motion")
    return ["<h2>Motion</h2>", _facts_table(motion)] if isinstance(motion, dict) else []


def _settings(config: PipelineConfig) -> str:
    differ = config.differences(PipelineConfig())
    if not differ:
        return "<p>None.</p>"
    rows = [[name, str(own), str(default)] for name, (own, default) in differ.items()]
    return _table(["setting", "here", "default"], rows)


def _again(acquisition: dict[str, Any], results: ResultsFolder) -> str:
    import shlex

    files = [str(name) for name in acquisition.get("files", [])]
    settings = str(results.path.resolve() / "run.toml")
    return shlex.join(["napari-ulm3d", "run", *files, "--config", settings, "--out", "again"])


def _facts_table(facts: dict[str, Any]) -> str:
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {_number(v)}" for k, v in value.items())
        elif isinstance(value, list):
            value = ", ".join(_number(v) for v in value)
        rows.append([name.replace("_", " "), _number(value)])
    return _table(["", ""], rows)


def _number(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:.4g}" if value == value else ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    return f"<table>{top}<tbody>{body}</tbody></table>"


def _figure(address: str, caption: str) -> str:
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="{address}" alt="{escape(caption)}">{text}</figure>'


def _row(figures: list[str]) -> str:
    return f'<div class="row">{"".join(figures)}</div>'
