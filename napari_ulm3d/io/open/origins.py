"""Source of each physical quantity of an acquisition, and values overridden by explicit ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.io.facts.resolve import Facts, facts_of, merge_facts, resolve_facts
from napari_ulm3d.io.facts.sidecar import SIDECAR_NAME, read_sidecar
from napari_ulm3d.io.open.series import Loaded

__all__ = ["Origin", "origins_of"]

_FILE = "the file"
_DERIVED = "derived"
_OTHER_NAMES = {"voxel_um": "voxel_wavelengths", "origin_um": "origin_wavelengths"}


@dataclass(frozen=True)
class Origin:
    """Source of a value.

    Attributes
    ----------
    source
        "given" (explicitly, in the settings), "acquisition.toml", "the file", or "derived".
    instead
        Value that would be used without the given one; None if there is none or it is the same.
    instead_from
        Source of that value.
    """

    source: str
    instead: Any = None
    instead_from: str = ""


def origins_of(first: Path, config: LoadConfig, loaded: Loaded) -> Mapping[str, Origin]:
    """Sources of the known physical quantities, by field of `LoadConfig`.

    Parameters
    ----------
    first
        The first file; a sidecar lies beside it.
    config
        The settings given explicitly.
    loaded
        What was read with them.
    """
    sidecar, _ = read_sidecar(first.parent)
    flat = loaded.sources[0].shape[2] == 1
    given = facts_of(config)
    others = resolve_facts(merge_facts(loaded.facts, sidecar), flat)
    found = {}
    for field in (f.name for f in fields(Facts) if hasattr(loaded.resolved, f.name)):
        value, other = getattr(loaded.resolved, field), getattr(others, field)
        if value is None:
            continue
        elsewhere = _source(field, sidecar, loaded.facts)
        if getattr(given, field) is not None:
            known = other is not None and (field != "origin_um" or elsewhere != _DERIVED)
            differs = known and not _same(value, other)
            found[field] = Origin("given", other, elsewhere) if differs else Origin("given")
        elif field != "origin_um" or elsewhere != _DERIVED:  # the origin defaults to 0
            found[field] = Origin(elsewhere)
    return found


def _source(field: str, sidecar: Facts, file: Facts) -> str:
    for facts, name in ((sidecar, SIDECAR_NAME), (file, _FILE)):
        names = (field, _OTHER_NAMES.get(field, field))
        if any(getattr(facts, each) is not None for each in names):
            return name
    return _DERIVED


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return all(_same(a, b) for a, b in zip(one, other, strict=True))
    return abs(one - other) <= 1e-6 * max(abs(one), abs(other))
