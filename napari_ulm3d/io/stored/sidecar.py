"""The sidecar: a text file ``acquisition.toml`` beside the data that says what it does not.

.. code-block:: toml

    voxel_um = [98.56, 150.0, 150.0]   # z, y, x; or voxel_mm, or voxel_wavelengths
    rate_hz = 260.0
    frequency_mhz = 15.0               # or frequency_hz
    sound_speed_m_s = 1540.0
    # also: wavelength_um (or wavelength_mm), origin_um (or origin_mm), axes, variable,
    # log_compressed_db

Its keys are the fields of `LoadConfig` that describe the data (all but `frames_per_block`,
a choice of the processing), and the same quantities in other units. A 2-D
acquisition may give two spacings, z and x. The sidecar wins over the file, and settings
given by hand win over the sidecar.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.io.stored.facts import Facts, Partial, facts_of

__all__ = ["SIDECAR_NAME", "read_sidecar"]

SIDECAR_NAME = "acquisition.toml"


def read_sidecar(folder: Path) -> tuple[Facts, dict[str, Any]]:
    """Read ``acquisition.toml`` of a folder.

    Returns
    -------
    facts, settings
        The physical quantities, and the other `LoadConfig` fields that it sets.

    Raises
    ------
    InputError
        When it is not TOML, or has an unknown key or a value out of range.
    """
    path = folder / SIDECAR_NAME
    if not path.is_file():
        return Facts(), {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(path, f"is not a readable TOML file ({error})", "Mend it.") from error
    known = sorted(
        {*LoadConfig.model_fields, *_OTHER_UNITS, "voxel_wavelengths"} - {"frames_per_block"}
    )
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            path, f"has the unknown key {', '.join(unknown)}", f"Known are: {', '.join(known)}."
        )
    values = _common_units(path, values)
    wavelengths = values.pop("voxel_wavelengths", None)
    try:
        config = LoadConfig().replace(**{name: _numbers(v) for name, v in values.items()})
        waves = None
        if wavelengths is not None:
            # The same check as for micrometres: three positive numbers.
            waves = LoadConfig().replace(voxel_um=_numbers(wavelengths)).voxel_um
    except ConfigError as error:
        raise InputError(path, f"has a bad value ({error})", "Mend it.") from error
    facts = replace(
        facts_of(config),
        voxel_um=_without_y(values.get("voxel_um"), config.voxel_um),
        voxel_wavelengths=_without_y(wavelengths, waves),
    )
    physical = {field.name for field in fields(Facts)}
    return facts, {name: getattr(config, name) for name in values if name not in physical}


#: Sidecar keys in other units: the field they stand for and the factor.
_OTHER_UNITS = {
    "voxel_mm": ("voxel_um", 1e3),
    "origin_mm": ("origin_um", 1e3),
    "frequency_mhz": ("frequency_hz", 1e6),
    "wavelength_mm": ("wavelength_um", 1e3),
}


def _common_units(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    common = {name: value for name, value in values.items() if name not in _OTHER_UNITS}
    for name, (field, factor) in _OTHER_UNITS.items():
        if name not in values:
            continue
        if field in common:
            raise InputError(path, f"has both {name} and {field}", "Keep one of them.")
        value = values[name]
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, int | float) for item in items):
            raise InputError(path, f"has {name} = {value!r}", "Give numbers.")
        scaled = [item * factor for item in items]
        common[field] = scaled if isinstance(value, list) else scaled[0]
    if "voxel_um" in common and "voxel_wavelengths" in common:
        raise InputError(path, "has both voxel_um and voxel_wavelengths", "Keep one of them.")
    return common


def _numbers(value: Any) -> Any:
    """Two spacings (z, x) as three, so that `LoadConfig` can check them."""
    if isinstance(value, list) and len(value) == 2:
        return [value[0], value[1], value[1]]
    return value


def _without_y(written: Any, checked: Partial | None) -> Partial | None:
    if checked is not None and isinstance(written, list) and len(written) == 2:
        return (checked[0], None, checked[2])
    return checked
