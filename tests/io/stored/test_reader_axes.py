"""Axes by name in any order, I and Q on an axis of two, and one rule for 2-D data."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io
import SimpleITK
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_ulm3d import open_acquisition
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError

#: (t, z, y, x) with distinct lengths, so that a swapped axis is detected.
SHAPE = (7, 6, 5, 8)
RNG = np.random.default_rng(3)
IQ = (RNG.normal(size=SHAPE) + 1j * RNG.normal(size=SHAPE)).astype(np.complex64)
ENVELOPE = np.abs(IQ)
SAID = LoadConfig(voxel_um=(50, 60, 70), rate_hz=100)

NAMES = {
    "t": ("t", "time", "frame"),
    "z": ("z", "depth", "axial"),
    "y": ("y", "elevation"),
    "x": ("x", "lateral"),
}
any_order = st.permutations("tzyx").map("".join)
any_names = st.fixed_dictionaries({letter: st.sampled_from(n) for letter, n in NAMES.items()})
quick = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
unique = itertools.count()


def stored(frames: np.ndarray, order: str) -> np.ndarray:
    """Frames (t, z, y, x) with their axes in another order; c is real and imaginary part."""
    if "c" in order:
        frames = np.stack([frames.real, frames.imag], -1)
    return np.ascontiguousarray(frames.transpose(["tzyxc".index(a) for a in order]))


def read(path: Path, config: LoadConfig = SAID) -> np.ndarray:
    acquisition = open_acquisition(path, config)
    return acquisition.read(0, acquisition.n_frames)


@quick
@given(order=any_order, names=any_names)
def test_dimension_scales_of_hdf5_name_the_axes(
    tmp_path: Path, order: str, names: dict[str, str]
) -> None:
    path = tmp_path / f"{next(unique)}.nc"
    step = {"t": 0.004, "z": 0.05, "y": 0.1, "x": 0.2}
    with h5py.File(path, "w") as file:
        data = file.create_dataset("power", data=stored(ENVELOPE, order))
        for axis, letter in enumerate(order):
            scale = file.create_dataset(
                names[letter], data=3 + step[letter] * np.arange(data.shape[axis])
            )
            scale.make_scale(names[letter])
            scale.attrs["units"] = "s" if letter == "t" else "mm"
            data.dims[axis].attach_scale(scale)
    acquisition = open_acquisition(path)
    np.testing.assert_array_equal(acquisition.read(0, SHAPE[0]), ENVELOPE)
    np.testing.assert_allclose(acquisition.grid.spacing_um, (50, 100, 200))
    np.testing.assert_allclose(acquisition.grid.origin_um, (3000, 3000, 3000))
    assert acquisition.rate_hz == pytest.approx(250)


@quick
@given(order=any_order, names=any_names, version=st.sampled_from([2, 3]))
def test_dimension_names_of_zarr_name_the_axes(
    tmp_path: Path, order: str, names: dict[str, str], version: int
) -> None:
    path = tmp_path / f"{next(unique)}.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    step = {"t": 4, "z": 0.05, "y": 0.1, "x": -0.2}

    def put(name: str, values: np.ndarray, dims: list[str]) -> zarr.Array:
        array = group.create_array(
            name, data=values, **({"dimension_names": dims} if version == 3 else {})
        )
        if version == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = dims
        return array

    put("power", stored(ENVELOPE, order), [names[letter] for letter in order])
    for letter, n in zip("tzyx", SHAPE, strict=True):
        vector = put(names[letter], step[letter] * np.arange(n), [names[letter]])
        vector.attrs["units"] = "milliseconds since 2024-05-01" if letter == "t" else "mm"
    acquisition = open_acquisition(path)
    np.testing.assert_array_equal(acquisition.read(0, SHAPE[0]), ENVELOPE)
    np.testing.assert_allclose(acquisition.grid.spacing_um, (50, 100, 200))
    assert acquisition.rate_hz == pytest.approx(250)


def as_npy(path: Path, array: np.ndarray) -> Path:
    np.save(path / "a.npy", array)
    return path / "a.npy"


def as_npz(path: Path, array: np.ndarray) -> Path:
    np.savez_compressed(path / "a.npz", movie=array)
    return path / "a.npz"


def as_hdf5(path: Path, array: np.ndarray) -> Path:
    with h5py.File(path / "a.h5", "w") as file:
        file["movie"] = array
    return path / "a.h5"


def as_zarr(path: Path, array: np.ndarray) -> Path:
    zarr.create_array(str(path / "a.zarr"), data=array)
    return path / "a.zarr"


def as_mat(path: Path, array: np.ndarray) -> Path:
    scipy.io.savemat(path / "a.mat", {"movie": array.T})
    return path / "a.mat"


WRITERS = [as_npy, as_npz, as_hdf5, as_zarr, as_mat]
Writer = Callable[[Path, np.ndarray], Path]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("order", ["tzxc", "ctzx", "tzyxc", "ctzyx"])
def test_an_unnamed_axis_of_two_signed_values_is_a_question(
    tmp_path: Path, write: Writer, order: str
) -> None:
    iq = IQ if "y" in order else IQ[:, :, :1]
    path = write(tmp_path, stored(iq, order if "y" in order else order + "y")[...].squeeze())
    typed = order[::-1] if write is as_mat else order
    with pytest.raises(InputError) as error:
        open_acquisition(path, SAID)
    advised = error.value.remedy.partition("--axes ")[2].split()[0]
    assert len(advised) == len(typed)
    assert advised.index("c") == typed.index("c")
    np.testing.assert_array_equal(read(path, SAID.replace(axes=typed)), iq)


@pytest.mark.parametrize("write", WRITERS)
def test_two_voxels_or_frames_of_an_envelope_are_not_a_question(
    tmp_path: Path, write: Writer
) -> None:
    frames = ENVELOPE[:2, :, :, :2]
    array = frames.transpose(0, 1, 2, 3)
    if write is as_mat:
        array = frames.transpose(0, 2, 3, 1)  # MATLAB [z, x, y, t]
    np.testing.assert_array_equal(read(write(tmp_path, array)), frames)


@pytest.mark.parametrize("write", WRITERS)
def test_a_single_voxel_along_z_becomes_one_along_y(tmp_path: Path, write: Writer) -> None:
    movie = ENVELOPE[:, :, :1]
    array = movie.transpose(0, 2, 1, 3)  # one voxel along the axis called z, rows along y
    if write is as_mat:
        array = array.transpose(0, 2, 3, 1)
    acquisition = open_acquisition(write(tmp_path, array), SAID)
    np.testing.assert_array_equal(acquisition.read(0, SHAPE[0]), movie)
    assert any("2-D" in note for note in acquisition.notes)


def test_a_single_voxel_along_z_in_named_formats(tmp_path: Path) -> None:
    movie = ENVELOPE[:, :, :1]
    flat = movie[:, :, 0]
    image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(f[None]) for f in flat])
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    nifti = nibabel.Nifti1Image(flat.transpose(2, 1, 0)[:, :, None], np.eye(4))
    nifti.to_filename(tmp_path / "a.nii.gz")
    tifffile.imwrite(tmp_path / "a.tif", flat[:, None], imagej=True, metadata={"axes": "TZYX"})
    tifffile.imwrite(tmp_path / "b.ome.tif", flat[:, None], metadata={"axes": "TZYX"})
    for name in ("a.mha", "a.nii.gz", "a.tif", "b.ome.tif"):
        np.testing.assert_array_equal(read(tmp_path / name), movie, name)


@pytest.mark.parametrize("write", WRITERS)
def test_a_stack_of_one_is_dropped_or_a_question(tmp_path: Path, write: Writer) -> None:
    np.testing.assert_array_equal(
        read(write(tmp_path, (IQ.transpose(0, 2, 3, 1) if write is as_mat else IQ)[None])), IQ
    )


@pytest.mark.parametrize(("axes", "flat"), [("TZCYX", False), ("TCYX", True)])
@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_two_channels_of_signed_values_are_i_and_q(
    tmp_path: Path, axes: str, flat: bool, kind: str
) -> None:
    iq = IQ[:, :, :1] if flat else IQ
    order = "tczx" if flat else "tzcyx"
    array = stored(iq, order + "y" if flat else order).squeeze()
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    tifffile.imwrite(
        path, array, imagej=kind == "imagej", ome=kind == "ome", metadata={"axes": axes}
    )
    np.testing.assert_array_equal(read(path), iq)
    tifffile.imwrite(
        path, abs(array), imagej=kind == "imagej", ome=kind == "ome", metadata={"axes": axes}
    )
    with pytest.raises(InputError, match="two channels") as error:
        open_acquisition(path, SAID)
    assert f"--axes {order}" in error.value.remedy
    open_acquisition(path, SAID.replace(axes=order))


def test_vectors_of_two_in_metaimage_and_nifti_are_i_and_q(tmp_path: Path) -> None:
    parts = stored(IQ, "tzyxc")
    volumes = [SimpleITK.GetImageFromArray(volume, isVector=True) for volume in parts]
    SimpleITK.WriteImage(SimpleITK.JoinSeries(volumes), str(tmp_path / "a.mha"))
    nibabel.Nifti1Image(stored(IQ, "xyztc"), np.eye(4)).to_filename(tmp_path / "a.nii")
    for name in ("a.mha", "a.nii"):
        np.testing.assert_array_equal(read(tmp_path / name), IQ, name)


def test_the_layout_of_zea(tmp_path: Path) -> None:
    flat = IQ[:, :, 0]
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data/beamformed_data"] = np.stack([flat.real, flat.imag], -1)
    np.testing.assert_array_equal(read(tmp_path / "a.hdf5")[:, :, 0], flat)


def test_unnamed_pages_are_a_question_and_open_with_its_answer(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", ENVELOPE)
    with pytest.raises(InputError) as error:
        open_acquisition(tmp_path / "a.tif", SAID)
    assert "--axes tzyx" in error.value.remedy
    np.testing.assert_array_equal(read(tmp_path / "a.tif", SAID.replace(axes="tzyx")), ENVELOPE)
