"""Names that are not UTF-8 or too long: read if possible, otherwise refused in one sentence."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.cli import main
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError, ResultsError
from napari_ulm3d.io.open.acquisition import open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import write
from napari_ulm3d.provenance import acquisition_facts
from napari_ulm3d.tables import Tracks

MOVIE = np.random.default_rng(0).random((4, 3, 2, 5)).astype(np.float32)
GIVEN = LoadConfig(voxel_um=(50.0, 50.0, 50.0), rate_hz=100.0)
posix = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")


@posix
def test_a_file_whose_name_is_not_utf_8_is_read_and_recorded(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/maus_\xe4.npy")
    np.save(tmp_path / "a.npy", MOVIE)
    os.rename(tmp_path / "a.npy", name)
    found = open_acquisition(name, GIVEN)
    results = ResultsFolder(tmp_path)
    results.write_facts({"acquisition": acquisition_facts(found)})
    assert "maus_" in (tmp_path / "run.toml").read_text(encoding="utf-8")


@posix
def test_results_at_a_path_that_is_not_utf_8_are_refused_before_the_run(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xf6ut")
    with pytest.raises(ResultsError, match="PYTHONUTF8=1"):
        ResultsFolder.check_free(name)
    with pytest.raises(ResultsError, match="not UTF-8"):
        write(Tracks.empty(), f"{name}.csv")


def test_a_name_that_is_too_long_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if sys.platform == "win32":
        pytest.skip("limits the length of whole paths")
    assert main(["info", str(tmp_path / ("x" * 300 + ".npy"))]) == 2
    told = capsys.readouterr().err
    assert "Use a shorter name" in told
    assert "Traceback" not in told


def test_nan_in_every_frame_asks_for_zeros_outside_the_field_of_view() -> None:
    masked = MOVIE.copy()
    masked[:, 0] = np.nan
    with pytest.raises(InputError, match="nan_to_num"):
        Acquisition.from_array(masked, (50, 50, 50), 100.0).blocks()[0].read()
    masked[1:] = MOVIE[1:]
    with pytest.raises(InputError, match="Replace these frames"):
        Acquisition.from_array(masked, (50, 50, 50), 100.0).blocks()[0].read()


def test_an_acquisition_is_shown_without_its_numbers() -> None:
    assert len(repr(Acquisition.from_array(MOVIE, (50, 50, 50), 100.0))) < 500
