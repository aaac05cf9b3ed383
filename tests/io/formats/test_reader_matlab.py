"""MATLAB files: version 5 written by SciPy, version 7.3 imitated with h5py."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError, MissingMetadataError
from napari_ulm3d.io.open.acquisition import describe, open_acquisition

GIVEN = LoadConfig(voxel_um=(98.56, 150.0, 150.0), rate_hz=260.0)
COMPOUND = np.dtype([("real", "<f4"), ("imag", "<f4")])


def iq(t: int = 7, z: int = 5, y: int = 4, x: int = 3) -> NDArray[np.complex64]:
    """Frames (t, z, y, x), every value different."""
    rng = np.random.default_rng(t)
    parts = rng.standard_normal((2, t, z, y, x)).astype(np.float32)
    return parts[0] + 1j * parts[1]


def write_v73(path: Path, matlab: dict[str, NDArray[np.generic]], **options: object) -> None:
    """Write arrays given in MATLAB's order of axes like MATLAB's -v7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in matlab.items():
            stored = np.ascontiguousarray(array.T)
            if stored.dtype.kind == "c":
                stored = stored.astype(np.complex64).view(COMPOUND)
            data = file.create_dataset(name, data=stored, **options)
            data.attrs["MATLAB_class"] = np.bytes_("single")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


def matlab_order(frames: NDArray[np.generic]) -> NDArray[np.generic]:
    """(t, z, y, x) to MATLAB's [z, x, y, t], the order of Open-3DULM."""
    return frames.transpose(1, 3, 2, 0)


@pytest.mark.parametrize("compressed", [False, True])
def test_v5_files_written_by_scipy(tmp_path: Path, compressed: bool) -> None:
    frames, path = iq(), tmp_path / "IQ001.mat"
    savemat(path, {"IQ": matlab_order(frames), "other": np.arange(3.0)}, do_compression=compressed)
    found = open_acquisition(path, GIVEN)
    assert found.shape == frames.shape
    assert found.kind == "iq"
    assert found.grid.spacing_um == (98.56, 150.0, 150.0)
    np.testing.assert_array_equal(found.read(0, 7), frames)
    np.testing.assert_array_equal(found.read(2, 5), frames[2:5])
    assert found.read(2, 5).flags.c_contiguous
    assert any("[z, x, y, t]" in note for note in found.notes)
    np.testing.assert_array_equal(loadmat(path)["IQ"], matlab_order(found.read(0, 7)))


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8", "c16"])
@pytest.mark.parametrize("axes", ["zxyt", "tzyx", "xtzy"])
def test_v5_any_dtype_and_any_time_axis(tmp_path: Path, dtype: str, axes: str) -> None:
    path = tmp_path / "movie.mat"
    stored = np.arange(3 * 4 * 5 * 6).reshape(3, 4, 5, 6).astype(dtype)
    if dtype == "c16":
        stored = stored * (1 - 2j)
    savemat(path, {"data": stored}, do_compression=True)
    found = open_acquisition(path, GIVEN.replace(axes=axes))
    expected = np.moveaxis(stored, [axes.index(a) for a in "tzyx"], range(4))
    np.testing.assert_array_equal(found.read(0, found.n_frames), expected)
    np.testing.assert_array_equal(found.read(1, 3), expected[1:3])
    assert found.dtype == (np.complex64 if dtype == "c16" else np.float32)


