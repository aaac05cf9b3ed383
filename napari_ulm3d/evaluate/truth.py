"""The ground truth of a simulated acquisition: every bubble's position in every frame."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError, ResultsError, UlmError
from napari_ulm3d.io.formats.tables.spreadsheet import read_csv
from napari_ulm3d.tables import POSITION_UM, VELOCITY_MM_S, _Table

__all__ = ["Truth", "read_truth"]


@dataclass(frozen=True)
class Truth(_Table):
    """True positions of bubbles, one row per bubble and frame.

    Columns: frame, bubble_id, z_um, y_um, x_um and, if known, vz_mm_s, vy_mm_s,
    vx_mm_s (all three or none), radius_um, snr_db. A bubble keeps its id during its
    lifetime; a new bubble has a new id. Rows may be in any order.

    Raises
    ------
    ResultsError
        A column is missing or not numeric, a position is not finite, a frame is
        negative, or a bubble occurs twice in one frame.
    """

    required: ClassVar[dict[str, str]] = {
        "frame": "int64",
        "bubble_id": "int64",
        "z_um": "float64",
        "y_um": "float64",
        "x_um": "float64",
    }
    optional: ClassVar[dict[str, str]] = {
        "vz_mm_s": "float64",
        "vy_mm_s": "float64",
        "vx_mm_s": "float64",
        "radius_um": "float64",
        "snr_db": "float64",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        known = [name for name in VELOCITY_MM_S if name in self.table.columns]
        if 0 < len(known) < 3:
            raise ResultsError(
                f"The ground truth has only {', '.join(known)}. Give all of vz_mm_s, vy_mm_s, "
                "vx_mm_s, or none."
            )
        numbers = self.table[POSITION_UM + known].to_numpy(np.float64)
        if not np.isfinite(numbers).all():
            raise ResultsError(
                "The ground truth contains NaN or infinite positions or velocities. Remove the "
                "rows of bubbles that are not visible."
            )
        if (self.frames < 0).any():
            raise ResultsError(
                "The ground truth contains negative frame numbers. Count frames from 0."
            )
        if self.table.duplicated(["frame", "bubble_id"]).any():
            raise ResultsError(
                "The ground truth lists a bubble twice in one frame. Give every bubble its own "
                "bubble_id."
            )

    @property
    def bubble_ids(self) -> NDArray[np.int64]:
        """Bubble of each row, (n,)."""
        return self.table["bubble_id"].to_numpy(np.int64)

    @property
    def n_bubbles(self) -> int:
        """Number of distinct bubbles."""
        return int(self.table["bubble_id"].nunique())

    @property
    def velocities_mm_s(self) -> NDArray[np.float64] | None:
        """Velocities vz, vy, vx in mm/s, (n, 3); None if the ground truth has none."""
        if VELOCITY_MM_S[0] not in self.table.columns:
            return None
        return self.table[VELOCITY_MM_S].to_numpy(np.float64)


def read_truth(path: str | PathLike[str]) -> Truth:
    """Read a ground truth from Parquet, or from CSV if the name ends in ``.csv``.

    Raises
    ------
    InputError
        The file cannot be read, or is not a ground truth (see `Truth`).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            path, "does not exist or is not a file", "Name the truth.parquet of the simulation."
        )
    try:
        table = read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:  # base classes of the errors of pyarrow and pandas
        raise InputError(
            path, f"cannot be read as a table ({error})", "Give a Parquet or CSV file."
        ) from error
    try:
        return Truth(table)
    except UlmError as error:
        raise InputError(path, "is not a ground truth", str(error)) from error
