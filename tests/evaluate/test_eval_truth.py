"""Table and file of the ground truth: what is accepted and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from eval_tables import truth_of

from napari_ulm3d.errors import InputError, ResultsError
from napari_ulm3d.evaluate import Truth, read_truth

ROWS = [(0, 7, 1.0, 2.0, 3.0, 0.5, 0.0, -0.5), (1, 7, 1.5, 2.0, 2.5, 0.5, 0.0, -0.5)]


def test_a_truth_keeps_its_columns_and_types() -> None:
    truth = truth_of(ROWS)
    assert (len(truth), truth.n_bubbles) == (2, 1)
    assert truth.frames.dtype == truth.bubble_ids.dtype == np.int64
    np.testing.assert_array_equal(truth.positions_um[1], [1.5, 2.0, 2.5])
    assert truth.velocities_mm_s is not None
    np.testing.assert_array_equal(truth.velocities_mm_s[0], [0.5, 0, -0.5])
    assert truth_of([row[:5] for row in ROWS]).velocities_mm_s is None
    assert len(Truth.empty()) == 0


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_file_gives_back_what_was_written(tmp_path: Path, suffix: str) -> None:
    table = truth_of(ROWS).table.assign(radius_um=8.0, snr_db=[11.5, 12.0])
    path = tmp_path / f"truth{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    pd.testing.assert_frame_equal(read_truth(path).table, Truth(table).table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bubble_id": None}, "bubble_id"),
        ({"vy_mm_s": None}, "all of"),
        ({"z_um": [np.nan, 1.0]}, "NaN"),
        ({"vx_mm_s": [np.inf, 1.0]}, "infinite"),
        ({"frame": [0, -1]}, "negative"),
        ({"frame": [0, 0]}, "twice"),
        ({"x_um": ["here", "there"]}, "numeric"),
    ],
)
def test_a_bad_truth_is_refused_with_the_reason(change: dict, message: str) -> None:
    table = truth_of(ROWS).table
    for name, values in change.items():
        table = table.drop(columns=name) if values is None else table.assign(**{name: values})
    with pytest.raises(ResultsError, match=message):
        Truth(table)


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.parquet.*is not a file"):
        read_truth(tmp_path / "none.parquet")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match=r"broken\.parquet.*cannot be read"):
        read_truth(broken)
    other = tmp_path / "other.parquet"
    pd.DataFrame({"frame": [1]}).to_parquet(other)
    with pytest.raises(InputError, match=r"other\.parquet.*bubble_id"):
        read_truth(other)
