"""Settings in words: labels, tooltips, and what is wrong with a value."""

from __future__ import annotations

import html
import re

from napari_ulm3d.config import StageConfig, conditions_of, shown_unit
from napari_ulm3d.errors import SettingFault

__all__ = ["label_of", "sentence_of", "tooltip_of"]

_CAPITALS = {"svd": "SVD", "snr": "SNR", "fwhm": "FWHM", "psf": "PSF", "fsc": "FSC", "db": "dB"}
_UNIT_ENDINGS = ("_um", "_hz", "_db", "_mm_s", "_m_s", "_voxels", "_frames", "_s")
_AXES = ("z", "y", "x")
# Names that read badly as labels.
_LABELS = {
    "max_maxima": "Maxima per patch",
    "breaks": "Tracks end at",
    "views": "Mirror images averaged",
    "rounds": "Detection passes",
    "fsc": "Measure resolution (FSC)",
    "merge_fwhm": "Merge distance",
    "candidate_score": "Min voxel probability",
    "rate_hz": "Frame rate",
    "voxel_um": "Voxel size",
    "memory_gb": "Memory",
}


def label_of(name: str, unit: str = "", many: bool = False) -> str:
    """A setting's name for people: ``min_snr_db`` becomes "Min SNR", with its unit if not shown elsewhere."""
    label = _LABELS.get(name, "")
    if not label:
        for ending in _UNIT_ENDINGS:
            if name.endswith(ending) and unit:
                name = name.removesuffix(ending)
                break
        label = " ".join(_CAPITALS.get(word, word) for word in name.split("_"))
        label = label[0].upper() + label[1:]
    return f"{label} ({unit})" if unit and many else label


def tooltip_of(model: type[StageConfig], section: str, name: str) -> str:
    """A setting's description, unit, default, when it is used, and its name in files."""
    field = model.model_fields[name]
    unit = shown_unit(field)[0]
    lines = [html.escape(field.description or "")]
    if unit:
        lines.append(f"Unit: {html.escape(unit)}")
    default = field.default
    if default is not None:
        text = ", ".join(f"{v}" for v in default) if isinstance(default, tuple) else f"{default}"
        lines.append(f"Default: {html.escape(text)}")
    if conditions := conditions_of(field):
        lines.append(html.escape(f"Used when {' and '.join(map(str, conditions))}"))
    lines.append(f"<i>{section}.{name}</i>")
    return "<qt>" + "<br>".join(lines) + "</qt>"


def sentence_of(fault: SettingFault, model: type[StageConfig], label: str) -> str:
    """What is wrong with a value, with the form's labels in place of the settings' names."""
    problem = fault.problem.replace("Value error, ", "").replace("Input should be", "must be")
    names = [name for name in model.model_fields if re.search(rf"\b{name}\b", problem)]
    for name in names:
        own = label_of(name, shown_unit(model.model_fields[name])[0])
        problem = re.sub(rf"\b{name}\b", own, problem)
    if names:
        return problem
    part = fault.where[1] if len(fault.where) > 1 else None
    axis = f" {_AXES[part]}" if isinstance(part, int) and part < len(_AXES) else ""
    return f"{label}{axis} {problem}"
