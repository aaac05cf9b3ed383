"""Copies beside their originals, as browsers and file managers name them, and pipes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.io.open.acquisition import open_acquisition

GIVEN = LoadConfig(voxel_um=(50.0, 50.0, 50.0), rate_hz=100.0)
MOVIE = np.random.default_rng(0).random((4, 3, 2, 5)).astype(np.float32)


@pytest.mark.parametrize("name", ["iq1 (1).npy", "iq1_copy.npy", "iq1 - Kopie.npy", "iq1(2).npy"])
def test_a_copy_is_not_the_next_block(tmp_path: Path, name: str) -> None:
    for number in (1, 2):
        np.save(tmp_path / f"iq{number}.npy", MOVIE * number)
    assert open_acquisition(tmp_path, GIVEN).n_frames == 8
    shutil.copy(tmp_path / "iq1.npy", tmp_path / name)
    with pytest.raises(InputError, match=r"is a copy of iq1\.npy"):
        open_acquisition(tmp_path, GIVEN)
    np.save(tmp_path / name, MOVIE * 3)  # numbered by a file manager, with values of its own
    assert open_acquisition(tmp_path, GIVEN).n_frames == 12


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_not_a_damaged_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "iq.npy")
    with pytest.raises(InputError, match="is a pipe or a device"):
        open_acquisition(tmp_path / "iq.npy", GIVEN)
