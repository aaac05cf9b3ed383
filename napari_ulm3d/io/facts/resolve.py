"""Spacing, rate and wavelength of an acquisition: from the file, a sidecar, or the settings.

A value in the settings (`LoadConfig`) overrides the sidecar ``acquisition.toml`` (see
`napari_ulm3d.io.facts.sidecar` for its keys), and the sidecar overrides the file. Nothing is
ever guessed: what is missing everywhere is requested in a `MissingMetadataError`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from napari_ulm3d.acquisition import Triple
from napari_ulm3d.config import LIMITS, LoadConfig, implausible
from napari_ulm3d.errors import MissingMetadataError

__all__ = [
    "Facts",
    "Partial",
    "Resolved",
    "facts_of",
    "merge_facts",
    "missing_error",
    "resolve_facts",
]

#: Spacing or position along z, y, x; None where the file does not give it (y of a 2-D movie).
Partial = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Facts:
    """Facts from one source; lengths in um or in wavelengths along z, y, x. None: not given."""

    voxel_um: Partial | None = None
    voxel_wavelengths: Partial | None = None
    origin_um: Partial | None = None
    origin_wavelengths: Partial | None = None
    rate_hz: float | None = None
    wavelength_um: float | None = None
    frequency_hz: float | None = None
    sound_speed_m_s: float | None = None


@dataclass(frozen=True)
class Resolved:
    """The combined facts; `missing` names required fields that are still unknown."""

    voxel_um: Triple | None
    origin_um: Triple
    rate_hz: float | None
    wavelength_um: float | None
    frequency_hz: float | None
    sound_speed_m_s: float | None
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def merge_facts(*layers: Facts) -> Facts:
    """Merge facts from several sources; later ones override earlier ones.

    Alternative forms of one quantity replace each other: a spacing in um drops one in wavelengths,
    and a frequency or speed of sound drops an earlier wavelength, which it now determines.
    """
    merged = Facts()
    for layer in layers:
        given = {f.name: getattr(layer, f.name) for f in fields(layer)}
        given = {name: value for name, value in given.items() if value is not None}
        for one, other in (
            ("voxel_um", "voxel_wavelengths"),
            ("origin_um", "origin_wavelengths"),
        ):
            if one in given or other in given:
                merged = replace(merged, **{one: None, other: None})
        merged = replace(merged, **given)
        newer = "frequency_hz" in given or "sound_speed_m_s" in given
        if (
            newer
            and "wavelength_um" not in given
            and merged.frequency_hz
            and merged.sound_speed_m_s
        ):
            merged = replace(merged, wavelength_um=None)
    return merged


def facts_of(config: LoadConfig) -> Facts:
    """The facts given in the settings."""
    return Facts(
        voxel_um=config.voxel_um,
        origin_um=config.origin_um,
        rate_hz=config.rate_hz,
        wavelength_um=config.wavelength_um,
        frequency_hz=config.frequency_hz,
        sound_speed_m_s=config.sound_speed_m_s,
    )


def resolve_facts(facts: Facts, flat: bool) -> Resolved:
    """Derive the wavelength and the spacing in micrometres, and list what is missing.

    Parameters
    ----------
    facts
        Merged facts, including the settings.
    flat
        The data are 2-D: y is a single voxel, and its spacing may be taken from x.
    """
    facts, notes = _plausible(facts)
    frequency, speed, wavelength = facts.frequency_hz, facts.sound_speed_m_s, facts.wavelength_um
    if frequency and speed:
        derived = speed / frequency * 1e6
        if wavelength is None:
            wavelength = derived
            notes.append(
                f"The wavelength ({wavelength:.4g} um) is the speed of sound ({speed:g} m/s) "
                f"divided by the frequency ({frequency:g} Hz)."
            )
        elif abs(wavelength / derived - 1) > 0.01:
            notes.append(
                f"The wavelength given ({wavelength:.4g} um) differs from the speed of sound "
                f"divided by the frequency ({derived:.4g} um)."
            )
    missing: list[str] = []
    voxel = _in_um(facts.voxel_um, facts.voxel_wavelengths, wavelength)
    voxel = _flat_spacing(voxel, flat, notes)
    if voxel is None:
        missing.append("voxel_um")
        if facts.voxel_wavelengths is not None:
            need = [
                name
                for name, value in (("frequency_hz", frequency), ("sound_speed_m_s", speed))
                if value is None
            ]
            notes.append(
                f"The spacing is {_plain(facts.voxel_wavelengths)} wavelengths (z, y, x). To "
                f"convert it to um, give {' and '.join(need) or 'wavelength_um'}."
            )
            missing += need
    if facts.rate_hz is None:
        missing.append("rate_hz")
    return Resolved(
        voxel_um=voxel,
        origin_um=_origin(_in_um(facts.origin_um, facts.origin_wavelengths, wavelength), notes),
        rate_hz=facts.rate_hz,
        wavelength_um=wavelength,
        frequency_hz=frequency,
        sound_speed_m_s=speed,
        missing=tuple(missing),
        notes=tuple(notes),
    )


def _plausible(facts: Facts) -> tuple[Facts, list[str]]:
    """Remove implausible facts; also return what was wrong with them."""
    wrong = {
        name: problem for name in LIMITS
        if hasattr(facts, name) and (problem := implausible(name, getattr(facts, name)))
    }  # fmt: skip
    notes = [f"{problem}; the value in the file is not used." for problem in wrong.values()]
    return replace(facts, **dict.fromkeys(wrong, None)), notes


_FLAGS = {
    "voxel_um": "--voxel-um Z Y X",
    "rate_hz": "--rate HZ",
    "frequency_hz": "--frequency-mhz MHZ",
    "sound_speed_m_s": "--sound-speed M_S",
}


def missing_error(path: str, missing: tuple[str, ...]) -> MissingMetadataError:
    """The error that requests the missing facts."""
    flags = " ".join(_FLAGS[name] for name in missing)
    return MissingMetadataError(
        path,
        missing,
        f"Give {flags}, or write {' and '.join(missing)} in acquisition.toml beside the data.",
    )


def _in_um(um: Partial | None, waves: Partial | None, wavelength: float | None) -> Partial | None:
    if um is not None:
        return um
    if waves is None or wavelength is None:
        return None
    z, y, x = (None if value is None else value * wavelength for value in waves)
    return (z, y, x)


def _flat_spacing(voxel: Partial | None, flat: bool, notes: list[str]) -> Triple | None:
    if voxel is None:
        return None
    z, y, x = voxel
    if y is None and x is not None and flat:
        notes.append(f"The data is 2-D: the spacing along y is set to that along x, {x:g} um.")
        y = x
    if z is None or y is None or x is None:
        return None
    return (z, y, x)


def _origin(origin: Partial | None, notes: list[str]) -> Triple:
    if origin is None:
        return (0.0, 0.0, 0.0)
    if any(value is None for value in origin[:1] + origin[2:]):
        notes.append("The origin is known only along some axes and is set to 0 along the others.")
    z, y, x = (0.0 if value is None else float(value) for value in origin)
    return (z, y, x)


def _plain(values: Partial) -> str:
    return " ".join("?" if value is None else f"{np.round(value, 6):g}" for value in values)
