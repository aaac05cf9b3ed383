"""The sample acquisition: the shipped files agree with their seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.io import open_acquisition
from napari_ulm3d.simulate import SimulationConfig, sample_data_path, simulate
from napari_ulm3d.simulate import sample as module
from napari_ulm3d.simulate.config import GridConfig
from napari_ulm3d.simulate.sample import SAMPLE_NAME, sample_config, write_sample

SHIPPED = Path(__file__).resolve().parents[2] / "sample_data" / SAMPLE_NAME


@pytest.fixture
def shipped() -> Path:
    if not SHIPPED.is_dir():
        pytest.skip("sample_data is not beside the tests (an installed package has none)")
    return SHIPPED


def test_the_shipped_sample_is_small_and_agrees_with_its_seed(shipped: Path) -> None:
    assert sum(p.stat().st_size for p in shipped.iterdir()) <= 5_000_000
    assert SimulationConfig.from_toml(shipped / "simulation.toml") == sample_config()
    simulation = simulate(sample_config())
    acquisition = open_acquisition(shipped)
    assert acquisition.shape == simulation.acquisition.shape
    assert acquisition.grid == simulation.grid
    exact, stored = simulation.acquisition.read(150, 250), acquisition.read(150, 250)
    # Seven bits of mantissa: half a step of 2**-7, in each part.
    assert (np.abs(stored.real - exact.real) <= 2.0**-8 * np.abs(exact.real) + 1e-4).all()
    pd.testing.assert_frame_equal(
        pd.read_parquet(shipped / "truth.parquet"), simulation.truth, rtol=1e-6
    )


def test_the_sample_is_found(shipped: Path) -> None:
    assert sample_data_path() == shipped


def test_without_the_repository_the_sample_is_generated_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = sample_config().replace(
        grid=GridConfig(shape=(12, 1, 12), voxel_um=(98.56, 400.0, 98.56)), n_frames=4
    )
    monkeypatch.setattr(module, "sample_config", lambda: small)
    monkeypatch.setattr(module, "SAMPLE_NAME", "not_shipped")
    monkeypatch.setattr(module, "_cache", lambda: tmp_path)
    made = sample_data_path()
    assert made.is_relative_to(tmp_path)
    assert open_acquisition(made).shape == (4, 12, 1, 12)
    monkeypatch.setattr(module, "write_sample", write_nothing)
    assert sample_data_path() == made


def write_nothing(folder: Path) -> Path:
    raise AssertionError(f"{folder} was made twice")


def test_writing_replaces_an_earlier_sample_only_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = sample_config().replace(
        grid=GridConfig(shape=(12, 1, 12), voxel_um=(98.56, 400.0, 98.56)), n_frames=4
    )
    monkeypatch.setattr(module, "sample_config", lambda: small)
    write_sample(tmp_path / "s")
    first = (tmp_path / "s" / "IQ001.mat").read_bytes()
    write_sample(tmp_path / "s", overwrite=True)
    assert (tmp_path / "s" / "IQ001.mat").read_bytes() == first
