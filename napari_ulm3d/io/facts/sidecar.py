"""The sidecar ``acquisition.toml``: a text file beside the data with facts that they lack.

.. code-block:: toml

    voxel_um = [98.56, 150.0, 150.0]   # z, y, x; or voxel_mm, or voxel_wavelengths
    rate_hz = 260.0
    frequency_mhz = 15.0               # or frequency_hz
    sound_speed_m_s = 1540.0
    # also: wavelength_um (or wavelength_mm), origin_um (or origin_mm), axes, variable,
    # log_compressed_db

Its keys are the fields of `LoadConfig` that describe the data (all but `frames_per_block`,
which is a processing choice), and the same quantities in other units. A 2-D acquisition
may give two spacings, z and x. The sidecar overrides the file, and settings given explicitly
override the sidecar.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import TypeAdapter, ValidationError

from napari_ulm3d.config import LoadConfig, PositiveTriple
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.io.facts.resolve import Facts, Partial, facts_of
from napari_ulm3d.system.atomic import atomic_path

__all__ = ["SIDECAR_NAME", "read_sidecar", "write_sidecar"]

SIDECAR_NAME = "acquisition.toml"
_EXAMPLE = (
    "Write one value per line, with decimal points, such as voxel_um = [98.56, 150.0, 150.0] "
    "(along z, y, x) and rate_hz = 260.0."
)


def read_sidecar(folder: Path) -> tuple[Facts, dict[str, Any]]:
    """Read ``acquisition.toml`` from a folder.

    Returns
    -------
    facts, settings
        Physical quantities, and the other `LoadConfig` fields that it sets.

    Raises
    ------
    InputError
        It is not TOML, or has an unknown key or a value out of range.
    """
    path = folder / SIDECAR_NAME
    if not path.is_file():
        return Facts(), {}
    try:
        # Windows editors may begin a text file with a byte-order mark.
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(path, f"is not a readable TOML file ({error})", _EXAMPLE) from error
    known = sorted(
        {*LoadConfig.model_fields, *_OTHER_UNITS, "voxel_wavelengths"} - set(_NOT_OF_THE_DATA)
    )
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            path, f"has unknown keys: {', '.join(unknown)}", f"Known keys: {', '.join(known)}."
        )
    values = _common_units(path, values)
    wavelengths = values.pop("voxel_wavelengths", None)
    try:
        config = LoadConfig().replace(**{name: _numbers(v) for name, v in values.items()})
    except ConfigError as error:
        for name in ("voxel_um", "origin_um"):
            if name in values and not isinstance(values[name], list):
                raise InputError(path, f"has {name} = {values[name]!r}", _EXAMPLE) from error
        raise InputError(path, f"has a bad value ({error})", "Correct it.") from error
    try:
        waves = TypeAdapter(PositiveTriple | None).validate_python(_numbers(wavelengths))
    except ValidationError as error:
        raise InputError(
            path,
            f"has a bad value (voxel_wavelengths = {wavelengths!r})",
            "Give positive numbers along z, y, x.",
        ) from error
    facts = replace(
        facts_of(config),
        voxel_um=_without_y(values.get("voxel_um"), config.voxel_um),
        voxel_wavelengths=_without_y(wavelengths, waves),
    )
    physical = {field.name for field in fields(Facts)}
    return facts, {name: getattr(config, name) for name in values if name not in physical}


def write_sidecar(folder: Path, config: LoadConfig) -> Path:
    """Write the settings that describe the data to a folder's ``acquisition.toml``.

    Other contents of an existing file are kept, including comments; a quantity given there in
    another unit is replaced.

    Parameters
    ----------
    folder
        Folder of the data.
    config
        The settings; those that are None are not written.

    Returns
    -------
    The file written.

    Raises
    ------
    InputError
        The existing ``acquisition.toml`` cannot be read.
    ResultsError
        The folder is not writable.
    """
    read_sidecar(folder)  # an existing file must be valid before it is edited
    path = folder / SIDECAR_NAME
    given = config.to_dict()
    new = {name: value for name, value in given.items() if name not in _NOT_OF_THE_DATA}
    text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    gone = {*new, *(key for key, (field, _) in _OTHER_UNITS.items() if field in new)}
    if "voxel_um" in new:
        gone.add("voxel_wavelengths")
    kept = {key: value for key, value in tomllib.loads(text).items() if key not in gone}
    lines = [
        line for line in text.splitlines() if line.partition("=")[0].strip(" \t\"'") not in gone
    ]
    edited = "\n".join([*lines, tomli_w.dumps(new)])
    if not _says(edited, kept | new):  # a value over several lines, for example
        edited = tomli_w.dumps(kept | new)
    with atomic_path(path) as place:
        place.write_text(edited, encoding="utf-8")
    return path


def _says(text: str, values: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == values
    except tomllib.TOMLDecodeError:
        return False


#: Settings that describe the processing, not the data.
_NOT_OF_THE_DATA = ("frames_per_block",)

#: Sidecar keys in other units: the corresponding field and the conversion factor.
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
    """Expand two spacings (z, x) to three, so that `LoadConfig` can check them."""
    if isinstance(value, list) and len(value) == 2:
        return [value[0], value[1], value[1]]
    return value


def _without_y(written: Any, checked: Partial | None) -> Partial | None:
    if checked is not None and isinstance(written, list) and len(written) == 2:
        return (checked[0], None, checked[2])
    return checked
