"""MetaImage: sequences, names of data files, and links within a dataset."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
import zarr

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.io.open.acquisition import describe, open_acquisition

GIVEN = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)
MOVIE = np.random.default_rng(0).random((30, 8, 6), np.float32)


def sequence(path: Path, stamps: list[float]) -> None:
    """A tracked ultrasound sequence, as SimpleITK writes its fields."""
    image = sitk.GetImageFromArray(MOVIE)
    image.SetSpacing((0.05, 0.1, 1.0))
    for k, stamp in enumerate(stamps):
        image.SetMetaData(f"Seq_Frame{k:04d}_Timestamp", f"{stamp:.6f}")
        image.SetMetaData(f"Seq_Frame{k:04d}_ImageStatus", "OK")
        for n in range(20):
            image.SetMetaData(f"Seq_Frame{k:04d}_Tool{n}ToProbeTransform", "1 0 0 0 " * 4)
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize("suffix", ["mha", "mhd"])
def test_a_sequence_opens_with_the_rate_of_its_timestamps(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rec.igs.{suffix}"
    sequence(path, [12.0 + k / 250 for k in range(30)])
    acquisition = open_acquisition(path, LoadConfig(axes="tzx"))
    assert acquisition.rate_hz == pytest.approx(250, rel=1e-4)
    assert acquisition.grid.spacing_um == pytest.approx((100, 50, 50))
    np.testing.assert_array_equal(acquisition.read(0, 30)[:, :, 0], MOVIE)
    assert not any(key.startswith("Seq_Frame") for key in acquisition.metadata)


def test_uneven_and_decreasing_timestamps_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "uneven.mha"
    sequence(path, [k / 100 + 0.002 * (k % 2) for k in range(30)])
    found = describe(path)
    assert found.rate_hz == pytest.approx(100, rel=0.02)
    assert "not evenly" in " ".join(found.notes)
    sequence(path, [k / 100 for k in reversed(range(30))])
    found = describe(path)
    assert found.rate_hz is None
    assert "do not increase" in " ".join(found.notes)


def test_a_header_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    with path.open("wb") as file:
        file.write(b"NDims = 3\n")
        line = b"Comment = " + b"x" * 60000 + b"\n"
        for _ in range(1200):
            file.write(line)
        file.write(b"ElementDataFile = LOCAL\n")
    with pytest.raises(InputError, match="ElementDataFile"):
        open_acquisition(path, GIVEN)


@pytest.mark.parametrize(
    "name",
    ["rec 1.raw", "50% dose.raw", "%03d.raw", "Messung µm Größe.raw", "list.raw", "a[1].raw"],
)
def test_names_of_data_files_are_literal(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.mhd"
    image = sitk.JoinSeries([sitk.GetImageFromArray(frame) for frame in MOVIE])
    sitk.WriteImage(image, str(path))
    (tmp_path / "a.raw").rename(tmp_path / name)
    header = path.read_text().replace("ElementDataFile = a.raw", f"ElementDataFile = {name}")
    path.write_text(header, encoding="utf-8")
    read = open_acquisition(path, GIVEN.replace(axes="tzx")).read(0, 30)
    np.testing.assert_array_equal(read[:, :, 0], MOVIE)


@pytest.mark.parametrize("named", ["LIST", "LIST 2D", "s%03d.raw 1 30 1", "s%d.raw 0 58 2"])
def test_frames_in_several_files_are_read_as_itk_reads_them(tmp_path: Path, named: str) -> None:
    path = tmp_path / "a.mhd"
    sitk.WriteImage(sitk.GetImageFromArray(MOVIE), str(path))
    names = [f"f {k}.raw" for k in range(len(MOVIE))]
    if "%" in named:
        numbers = range(1, 31) if "03d" in named else range(0, 59, 2)
        names = [named.split()[0] % k for k in numbers]
    for name, frame in zip(names, MOVIE, strict=True):
        (tmp_path / name).write_bytes(frame.tobytes())
    listed = "" if "%" in named else "\n" + "\n".join(names)
    path.write_text(path.read_text().replace("= a.raw", f"= {named}{listed}"))
    (tmp_path / "a.raw").unlink()
    found = open_acquisition(path, GIVEN.replace(axes="tzx"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), MOVIE)
    np.testing.assert_array_equal(found.read(0, 30)[:, :, 0], MOVIE)
    np.testing.assert_array_equal(found.read(7, 9)[:, :, 0], MOVIE[7:9])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("LIST\nmissing.raw", "which is missing"),
        ("LIST\n../a.raw", "outside its folder"),
        ("LIST\na.raw", "30 pieces but names 1 data files"),
        ("LIST", "lists no data files"),
        ("s%d.raw 5 1 1", "names the data files"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path: Path, named: str, message: str) -> None:
    path = tmp_path / "a.mhd"
    sitk.WriteImage(sitk.GetImageFromArray(MOVIE), str(path))
    path.write_text(path.read_text().replace("= a.raw", f"= {named}"))
    with pytest.raises(InputError, match=message):
        open_acquisition(path, GIVEN.replace(axes="tzx"))


def annexed(folder: Path, objects: Path) -> None:
    """Replace every file in a folder by a link to its content, as git-annex does."""
    objects.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
        key = objects / f"MD5E-s{path.stat().st_size}--{number}{path.suffix}"
        path.rename(key)
        path.symlink_to(os.path.relpath(key, path.parent))


def write_all(folder: Path) -> list[str]:
    folder.mkdir(parents=True)
    sitk.WriteImage(sitk.GetImageFromArray(MOVIE), str(folder / "iq.mhd"))
    np.save(folder / "iq.npy", MOVIE)
    tifffile.imwrite(folder / "iq.tif", MOVIE, photometric="minisblack")
    zarr.create_array(str(folder / "iq.zarr"), data=MOVIE, chunks=(5, 8, 6))
    return ["iq.mhd", "iq.npy", "iq.tif", "iq.zarr"]


@pytest.mark.parametrize("submodule", [False, True])
def test_links_of_git_annex_are_followed(tmp_path: Path, submodule: bool) -> None:
    data = tmp_path / "dataset" / "sub-01" / "us"
    names = write_all(data)
    if submodule:
        store = tmp_path / "super" / ".git" / "modules" / "dataset"
        (tmp_path / "dataset" / ".git").write_text("gitdir: ../super/.git/modules/dataset\n")
    else:
        store = tmp_path / "dataset" / ".git"
    annexed(data, store / "annex" / "objects")
    for name in names:
        read = open_acquisition(data / name, GIVEN.replace(axes="tzx")).read(0, 30)
        np.testing.assert_array_equal(read[:, :, 0], MOVIE)


@pytest.mark.parametrize("name", ["iq.mhd", "iq.zarr"])
def test_links_out_of_the_dataset_are_not_followed(tmp_path: Path, name: str) -> None:
    data = tmp_path / "dataset" / "sub-01"
    write_all(data)
    (tmp_path / "dataset" / ".git" / "annex" / "objects").mkdir(parents=True)
    annexed(data, tmp_path / "elsewhere")
    with pytest.raises(InputError, match="link"):
        open_acquisition(data / name, GIVEN.replace(axes="tzx"))


def test_a_linked_header_finds_the_data_beside_its_target(tmp_path: Path) -> None:
    write_all(tmp_path / "raw")
    (tmp_path / "mine").mkdir()
    link = tmp_path / "mine" / "today.mhd"
    link.symlink_to(tmp_path / "raw" / "iq.mhd")
    read = open_acquisition(link, GIVEN.replace(axes="tzx")).read(0, 30)
    np.testing.assert_array_equal(read[:, :, 0], MOVIE)
