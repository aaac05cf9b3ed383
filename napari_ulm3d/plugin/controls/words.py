"""Labels, tooltips and error messages of settings, and labels of maps."""

from __future__ import annotations

import html
import re

from napari_ulm3d.config import PipelineConfig, StageConfig, conditions_of, shown_unit
from napari_ulm3d.errors import SettingFault
from napari_ulm3d.system.shown_units import in_display_units

__all__ = [
    "MAP_LABELS",
    "in_the_widgets_words",
    "label_of",
    "label_of_map",
    "sentence_of",
    "tooltip_of",
]

#: Labels of maps by their names in results folders, in the order of the widgets.
MAP_LABELS = {
    "density": "Density (tracks per voxel)",
    "speed": "Speed (mm/s)",
    "velocity_z": "Axial velocity (mm/s)",
    "direction": "Direction (deeper - shallower)",
    "trajectory": "Trajectory volume (network)",
    "power_doppler": "Power Doppler (a.u.)",
    "density_se": "Standard error of the density (tracks)",
    "speed_se": "Standard error of the speed (mm/s)",
    "resolution_local": "Local resolution (µm)",
}

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
    "leave_out": "Exclude jerks",
    "across": "Tracks at jerks",
    "candidate_score": "Min voxel probability",
    "rate_hz": "Frame rate",
    "voxel_um": "Voxel size",
    "memory_gb": "Memory",
}
# Labels in the widgets of command-line options that are not settings or have another name;
# the command line also puts a placeholder after some of them.
_OPTIONS = {
    "rate": "Frame rate",
    "frequency-mhz": "Frequency (MHz)",
    "memory": "Memory",
    "workers": "Workers",
    "device": "Device",
    "out": "Results folder",
}
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)( Z Y X| HZ| MHZ| M_S)?")
# Remedies that are worded differently in the widgets.
_REMEDIES = {
    "Add --resume to finish it or --overwrite to replace it, or name another folder with --out.": (
        "Name another Results folder, or load the same acquisition and settings to finish it."
    ),
    "Name a folder with --out.": "Name a folder.",
    "another folder with --out": "another Results folder",
    ", or add --overwrite": "",
    "Add --overwrite, or name another file.": "Name another file.",
    " and run with --resume": " and run the series again",
    "; add --resume to `run`": "; run the series into this folder again to finish it",
    ", or write voxel_um and rate_hz in acquisition.toml beside the data": (
        ", and press Remember for this folder to keep them"
    ),
}


def label_of(name: str, unit: str = "", many: bool = False) -> str:
    """A setting's label: ``min_snr_db`` becomes "Min SNR", with its unit if not shown elsewhere."""
    label = _LABELS.get(name, "")
    if not label:
        for ending in _UNIT_ENDINGS:
            if name.endswith(ending) and unit:
                name = name.removesuffix(ending)
                break
        label = " ".join(_CAPITALS.get(word, word) for word in name.split("_"))
        label = label[0].upper() + label[1:]
    return f"{label} ({unit})" if unit and many else label


def label_of_map(name: str) -> str:
    """The label of a map or table of a result, by its name in the results folder."""
    return MAP_LABELS.get(name) or name.replace("_", " ").capitalize()


def tooltip_of(model: type[StageConfig], section: str, name: str) -> str:
    """A setting's description, unit, default, conditions of use, and name in files."""
    field = model.model_fields[name]
    unit = shown_unit(field)[0]
    lines = [html.escape(in_display_units(field.description or ""))]
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
    """The error message for a value, with the form's labels in place of setting names."""
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


def in_the_widgets_words(sentence: str) -> str:
    """A message with command-line options and setting names replaced by the widgets' labels.

    ``Give --voxel-um Z Y X`` becomes ``Give "Voxel size"``, and ``load.axes=tzyx`` becomes
    ``"Axes" = tzyx``.
    """
    for remedy, ours in _REMEDIES.items():
        sentence = sentence.replace(remedy, ours)
    sentence = _SETTING.sub(_setting_in_words, _OPTION.sub(_option_in_words, sentence))
    return sentence.replace('" "', '" and "')


_SETTING = re.compile(
    r"(?<![\w./\\-])({})\.([a-z][a-z0-9_]*)(=(?=\S))?".format("|".join(PipelineConfig.model_fields))
)


def _option_in_words(found: re.Match[str]) -> str:
    option = found.group(1)
    if option in _OPTIONS:
        return f'"{_OPTIONS[option]}"'
    name = option.replace("-", "_")
    for section in PipelineConfig.model_fields.values():
        fields = getattr(section.annotation, "model_fields", {})
        for field in (name, f"{name}_m_s"):
            if field in fields:
                return f'"{label_of(field, shown_unit(fields[field])[0])}"'
    return found.group(0)


def _setting_in_words(found: re.Match[str]) -> str:
    section, name, equals = found.groups()
    fields = getattr(PipelineConfig.model_fields[section].annotation, "model_fields", {})
    if name not in fields:
        return found.group(0)
    label = label_of(name, shown_unit(fields[name])[0])
    return f'"{label}" = ' if equals else f'"{label}"'
