"""NumPy, TIFF and Zarr files, each written by its own library."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError, MissingMetadataError
from napari_ulm3d.io.open.acquisition import describe, open_acquisition

GIVEN = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)
RNG = np.random.default_rng(2)
IQ = (RNG.standard_normal((6, 5, 4, 3)) + 1j * RNG.standard_normal((6, 5, 4, 3))).astype(
    np.complex64
)
GREY = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, order: str) -> None:
    path = tmp_path / "frames.npy"
    np.save(path, np.asarray(IQ, order=order))
    found = open_acquisition(path, GIVEN)
    assert found.name == "frames"
    np.testing.assert_array_equal(found.read(0, 6), IQ)
    np.testing.assert_array_equal(found.read(1, 3), IQ[1:3])
    np.save(path, IQ[:, :, 0].astype(np.complex128))
    np.testing.assert_array_equal(open_acquisition(path, GIVEN).read(0, 6), IQ[:, :, :1])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_its_metadata(tmp_path: Path, order: str, save: Any) -> None:
    path = tmp_path / "frames.npz"
    save(
        path,
        IQ=np.asarray(IQ, order=order),
        voxel_mm=[0.1, 0.15, 0.15],
        rate_hz=260.0,
        frequency_hz=15e6,
        sound_speed_m_s=1540.0,
        probe="matrix",
    )
    found = open_acquisition(path)
    assert found.grid.spacing_um == pytest.approx((100, 150, 150))
    assert found.rate_hz == 260
    assert found.wavelength_um == pytest.approx(1540 / 15)
    assert found.metadata["probe"] == "matrix"
    np.testing.assert_array_equal(found.read(0, 6), IQ)
    np.testing.assert_array_equal(found.read(4, 6), IQ[4:])


def test_pickles_and_other_objects_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="no usable numbers"):
        open_acquisition(path, GIVEN)
    np.savez(tmp_path / "o.npz", a=np.full((3, 3, 3), None, dtype=object))
    with pytest.raises(InputError, match="no array with 3 or 4 axes"):
        open_acquisition(tmp_path / "o.npz", GIVEN)


def test_npy_memory_is_that_of_the_requested_frames(tmp_path: Path) -> None:
    path = tmp_path / "long.npy"
    np.save(path, np.zeros((500, 16, 16, 16), np.complex64))  # 16 MB
    np.savez(tmp_path / "long.npz", IQ=np.zeros((500, 16, 16, 16), np.complex64))
    for file in (path, tmp_path / "long.npz"):
        source = open_acquisition(file, GIVEN).sources[0]
        tracemalloc.start()
        block = source.read(200, 210)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < block.nbytes + 3e6


def test_imagej_hyperstack_with_scale_and_interval(tmp_path: Path) -> None:
    path = tmp_path / "hyper.tif"
    tifffile.imwrite(
        path,
        GREY,
        imagej=True,
        resolution=(1 / 0.15, 1 / 0.16),
        metadata={"axes": "TZYX", "spacing": 0.1, "unit": "mm", "finterval": 0.004},
    )
    found = open_acquisition(path)
    assert found.grid.spacing_um == pytest.approx((100, 160, 150))
    assert found.rate_hz == pytest.approx(250)
    assert found.kind == "envelope"
    np.testing.assert_array_equal(found.read(0, 6), GREY)
    np.testing.assert_array_equal(found.read(2, 5), GREY[2:5])


@pytest.mark.parametrize("axes", ["TZYX", "ZTYX"])
def test_ome_tiff_with_physical_sizes(tmp_path: Path, axes: str) -> None:
    path = tmp_path / "frames.ome.tif"
    stored = GREY if axes == "TZYX" else GREY.swapaxes(0, 1)
    metadata = {
        "axes": axes,
        "PhysicalSizeX": 0.15,
        "PhysicalSizeXUnit": "mm",
        "PhysicalSizeY": 140.0,
        "PhysicalSizeZ": 100.0,
        "TimeIncrement": 2.0,
        "TimeIncrementUnit": "ms",
    }
    tifffile.imwrite(path, stored, metadata=metadata, compression="zlib", photometric="minisblack")
    found = open_acquisition(path)
    assert found.name == "frames"
    assert found.grid.spacing_um == pytest.approx((100, 140, 150))
    assert found.rate_hz == pytest.approx(500)
    np.testing.assert_array_equal(found.read(0, 6), GREY)
    np.testing.assert_array_equal(found.read(3, 4), GREY[3:4])


def test_tiff_movie_is_two_dimensional(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    movie = GREY[:, :, 0].astype(np.uint16)
    tifffile.imwrite(path, movie, compression="deflate", photometric="minisblack")
    found = open_acquisition(path, GIVEN)
    np.testing.assert_array_equal(found.read(0, 6), GREY[:, :, :1])
    assert any("rows" in note for note in found.notes)
    flipped = open_acquisition(path, GIVEN.replace(axes="txz"))
    np.testing.assert_array_equal(flipped.read(1, 3)[:, :, 0], GREY[1:3, :, 0].swapaxes(1, 2))
    volume = open_acquisition(path, GIVEN.replace(axes="zyx"))
    assert volume.shape == (1, 6, 5, 3)
    with pytest.raises(InputError, match=r"2 axes|3 axes"):
        open_acquisition(path, GIVEN.replace(axes="tzyx"))


def test_tiff_colour_and_missing_metadata(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((4, 8, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match="colour"):
        open_acquisition(tmp_path / "c.tif", GIVEN)
    tifffile.imwrite(tmp_path / "m.tif", GREY[:, :, 0], photometric="minisblack")
    with pytest.raises(MissingMetadataError, match="--voxel-um Z Y X --rate HZ"):
        open_acquisition(tmp_path / "m.tif")


def test_tiff_reads_only_the_pages_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "movie.tif"
    tifffile.imwrite(
        path, GREY, metadata={"axes": "TZYX"}, compression="zlib", photometric="minisblack"
    )
    source = open_acquisition(path, GIVEN).sources[0]
    pages: list[int] = []
    for kind in (tifffile.TiffPage, tifffile.TiffFrame):
        original = kind.asarray

        def spy(self: Any, *args: Any, _original: Any = original, **more: Any) -> Any:
            pages.append(self.index)
            return _original(self, *args, **more)

        monkeypatch.setattr(kind, "asarray", spy)
    np.testing.assert_array_equal(source.read(2, 4), GREY[2:4])
    assert set(pages) == set(range(10, 20))


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path: Path, version: int) -> None:
    path = tmp_path / "frames.ome.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    array = group.create_array(
        "0", shape=(6, 1, 5, 4, 3), dtype="complex64", chunks=(2, 1, 5, 4, 3)
    )
    array[...] = IQ[:, None]
    half = group.create_array("1", shape=(6, 1, 5, 2, 2), dtype="complex64")
    half[...] = 0
    names = [
        ("t", "millisecond"),
        ("c", None),
        ("z", "micrometer"),
        ("y", "millimeter"),
        ("x", "m"),
    ]
    multiscales = [
        {
            "axes": [{"name": n, **({"unit": u} if u else {})} for n, u in names],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [4, 1, 100, 0.15, 2e-4]},
                        {"type": "translation", "translation": [0, 0, 5000, -1, 0]},
                    ],
                },
                {"path": "1"},
            ],
        }
    ]
    group.attrs.update(
        {"multiscales": multiscales} if version == 2 else {"ome": {"multiscales": multiscales}}
    )
    found = open_acquisition(path)
    assert found.grid.spacing_um == pytest.approx((100, 150, 200))
    assert found.grid.origin_um == pytest.approx((5000, -1000, 0))
    assert found.rate_hz == pytest.approx(250)
    np.testing.assert_array_equal(found.read(0, 6), IQ)
    np.testing.assert_array_equal(found.read(1, 4), IQ[1:4])


@pytest.mark.parametrize("version", [2, 3])
def test_plain_zarr_array(tmp_path: Path, version: int) -> None:
    path = tmp_path / "frames.zarr"
    array = zarr.create_array(
        str(path), shape=(3, 6, 5, 4), dtype="complex64", chunks=(3, 2, 5, 4), zarr_format=version
    )
    array[...] = IQ.transpose(3, 0, 1, 2)
    array.attrs["_ARRAY_DIMENSIONS"] = list("xtzy")
    array.attrs["voxel_um"] = [100, 150, 150]
    array.attrs["rate_hz"] = 500
    np.testing.assert_array_equal(open_acquisition(path).read(3, 6), IQ[3:])


def test_zarr_written_by_dask(tmp_path: Path) -> None:
    da = pytest.importorskip("dask.array")
    path = tmp_path / "dask.zarr"
    da.from_array(IQ, chunks=(2, 5, 4, 3)).to_zarr(str(path))
    np.testing.assert_array_equal(open_acquisition(path, GIVEN).read(1, 5), IQ[1:5])


def test_zarr_reads_only_the_chunks_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "frames.zarr"
    array = zarr.create_array(
        str(path), shape=IQ.shape, dtype="complex64", chunks=(2, 5, 4, 3), zarr_format=2
    )
    array[...] = IQ
    source = open_acquisition(path, GIVEN).sources[0]
    for chunk in path.iterdir():
        if chunk.name[0] in "02":  # frames 0, 1 and 4, 5
            chunk.write_bytes(b"rubbish")
    np.testing.assert_array_equal(source.read(2, 4), IQ[2:4])
    with pytest.raises(InputError, match=r"frames\.zarr"):
        source.read(4, 5)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif"])
@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, fraction: float) -> None:
    path = tmp_path / f"cut{suffix}"
    {".npy": np.save, ".npz": lambda p, a: np.savez(p, IQ=a), ".tif": tifffile.imwrite}[suffix](
        path, np.repeat(GREY, 20, axis=0)
    )
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(InputError, match="cut"):
        open_acquisition(path, GIVEN).read(0, 120)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_log_compressed_movie_is_linearized(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "log.npy"
    amplitude = np.array([1.0, 10 ** (-0.5), 0.01, 0.0]).reshape(4, 1, 1)
    grey = 1 + 20 * np.log10(np.maximum(amplitude, 1e-9)) / 60
    white = {"u1": 255, "u2": 65535, "f4": 7.5}[dtype]
    movie = np.clip(grey, 0, 1) * white
    movie = np.round(movie).astype(dtype) if dtype != "f4" else movie.astype(dtype)
    np.save(path, np.broadcast_to(movie, (4, 3, 3)))
    found = open_acquisition(path, GIVEN.replace(log_compressed_db=60.0))
    np.testing.assert_allclose(found.read(0, 4)[:, 0, 0, 0], amplitude.ravel(), rtol=0.02)
    assert any("white" in note for note in found.notes)


def test_decibels_and_complex_as_log_compressed(tmp_path: Path) -> None:
    path = tmp_path / "db.npy"
    np.save(path, np.broadcast_to(np.float32([0, -20, -40, -60, -80]).reshape(5, 1, 1), (5, 3, 3)))
    found = open_acquisition(path, GIVEN.replace(log_compressed_db=60.0))
    np.testing.assert_allclose(found.read(0, 5)[:, 0, 0, 0], [1, 0.1, 0.01, 0, 0], rtol=1e-5)
    np.save(path, IQ)
    with pytest.raises(InputError, match="complex"):
        open_acquisition(path, GIVEN.replace(log_compressed_db=60.0))


def test_real_movie_with_negative_values_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "rf.npy"
    np.save(path, IQ.real)
    assert any("demodulate" in note for note in open_acquisition(path, GIVEN).notes)


def test_real_tiff(shared_data: Path) -> None:
    path = shared_data / "rat_brain_microbubbles" / "VSXMB_crop.tif"
    assert describe(path).missing == ("voxel_um", "rate_hz")
    found = open_acquisition(path, GIVEN.replace(log_compressed_db=30.0))
    assert found.shape == (90, 514, 1, 651)
    stored = tifffile.imread(path, key=40)
    expected = np.where(stored > 0, 10 ** ((stored / 255 - 1) * 1.5), 0)
    np.testing.assert_allclose(found.read(40, 41)[0, :, 0], expected, rtol=1e-5)
