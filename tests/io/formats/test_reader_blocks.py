"""Blocks in MATLAB's cell and struct arrays, as SciPy and MATLAB v7.3 write them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from napari_ulm3d import describe, open_acquisition
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError

RNG = np.random.default_rng(7)
SAID = LoadConfig(voxel_um=(50, 60, 70), rate_hz=100)


def block(frames: int) -> np.ndarray:
    """Frames (t, z, y, x)."""
    shape = (frames, 5, 4, 6)
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(np.complex64)


# The last block of a recording is often a short one.
BLOCKS = [block(n) for n in (7, 7, 3)]
WHOLE = np.concatenate(BLOCKS)
MATLAB = [b.transpose(1, 3, 2, 0) for b in BLOCKS]


def cells(values: list[object]) -> np.ndarray:
    found = np.empty((1, len(values)), object)
    for i, value in enumerate(values):
        found[0, i] = value
    return found


def v73(path: Path) -> h5py.File:
    with h5py.File(path, "w", userblock_size=512):
        pass
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
    return h5py.File(path, "r+")


def put(file: h5py.File, name: str, matlab: np.ndarray) -> h5py.Dataset:
    values = np.ascontiguousarray(matlab.T)
    if values.dtype.kind == "c":
        values = values.view([("real", "<f4"), ("imag", "<f4")])
    data = file.create_dataset(f"#refs#/{name}", data=values)
    data.attrs["MATLAB_class"] = np.bytes_("single")
    return data


def references(file: h5py.File, arrays: list[np.ndarray], prefix: str = "a") -> np.ndarray:
    found = np.empty((len(arrays), 1), h5py.ref_dtype)
    for i, array in enumerate(arrays):
        found[i, 0] = put(file, f"{prefix}{i}", array).ref
    return found


def write_cells(path: Path, version: str, name: str = "IQ") -> None:
    if version != "v7.3":
        scipy.io.savemat(path, {name: cells(MATLAB), "fps": 80.0}, do_compression=version == "v7")
        return
    with v73(path) as file:
        data = file.create_dataset(name, data=references(file, MATLAB), dtype=h5py.ref_dtype)
        data.attrs["MATLAB_class"] = np.bytes_("cell")


def write_structs(path: Path, version: str) -> None:
    if version != "v7.3":
        records = np.array([(m, 1.0) for m in MATLAB], dtype=[("IQ", "O"), ("gain", "O")])
        scipy.io.savemat(path, {"Buf": records}, do_compression=version == "v7")
        return
    with v73(path) as file:
        group = file.create_group("Buf")
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        group.create_dataset("IQ", data=references(file, MATLAB), dtype=h5py.ref_dtype)


@pytest.mark.parametrize("version", ["v6", "v7", "v7.3"])
@pytest.mark.parametrize("write", [write_cells, write_structs])
def test_blocks_follow_each_other(tmp_path: Path, version: str, write: object) -> None:
    path = tmp_path / "a.mat"
    write(path, version)  # type: ignore[operator]
    acquisition = open_acquisition(path, SAID)
    np.testing.assert_array_equal(acquisition.read(0, acquisition.n_frames), WHOLE)
    np.testing.assert_array_equal(acquisition.read(5, 16), WHOLE[5:16])
    assert any("3 elements" in note for note in acquisition.notes)
    name = "IQ{2}" if write is write_cells else "Buf(2).IQ"
    assert any(v.name.replace("/", ".") == name for v in describe(path).variables)
    one = open_acquisition(path, SAID.replace(variable=name))
    np.testing.assert_array_equal(one.read(0, one.n_frames), BLOCKS[1])


@pytest.mark.parametrize("compressed", [False, True])
def test_halves_in_cells_are_complex_blocks(tmp_path: Path, compressed: bool) -> None:
    halves = {
        "IData": cells([m.real for m in MATLAB]),
        "QData": cells([m.imag for m in MATLAB]),
    }
    scipy.io.savemat(tmp_path / "a.mat", halves, do_compression=compressed)
    acquisition = open_acquisition(tmp_path / "a.mat", SAID)
    np.testing.assert_array_equal(acquisition.read(0, acquisition.n_frames), WHOLE)


@pytest.mark.parametrize("version", ["v7", "v7.3"])
def test_cells_with_one_frame_each_are_a_movie(tmp_path: Path, version: str) -> None:
    frames = [abs(WHOLE[t, :, 0]) for t in range(9)]
    if version == "v7":
        scipy.io.savemat(tmp_path / "a.mat", {"frames": cells(frames)})
    else:
        with v73(tmp_path / "a.mat") as file:
            data = file.create_dataset(
                "frames", data=references(file, frames), dtype=h5py.ref_dtype
            )
            data.attrs["MATLAB_class"] = np.bytes_("cell")
    acquisition = open_acquisition(tmp_path / "a.mat", SAID)
    np.testing.assert_array_equal(acquisition.read(0, 9)[:, :, 0], frames)


def test_blocks_with_different_grids_are_not_joined(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"IQ": cells([MATLAB[0], MATLAB[1][:-1]])})
    acquisition = open_acquisition(tmp_path / "a.mat", SAID.replace(variable="IQ{2}"))
    assert acquisition.grid.shape == (4, 4, 6)
    with pytest.raises(InputError, match="do not form a sequence") as error:
        open_acquisition(tmp_path / "a.mat", SAID)
    assert "--variable 'IQ{1}'" in error.value.remedy


def test_numbers_beside_a_large_array_in_a_structure_are_read(tmp_path: Path) -> None:
    large = np.ones((40, 40, 40, 8), np.float32)
    scipy.io.savemat(tmp_path / "a.mat", {"data": {"IQ": large, "frameRate": 321.0, "id": "m1"}})
    found = describe(tmp_path / "a.mat")
    assert found.rate_hz == 321
    assert found.shape == (8, 40, 40, 40)


def test_a_structure_of_structures_and_cells(tmp_path: Path) -> None:
    inner = {"meta": {"fps": 10.0}, "beams": cells([{"IQ": m} for m in MATLAB])}
    scipy.io.savemat(tmp_path / "a.mat", {"session": inner}, do_compression=True)
    acquisition = open_acquisition(tmp_path / "a.mat", SAID)
    np.testing.assert_array_equal(acquisition.read(0, acquisition.n_frames), WHOLE)
