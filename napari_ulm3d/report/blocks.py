"""Building blocks of pages: tables, figures, and the document, without external resources."""

from __future__ import annotations

from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.system.atomic import atomic_path
from napari_ulm3d.system.shown_units import in_display_units, shown_as

__all__ = [
    "check_page",
    "document",
    "facts_table",
    "figure",
    "figures_row",
    "number",
    "table",
    "warning",
    "write_page",
]

_LONGEST_WORD = 24
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1d20}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:1.8rem 0 .5rem;border-bottom:1px solid #ccc}
table{border-collapse:collapse;width:100%;font-size:.85rem}td,th{text-align:left;padding:.15rem .6rem .15rem 0;
vertical-align:top;overflow-wrap:break-word}td.long{overflow-wrap:anywhere}th{border-bottom:1px solid #999}td.n,th.n{text-align:right}
img{max-width:100%}figure{margin:.4rem 0;break-inside:avoid}.row{display:flex;flex-wrap:wrap;gap:.6rem}
.row figure{flex:1 1 16rem}.grade{font-size:1.1rem}.good{color:#1d7a3a}.fair{color:#9a6a00}.poor{color:#b3261e}
.warning{border-left:4px solid #b3261e;padding-left:.6rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;
background:#f3f4f5;padding:.5rem;font-size:.8rem}
@media print{@page{size:A4;margin:14mm}body{margin:0;font-size:10pt;max-width:none}h2{break-after:avoid}
tr,figure,pre{break-inside:avoid}
.row{display:block}.row figure{display:inline-block;max-width:49%}}
"""


def document(title: str, parts: list[str]) -> str:
    """Assemble a complete page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def check_page(to: str | PathLike[str], *, overwrite: bool) -> Path:
    """Check that a page may be written to this file; nothing is changed.

    Raises
    ------
    ConfigError
        The suffix is not ``.html``.
    ResultsError
        The file exists.
    """
    target = Path(to)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{target}: a report is a .html file; a browser prints it to PDF.")
    if target.exists() and not overwrite:
        raise ResultsError(f"{target}: already exists. Add --overwrite, or name another file.")
    return target


def write_page(page: str, target: Path) -> None:
    """Write a page, completely or not at all."""
    with atomic_path(target) as path:
        path.write_text(page, encoding="utf-8")


def warning(text: str) -> str:
    """A highlighted paragraph."""
    return f'<p class="warning">{escape(in_display_units(text))}</p>'


def facts_table(facts: dict[str, Any]) -> str:
    """A table of names and values."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {number(v)}" for k, v in value.items())
        elif isinstance(value, list):
            value = ", ".join(number(v) for v in value)
        words = [shown_as(word) for word in name.split("_")]
        rows.append([" ".join(words), number(value)])
    return table(["", ""], rows)


def number(value: Any) -> str:
    """Format a value for display."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:.4g}" if value == value else ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table; all cells are escaped, and micrometres in them shown as µm."""
    head = "".join(f"<th>{escape(h)}</th>" for h in header)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    return f"<table>{top}<tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    """Numbers stay whole; paths and hashes, which would push a table off the page, may break."""
    long = max(map(len, text.split()), default=0) > _LONGEST_WORD
    kind = ' class="long"' if long else ""
    return f"<td{kind}>{escape(in_display_units(text))}</td>"


def figure(address: str, caption: str) -> str:
    """An embedded picture."""
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="{address}" alt="{escape(caption)}">{text}</figure>'


def figures_row(figures: list[str]) -> str:
    """Pictures side by side, as many as fit."""
    return f'<div class="row">{"".join(figures)}</div>'
