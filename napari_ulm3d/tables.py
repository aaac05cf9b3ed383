"""Tables of localizations and tracks, with fixed columns and units.

Positions are in micrometres, times in seconds, speeds in mm/s; `frame` counts from 0 over the
whole acquisition. `Localizations` and `Tracks` are thin, frozen wrappers around a pandas table:
the wrapper guarantees columns and dtypes, the table serves every other purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.errors import ResultsError

__all__ = ["POSITION_UM", "SIGMA_UM", "VELOCITY_MM_S", "Localizations", "Tracks"]

POSITION_UM = ["z_um", "y_um", "x_um"]
SIGMA_UM = ["sigma_z_um", "sigma_y_um", "sigma_x_um"]
#: Largest accepted difference between a number and the whole number it represents.
_ROUNDING = 0.2
VELOCITY_MM_S = ["vz_mm_s", "vy_mm_s", "vx_mm_s"]


@dataclass(frozen=True)
class _Table:
    """A pandas table with required columns of known dtypes; other columns are kept."""

    table: pd.DataFrame

    required: ClassVar[dict[str, str]] = {}
    optional: ClassVar[dict[str, str]] = {}

    def __post_init__(self) -> None:
        missing = [name for name in self.required if name not in self.table.columns]
        if missing:
            raise ResultsError(
                f"The table of {type(self).__name__.lower()} lacks the column(s) "
                f"{', '.join(missing)}. Required: {', '.join(self.required)}."
            )
        known = {**self.required, **self.optional}
        wrong = {
            name: dtype
            for name, dtype in known.items()
            if name in self.table.columns and self.table[name].dtype != dtype
        }
        if wrong:
            try:
                whole = {name: self._whole(name) for name, t in wrong.items() if t == "int64"}
                object.__setattr__(self, "table", self.table.assign(**whole).astype(wrong))
            except (TypeError, ValueError) as error:
                raise ResultsError(
                    f"The table of {type(self).__name__.lower()} has a column that is not numeric: "
                    f"{error}."
                ) from error

    def _whole(self, name: str) -> pd.Series:
        """Round a column of whole numbers (not truncate): 0.29 * 100 is 28.999..., frame 29."""
        values = self.table[name]
        if values.dtype.kind in "iub":
            return values
        numbers = values.astype("float64")
        rounded = numbers.round()
        apart = ~((numbers - rounded).abs() <= _ROUNDING)  # also true for NaN
        if apart.any():
            first = numbers[apart].iloc[0]
            raise ResultsError(
                f"The table of {type(self).__name__.lower()} has {first:g} in column {name}, "
                f"which must contain whole numbers from 0 ({int(apart.sum())} rows). Correct "
                "these rows."
            )
        return rounded

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def empty(cls) -> Self:
        return cls(pd.DataFrame({name: np.empty(0, dtype) for name, dtype in cls.required.items()}))

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """Concatenate tables in the given order."""
        tables = [part.table for part in parts if len(part)]
        return cls(pd.concat(tables, ignore_index=True)) if tables else cls.empty()

    @property
    def positions_um(self) -> NDArray[np.float64]:
        """Positions z, y, x in micrometres, (n, 3)."""
        return self.table[POSITION_UM].to_numpy(np.float64)

    @property
    def frames(self) -> NDArray[np.int64]:
        """Frame numbers, (n,)."""
        return self.table["frame"].to_numpy(np.int64)


@dataclass(frozen=True)
class Localizations(_Table):
    """Positions of bubbles, one row per bubble and frame, sorted by frame.

    Columns: frame, time_s, z_um, y_um, x_um, snr_db, score, and, if the localizer
    provides them, sigma_z_um, sigma_y_um, sigma_x_um. `score` is in [0, 1]: the probability of
    a bubble within a quarter of the wavelength (network, or refined) or the correlation with
    the PSF (conventional).
    """

    required: ClassVar[dict[str, str]] = {
        "frame": "int64",
        "time_s": "float64",
        "z_um": "float64",
        "y_um": "float64",
        "x_um": "float64",
        "snr_db": "float32",
        "score": "float32",
    }
    optional: ClassVar[dict[str, str]] = dict.fromkeys(SIGMA_UM, "float32")

    @classmethod
    def from_arrays(
        cls,
        frame: NDArray[np.integer],
        position_um: NDArray[np.floating],
        snr_db: NDArray[np.floating],
        score: NDArray[np.floating],
        rate_hz: float,
        sigma_um: NDArray[np.floating] | None = None,
    ) -> Self:
        """Build the table from arrays: frame (n,), position_um (n, 3), snr_db (n,), score (n,)."""
        columns = {
            "frame": frame,
            "time_s": frame / rate_hz,
            "z_um": position_um[:, 0],
            "y_um": position_um[:, 1],
            "x_um": position_um[:, 2],
            "snr_db": snr_db,
            "score": score,
        }
        if sigma_um is not None:
            columns |= {name: sigma_um[:, k] for k, name in enumerate(SIGMA_UM)}
        return cls(pd.DataFrame(columns))


@dataclass(frozen=True)
class Tracks(_Table):
    """Trajectories with smoothed positions, one row per track and frame, sorted by track and frame.

    Columns: track_id, frame, time_s, z_um, y_um, x_um, vz_mm_s, vy_mm_s, vx_mm_s,
    speed_mm_s, score.
    """

    required: ClassVar[dict[str, str]] = {
        "track_id": "int64",
        "frame": "int64",
        "time_s": "float64",
        "z_um": "float64",
        "y_um": "float64",
        "x_um": "float64",
        "vz_mm_s": "float32",
        "vy_mm_s": "float32",
        "vx_mm_s": "float32",
        "speed_mm_s": "float32",
        "score": "float32",
    }

    def in_order(self) -> Self:
        """The same tracks, sorted by track and frame if their rows are not in order."""
        identity, frame = self.table["track_id"].to_numpy(), self.table["frame"].to_numpy()
        begins = np.append(True, identity[1:] != identity[:-1])[: identity.size]
        runs = identity[begins]
        backward = ~begins[1:] & (frame[1:] < frame[:-1])
        if np.unique(runs).size == runs.size and not backward.any():
            return self
        by = ["track_id", "frame", "time_s"]
        return type(self)(self.table.sort_values(by, kind="stable", ignore_index=True))

    @property
    def n_tracks(self) -> int:
        return int(self.table["track_id"].nunique())

    @property
    def velocities_mm_s(self) -> NDArray[np.float64]:
        """Velocities vz, vy, vx in mm/s, (n, 3)."""
        return self.table[VELOCITY_MM_S].to_numpy(np.float64)