def test_v5_array_in_a_structure_and_pala_metadata(tmp_path: Path) -> None:
    # PALA keeps IQ [z, x, t] beside UF (frame rate, MHz) and PData (wavelengths, x y z).
    path = tmp_path / "PALA_InVivoRatBrain_001.mat"
    frames = iq(6, 8, 1, 5)
    savemat(
        path,
        {
            "IQ": frames[:, :, 0].transpose(1, 2, 0),
            "UF": {"FrameRateUF": 1000.0, "FrameRate": 150.0, "TwFreq": 15.0},
            "PData": {"PDelta": [1.0, 0.0, 0.5], "Origin": [-4.0, 0.0, 6.0]},
        },
    )
    with pytest.raises(MissingMetadataError, match="--sound-speed") as error:
        open_acquisition(path)
    assert error.value.missing == ("voxel_um", "sound_speed_m_s")
    found = open_acquisition(path, LoadConfig(sound_speed_m_s=1540.0))
    wave = 1540 / 15e6 * 1e6
    assert found.rate_hz == 1000
    assert found.wavelength_um == pytest.approx(wave)
    assert found.grid.spacing_um == pytest.approx((wave / 2, wave, wave))
    assert found.grid.origin_um == pytest.approx((6 * wave, 0, -4 * wave))
    np.testing.assert_array_equal(found.read(0, 6), frames)
    assert found.metadata["UF.FrameRateUF"] == 1000

    savemat(path, {"S": {"inner": {"stack": matlab_order(frames)}}})
    nested = open_acquisition(path, GIVEN.replace(variable="S/inner/stack", axes="zxyt"))
    np.testing.assert_array_equal(nested.read(1, 4), frames[1:4])


def test_provost_lab_variable_and_info(tmp_path: Path) -> None:
    frames, path = iq(), tmp_path / "iqPostSVD_1.mat"
    savemat(
        path,
        {
            "iqSvdFiltered": matlab_order(frames),
            "larger": np.zeros((20, 20, 20)),
            "info": {"frameRate": 500.0},
        },
    )
    found = open_acquisition(path, LoadConfig(voxel_um=(50, 50, 50)))
    assert found.rate_hz == 500
    np.testing.assert_array_equal(found.read(0, 7), frames)


@pytest.mark.parametrize("options", [{}, {"chunks": (3, 2, 2, 5), "compression": "gzip"}])
def test_v73_compound_complex(tmp_path: Path, options: dict[str, object]) -> None:
    frames, path = iq(), tmp_path / "IQ001.mat"
    write_v73(path, {"IQ": matlab_order(frames)}, **options)
    found = open_acquisition(path, GIVEN)
    np.testing.assert_array_equal(found.read(0, 7), frames)
    np.testing.assert_array_equal(found.read(2, 5), frames[2:5])
    assert pickle.loads(pickle.dumps(found)).read(6, 7).shape == (1, 5, 4, 3)


def test_v73_separate_parts_and_axis_vectors(tmp_path: Path) -> None:
    frames, path = iq(), tmp_path / "parts.mat"
    write_v73(
        path,
        {
            "IQ_real": matlab_order(frames.real),
            "IQ_imag": matlab_order(frames.imag),
            "frame_rate": np.array([[400.0]]),
            "z_m": np.linspace(1e-3, 1.4e-3, 5)[:, None],
            "y_m": np.linspace(0, 0.6e-3, 4)[:, None],
            "x_m": np.linspace(-0.2e-3, 0.2e-3, 3)[:, None],
        },
    )
    found = open_acquisition(path)
    assert found.grid.spacing_um == pytest.approx((100, 200, 200))
    assert found.grid.origin_um == pytest.approx((1000, 0, -200))
    assert found.rate_hz == 400
    np.testing.assert_array_equal(found.read(1, 7), frames[1:])


def test_v73_structures_of_pala(tmp_path: Path) -> None:
    path = tmp_path / "PALA_001.mat"
    flat = iq(6, 8, 1, 5)
    write_v73(
        path,
        {
            "IQ": flat[:, :, 0].transpose(1, 2, 0),
            "UF/FrameRateUF": np.array([[1000.0]]),
            "UF/TwFreq": np.array([[15.0]]),
            "PData/PDelta": np.array([[1.0, 0.0, 1.0]]),
        },
    )
    found = open_acquisition(path, LoadConfig(sound_speed_m_s=1500))
    assert found.rate_hz == 1000
    assert found.grid.spacing_um == pytest.approx((100, 100, 100))
    np.testing.assert_array_equal(found.read(0, 6), flat)


def test_v5_table_of_records_is_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "tracks.mat"
    records = np.zeros(500, dtype=[("position", object)])
    records["position"] = [np.ones((3, 4)) for _ in range(500)]
    savemat(path, {"tracks": records, "IQ": matlab_order(iq())})
    assert [v.name for v in describe(path).variables] == ["IQ"]


