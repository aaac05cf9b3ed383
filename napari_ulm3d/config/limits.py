"""Plausible ranges of an acquisition's physical quantities, to refuse values in a wrong unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

__all__ = ["LIMITS", "Limits", "implausible"]


@dataclass(frozen=True)
class Limits:
    """Plausible range of a quantity, ends included.

    Attributes
    ----------
    unit
        Unit of the values.
    others
        Other units that are often used by mistake, with their size in `unit`.
    """

    name: str
    low: float
    high: float
    unit: str
    others: tuple[tuple[str, float], ...] = ()

    def problem(self, value: float) -> str | None:
        """Why a value is implausible and what may have been meant; None if it is plausible."""
        if self.low <= value <= self.high:
            return None
        said = (
            f"{self.name} of {value:g} {self.unit} is implausible: it must lie between "
            f"{_plain(self.low)} and {_plain(self.high)} {self.unit}"
        )
        for unit, size in self.others:
            if isfinite(value) and self.low <= value * size <= self.high:
                return f"{said} ({value:g} {unit} would be {_plain(value * size)} {self.unit})"
        return said


_LENGTHS = (("mm", 1e3), ("m", 1e6), ("nm", 1e-3))

#: By field of `LoadConfig`. They cover acoustic microscopes, transcranial probes and slow scans.
LIMITS = {
    "voxel_um": Limits("A voxel spacing", 1.0, 10_000.0, "um", _LENGTHS),
    "rate_hz": Limits("A frame rate", 0.01, 100_000.0, "Hz", (("kHz", 1e3),)),
    "origin_um": Limits("A position of the first voxel", -1e6, 1e6, "um"),
    "wavelength_um": Limits("A wavelength", 1.0, 150_000.0, "um", _LENGTHS),
    "frequency_hz": Limits("An ultrasound frequency", 5e4, 1e9, "Hz", (("MHz", 1e6), ("kHz", 1e3))),
    "sound_speed_m_s": Limits(
        "A speed of sound", 300.0, 7000.0, "m/s", (("km/s", 1e3), ("mm/us", 1e3), ("mm/s", 1e-3))
    ),
    "log_compressed_db": Limits("A dynamic range", 1.0, 300.0, "dB"),
}


def implausible(field: str, value: float | Sequence[float | None] | None) -> str | None:
    """Why a field's value is implausible; None if it is plausible or not given."""
    limits = LIMITS[field]
    values = value if isinstance(value, Sequence) else (value,)
    return next((p for v in values if v is not None and (p := limits.problem(v))), None)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.6g}"
