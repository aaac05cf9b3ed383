"""The facts given by a file, as text and as hints in blank fields."""

from __future__ import annotations

import html
from typing import Any

from napari_ulm3d.config import LoadConfig, shown_unit
from napari_ulm3d.io.open.acquisition import FileDescription
from napari_ulm3d.plugin.controls.form import SettingsForm

__all__ = ["facts_table", "hint_facts"]

# Readable on the dark and on the light theme.
_ORANGE = "#e08a00"
_FACTS = (
    ("Voxel size", "voxel_um", "µm (z, y, x)", 1.0),
    ("Origin", "origin_um", "µm (z, y, x)", 1.0),
    ("Frame rate", "rate_hz", "Hz", 1.0),
    ("Wavelength", "wavelength_um", "µm", 1.0),
    ("Frequency", "frequency_hz", "MHz", 1e6),
    ("Sound speed", "sound_speed_m_s", "m/s", 1.0),
)
_FROM = {"the file": "from the file", "derived": "derived"}
# Facts that are listed even if unknown.
_WANTED = ("voxel_um", "rate_hz", "wavelength_um")


def facts_table(found: FileDescription) -> str:
    """What was recognized, one fact per line."""
    rows = [("Format", found.format + (f", {found.n_files} files" if found.n_files > 1 else ""))]
    if found.variable is not None and found.shape is not None:
        t, z, y, x = found.shape
        rows += [
            ("Array", f"{found.variable}, stored {found.axes}, {found.kind}"),
            ("Frames", f"{t} of {z} x {y} x {x} voxels (z, y, x)"),
        ]
    rows = [(label, html.escape(text)) for label, text in rows]
    rows += [
        (label, _fact(found, name, unit, size)) for label, name, unit, size in _FACTS
        if name in _WANTED or name in found.origins
    ]  # fmt: skip
    body = "".join(
        f"<tr><td style='padding-right:8px'>{html.escape(k)}</td><td>{v}</td></tr>" for k, v in rows
    )
    notes = "".join(f"<li>{html.escape(text)}</li>" for text in found.notes)
    return f"<table>{body}</table>" + (f"<small><ul>{notes}</ul></small>" if notes else "")


def _fact(found: FileDescription, name: str, unit: str, size: float) -> str:
    """A physical quantity with its source; an override in orange, with both values."""
    value, origin = getattr(found, name), found.origins.get(name)
    if value is None:
        return "unknown"
    text = f"{_numbers(value, size)} {unit}"
    if origin is None:
        return html.escape(text)
    if origin.source != "given":
        return html.escape(f"{text} ({_FROM.get(origin.source, origin.source)})")
    if origin.instead is None:
        return html.escape(f"{text} (entered)")
    other = f"{_numbers(origin.instead, size)} {unit}"
    text = html.escape(f"{text} (entered; {origin.instead_from} says {other})")
    return f"<span style='color:{_ORANGE}'>{text}</span>"


def _numbers(value: Any, size: float = 1.0) -> str:
    return ", ".join(f"{v / size:.5g}" for v in (value if isinstance(value, tuple) else (value,)))


def hint_facts(form: SettingsForm, found: FileDescription) -> None:
    """Show the values of the file in empty fields."""
    for name, control in form.controls.items():
        if not hasattr(found, name) or LoadConfig.model_fields[name].default is not None:
            continue
        value, origin = getattr(found, name), found.origins.get(name)
        several = len(control.boxes) > 1
        if value is None:
            control.set_hints(*("zyx" if several else ("unknown",)), whole="unknown")
            continue
        _, size = shown_unit(LoadConfig.model_fields[name])
        said = origin.source if origin is not None else "the file"
        text = value if isinstance(value, str) else _numbers(value, size).replace(",", "")
        whole = f"{text} ({_FROM.get(said, said)})"
        control.set_hints(*(text.split() if several else (whole,)), whole=whole)
