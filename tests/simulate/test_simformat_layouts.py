"""Simulated files as the laboratories' own programs would read them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.simulate import Simulation, SimulationConfig, write_simulation
from napari_ulm3d.simulate.config import (
    ClutterModelConfig,
    GridConfig,
    MicrobubbleConfig,
    NoiseConfig,
)
from napari_ulm3d.simulate.formats.open3dulm import round_mantissa
from napari_ulm3d.simulate.vasculature import VesselNetwork

TUBE = VesselNetwork(
    nodes_um=np.array([[0.0, 300.0, 100.0], [900.0, 300.0, 700.0]]),
    segments=np.array([[0, 1]]),
    radius_um=np.array([30.0]),
    flow_nl_min=np.array([400.0]),
)
CONFIG = SimulationConfig(
    grid=GridConfig(shape=(10, 6, 8), voxel_um=(98.56, 150.0, 140.0), origin_um=(5.0, 0.0, 0.0)),
    n_frames=23,
    bubbles=MicrobubbleConfig(n_bubbles=3),
)
SIMULATION = Simulation(CONFIG, TUBE)
NO_TISSUE = CONFIG.replace(clutter=ClutterModelConfig(level_db=None))


def test_open3dulm_files_are_matlab_files_as_h5py_sees_the_labs(tmp_path: Path) -> None:
    folder = write_simulation(SIMULATION, tmp_path / "a" / "b", frames_per_file=10)
    assert sorted(p.name for p in folder.glob("*.mat")) == ["IQ001.mat", "IQ002.mat", "IQ003.mat"]
    frames = SIMULATION.acquisition.read(0, 23)
    with h5py.File(folder / "IQ002.mat") as file:
        assert file.userblock_size == 512
        stored = file["IQ"]
        assert stored.attrs["MATLAB_class"] == b"single"
        assert stored.dtype.names == ("real", "imag")
        assert stored.shape == (10, 6, 8, 10)  # t, y, x, z: MATLAB's [z, x, y, t]
        complex_ = stored["real"] + 1j * stored["imag"]
    np.testing.assert_array_equal(complex_.transpose(0, 3, 1, 2), frames[10:20])
    header = (folder / "IQ001.mat").read_bytes()[:128]
    assert header.startswith(b"MATLAB 7.3 MAT-file")
    assert header[124:128] == b"\x00\x02IM"


def test_sidecar_has_the_names_of_the_load_settings(tmp_path: Path) -> None:
    folder = write_simulation(SIMULATION, tmp_path / "out")
    values = tomllib.loads((folder / "acquisition.toml").read_text())
    load = LoadConfig(**values)
    assert load.voxel_um == (98.56, 150.0, 140.0)
    assert load.origin_um == (5.0, 0.0, 0.0)
    assert load.rate_hz == 260.0
    assert load.wavelength_um == 98.56
    assert load.frequency_hz == pytest.approx(15.625e6)


@pytest.mark.parametrize("layout", ["open3dulm", "zarr"])
def test_the_package_reads_its_own_simulations(tmp_path: Path, layout: str) -> None:
    from napari_ulm3d.io import open_acquisition

    folder = write_simulation(SIMULATION, tmp_path / "out", layout)
    path = folder if layout == "open3dulm" else folder / "acquisition.ome.zarr"
    acquisition = open_acquisition(path)
    wanted = SIMULATION.acquisition
    assert acquisition.shape == wanted.shape
    assert acquisition.grid == wanted.grid
    assert acquisition.rate_hz == pytest.approx(wanted.rate_hz)
    np.testing.assert_array_equal(acquisition.read(3, 20), wanted.read(3, 20))


def test_zarr_is_ome_zarr(tmp_path: Path) -> None:
    folder = write_simulation(SIMULATION, tmp_path / "out", "zarr")
    group = zarr.open_group(folder / "acquisition.ome.zarr", mode="r")
    scales = group.attrs["multiscales"][0]
    assert [axis["name"] for axis in scales["axes"]] == ["t", "z", "y", "x"]
    transforms = scales["datasets"][0]["coordinateTransformations"]
    assert transforms[0]["scale"] == [1 / 260.0, 98.56, 150.0, 140.0]
    assert transforms[1]["translation"] == [0.0, 5.0, 0.0, 0.0]
    np.testing.assert_array_equal(group["0"][:], SIMULATION.acquisition.read(0, 23))


@pytest.mark.parametrize("ny", [6, 1])
def test_sparsetensorulm_groups_hold_maps_and_tracks(tmp_path: Path, ny: int) -> None:
    config = NO_TISSUE.replace(
        grid=CONFIG.grid.replace(shape=(10, ny, 8)), noise=NoiseConfig(snr_db=60.0)
    )
    network = TUBE if ny > 1 else TUBE.fitted_to(config.grid.grid, "as-is")
    simulation = Simulation(config, network)
    folder = write_simulation(simulation, tmp_path / "out", "sparsetensorulm", frames_per_sample=11)
    with h5py.File(folder / "samples.h5") as file:
        assert sorted(file) == ["1", "2"]
        # The published loader reverses all axes: channels, x, (y,) z, t.
        maps = np.asarray(file["2/CorrMap"]).T
        coords = np.asarray(file["2/ground_truth/coords"])
    assert maps.shape == ((2, 8, 6, 10, 11) if ny > 1 else (2, 8, 10, 11))
    power = (maps**2).sum(axis=0)
    assert power.max() <= 1 + 1e-5
    seen = ~np.isnan(coords[:, 3])
    assert seen.any()
    np.testing.assert_allclose(
        coords[:, 3][seen], np.broadcast_to(np.arange(11) / 260.0, seen.shape)[seen]
    )
    inside = np.array([8, ny, 10])
    values = []
    for track, frame in zip(*np.nonzero(seen), strict=True):
        x, y, z = np.round(coords[track, :3, frame]).astype(int).clip(0, inside - 1)
        values.append(power[x, y, z, frame] if ny > 1 else power[x, z, frame])
    assert np.median(values) > 0.5, "bubbles stand where the map is high"


def test_sparsetensorulm_needs_frames_without_tissue_and_enough_of_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tissue"):
        write_simulation(SIMULATION, tmp_path / "out", "sparsetensorulm")
    with pytest.raises(ConfigError, match="512"):
        write_simulation(Simulation(NO_TISSUE, TUBE), tmp_path / "out", "sparsetensorulm")
    assert list(tmp_path.iterdir()) == []


def test_truth_and_settings_are_beside_the_frames(tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    folder = write_simulation(
        SIMULATION, tmp_path / "out", frames_per_file=10, progress=lambda *n: counts.append(n)
    )
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "truth.parquet"), SIMULATION.truth)
    assert SimulationConfig.from_toml(folder / "simulation.toml") == CONFIG
    assert counts == [(10, 23), (20, 23), (23, 23)]


def test_only_a_simulation_is_replaced_and_only_on_request(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_simulation(SIMULATION, target)
    with pytest.raises(ResultsError, match="exists"):
        write_simulation(SIMULATION, target)
    (target / "left_over").touch()
    write_simulation(SIMULATION, target, overwrite=True)
    assert not (target / "left_over").exists()
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.txt").write_text("...")
    with pytest.raises(ResultsError, match="not contain a simulation"):
        write_simulation(SIMULATION, precious, overwrite=True)
    assert (precious / "chapter1.txt").read_text() == "..."


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(done: int, _: int) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_simulation(SIMULATION, tmp_path / "out", progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'dicom'.*open3dulm"):
        write_simulation(SIMULATION, tmp_path / "out", "dicom")


@given(
    st.floats(-(2.0**90), 2.0**90, width=32).filter(lambda v: v == 0 or abs(v) > 1e-30),
    st.integers(1, 23),
)
def test_rounding_keeps_the_promised_precision(value: float, bits: int) -> None:
    rounded = round_mantissa(np.array([complex(value, -value)], np.complex64), bits)
    assert abs(rounded.real[0] - np.float32(value)) <= abs(value) * 2.0 ** -(bits + 1)
    assert rounded.imag[0] == -rounded.real[0]
    assert (rounded.view(np.uint32) & ((1 << (23 - bits)) - 1) == 0).all()


def test_compressed_files_hold_rounded_frames(tmp_path: Path) -> None:
    folder = write_simulation(SIMULATION, tmp_path / "small", mantissa_bits=7)
    with h5py.File(folder / "IQ001.mat") as file:
        stored = file["IQ"]
        assert stored.compression == "gzip"
        values = stored["real"] + 1j * stored["imag"]
    exact = SIMULATION.acquisition.read(0, 23).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(values, round_mantissa(np.ascontiguousarray(exact), 7))