def test_two_dimensional_files_get_one_voxel_along_y(tmp_path: Path) -> None:
    frames = iq(6, 8, 1, 5)
    savemat(tmp_path / "a.mat", {"IQ": frames[:, :, 0].transpose(1, 2, 0)})
    write_v73(tmp_path / "b.mat", {"IQ": frames[:, :, 0].transpose(1, 2, 0)})
    for name in ("a.mat", "b.mat"):
        found = open_acquisition(tmp_path / name, GIVEN)
        assert found.shape == (6, 8, 1, 5)
        np.testing.assert_array_equal(found.read(0, 6), frames)


def test_variable_is_the_largest_or_named_or_an_error(tmp_path: Path) -> None:
    path = tmp_path / "many.mat"
    small, large = np.ones((4, 4, 4, 4)), np.full((4, 4, 4, 5), 2.0)
    savemat(path, {"small": small, "large": large})
    assert open_acquisition(path, GIVEN).read(0, 1).max() == 2
    assert open_acquisition(path, GIVEN.replace(variable="SMALL")).read(0, 1).max() == 1
    with pytest.raises(InputError, match=r"no array 'nope'.*small.*large"):
        open_acquisition(path, GIVEN.replace(variable="nope"))
    savemat(path, {"one": large, "two": large})
    with pytest.raises(InputError, match=r"one, two.*--variable"):
        open_acquisition(path, GIVEN)
    savemat(path, {"vector": np.arange(9.0)})
    with pytest.raises(InputError, match=r"no array with 3 or 4 axes.*vector"):
        open_acquisition(path, GIVEN)
    assert describe(path).problem is not None


@pytest.mark.parametrize("compressed", [False, True])
def test_v5_memory_is_that_of_the_requested_frames(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "long.mat"
    savemat(
        path, {"IQ": np.ones((32, 32, 8, 200), np.complex64)}, do_compression=compressed
    )  # 13 MB
    source = open_acquisition(path, GIVEN).sources[0]
    source.read(0, 1)
    tracemalloc.start()
    block = source.read(150, 160)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < block.nbytes + 4e6


def test_v73_reads_only_the_chunks_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.mat"
    write_v73(path, {"IQ": matlab_order(iq(60))}, chunks=(10, 4, 3, 5))
    asked: list[slice] = []
    original = h5py.Dataset.__getitem__

    def spy(self: h5py.Dataset, index: object, *more: object) -> object:
        if self.name == "/IQ" and isinstance(index, tuple):
            asked.append(index[0])
        return original(self, index, *more)

    source = open_acquisition(path, GIVEN).sources[0]
    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    source.read(12, 19)
    assert asked
    assert all(12 <= part.start < part.stop <= 19 for part in asked)


@pytest.mark.parametrize("keep", [1000, 400, 150])
@pytest.mark.parametrize("kind", ["v5", "v5z", "v73"])
def test_truncated_files_are_refused(tmp_path: Path, kind: str, keep: int) -> None:
    path = tmp_path / "cut.mat"
    if kind == "v73":
        write_v73(path, {"IQ": matlab_order(iq())})
    else:
        savemat(path, {"IQ": matlab_order(iq())}, do_compression=kind == "v5z")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"cut\.mat"):
        open_acquisition(path, GIVEN).read(0, 7)


def test_damaged_compressed_bytes_are_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.mat"
    savemat(path, {"IQ": matlab_order(iq(40))}, do_compression=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)
    found = open_acquisition(path, GIVEN)  # opening only reads headers
    with pytest.raises(InputError, match="damaged"):
        found.read(0, 40)


def test_nan_is_caught_when_a_block_is_read(tmp_path: Path) -> None:
    frames, path = iq(), tmp_path / "nan.mat"
    frames[3, 0, 0, 0] = np.nan
    savemat(path, {"IQ": matlab_order(frames)})
    with pytest.raises(InputError, match="NaN"):
        open_acquisition(path, GIVEN).blocks(7)[0].read()
