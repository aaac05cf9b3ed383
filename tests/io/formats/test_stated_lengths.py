"""Lengths, times, orientation and intensities in the words of headers written by other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.io.open.acquisition import describe, open_acquisition

MOVIE = np.random.default_rng(1).random((6, 4, 3, 5)).astype(np.float32)
GIVEN = LoadConfig(rate_hz=100.0)


def test_ome_units_of_length_and_times_of_planes(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.ome.tif"
    stated: dict[str, Any] = {
        "axes": "TZYX",
        "PhysicalSizeX": 0.05, "PhysicalSizeXUnit": "mm",
        "PhysicalSizeY": 1e6, "PhysicalSizeYUnit": "\u00c5",
        "PhysicalSizeZ": 0.02, "PhysicalSizeZUnit": "cm",
        "Plane": {"DeltaT": [k // 4 * 2.0 for k in range(24)], "DeltaTUnit": ["ms"] * 24},
    }  # fmt: skip
    tifffile.imwrite(path, MOVIE, ome=True, metadata=stated)
    found = open_acquisition(path)
    assert found.grid.spacing_um == pytest.approx((200, 100, 50))
    assert found.rate_hz == pytest.approx(500)
    stated |= {"PhysicalSizeYUnit": "pixel", "Plane": {}}
    tifffile.imwrite(path, MOVIE, ome=True, metadata=stated)
    notes = " ".join(describe(path).notes)
    assert "'pixel', which is not a unit of length" in notes


@pytest.mark.parametrize("unit", [None, "parsec"])
def test_a_scale_of_ome_zarr_without_usable_unit_is_named(tmp_path: Path, unit: str | None) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=MOVIE)
    units = ["second", "angstrom", unit, "micrometer"]
    axes = [
        {"name": n, "type": "time" if n == "t" else "space"} | ({"unit": u} if u else {})
        for n, u in zip("tzyx", units, strict=True)
    ]
    scale = [{"type": "scale", "scale": [0.002, 2e6, 100.0, 50.0]}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
    for opened in (tmp_path / "a.zarr", tmp_path / "a.zarr" / "0"):
        found = describe(opened)
        assert found.rate_hz == pytest.approx(500)
        assert any("scale of axis y (100) has" in note for note in found.notes)
        assert not any("axis z" in note for note in found.notes)


def test_nifti_pairs_unknown_units_and_turned_axes(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.diag([-0.05, 0.1, 0.2, 1.0])
    image = nibabel.Nifti1Pair(MOVIE.transpose(3, 2, 1, 0), affine)
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((0.05, 0.1, 0.2, 2.0))
    nibabel.save(image, tmp_path / "a.hdr")
    for name in ("a.hdr", "a.img"):
        found = open_acquisition(tmp_path / name)
        assert found.rate_hz == pytest.approx(500)
        assert found.grid.spacing_um == pytest.approx((200, 100, 50))
        assert any("flipped" in note for note in found.notes)
        np.testing.assert_array_equal(found.read(0, 6), MOVIE)
    single = nibabel.Nifti1Image(MOVIE.transpose(3, 2, 1, 0), affine)
    single.header["xyzt_units"] = 2 + 32  # mm, and a frequency axis
    single.header.set_zooms((0.05, 0.1, 0.2, 500.0))
    nibabel.save(single, tmp_path / "hz.nii")
    found = describe(tmp_path / "hz.nii")
    assert found.rate_hz is None
    assert any("(500) has the unit Hz" in note for note in found.notes)
    single.header["xyzt_units"] = 7 + 64  # codes that the standard does not know
    nibabel.save(single, tmp_path / "odd.nii")
    assert describe(tmp_path / "odd.nii").missing == ("voxel_um", "rate_hz")


def write_mhd(folder: Path, fields: str, values: np.ndarray, data: str = "v.raw") -> Path:
    kind = {"f": "MET_FLOAT", "i": "MET_SHORT"}[values.dtype.kind]
    (folder / "v.raw").write_bytes(values.tobytes())
    sizes = " ".join(map(str, values.shape[::-1]))
    (folder / "v.mhd").write_text(
        f"ObjectType = Image\nNDims = 4\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"{fields}\nDimSize = {sizes}\nElementType = {kind}\nElementDataFile = {data}\n"
    )
    return folder / "v.mhd"


def test_units_direction_and_intensities_of_metaimage(tmp_path: Path) -> None:
    turn = "TransformMatrix = 0 1 0 0 -1 0 0 0 0 0 1 0 0 0 0 1\nOffset = 1 2 3 0\n"
    fields = turn + "DistanceUnits = cm\nElementSpacing = 0.005 0.01 0.02 1\n"
    line = "ElementToIntensityFunctionSlope = 0.5\nElementToIntensityFunctionOffset = 10"
    values = (MOVIE * 100).astype(np.int16)
    found = open_acquisition(write_mhd(tmp_path, fields + line, values), GIVEN)
    assert found.grid.spacing_um == pytest.approx((200, 100, 50))
    assert found.grid.origin_um == (0, 0, 0)
    assert any("TransformMatrix was not applied" in note for note in found.notes)
    np.testing.assert_allclose(found.read(0, 6), values * 0.5 + 10)


def test_headers_of_metaimage_edited_by_people(tmp_path: Path) -> None:
    spacing = "ElementSpacing = 0.05 0.1 0.2 1"
    assert open_acquisition(write_mhd(tmp_path, spacing, MOVIE, ".\\v.raw"), GIVEN).n_frames == 6
    for name in ("C:\\data\\v.raw", "V.RAW"):
        with pytest.raises(InputError, match=r"Write v\.raw in its header"):
            open_acquisition(write_mhd(tmp_path, spacing, MOVIE, name), GIVEN)
    with pytest.raises(InputError, match="decimal points"):
        open_acquisition(write_mhd(tmp_path, spacing.replace(".", ","), MOVIE), GIVEN)
    path = write_mhd(tmp_path, spacing, MOVIE)
    (tmp_path / "v.raw").write_bytes(MOVIE.tobytes()[:-400])
    with pytest.raises(InputError, match="ends too early"):
        open_acquisition(path, GIVEN)


def test_what_a_plain_tiff_holds_besides_is_named(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    movie = MOVIE[:, :, 0]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(
            movie, resolution=(200, 100), resolutionunit="CENTIMETER", metadata={"axes": "TYX"}
        )
        file.write(movie[0, :2], metadata={"axes": "YX"})
    notes = " ".join(describe(tmp_path / "a.tif").notes)
    assert "50 um along columns, 100 um along rows" in notes
    assert "(2, 5) float32" in notes


def test_sidecars_from_windows_editors_and_with_typing_errors(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MOVIE)
    sidecar = tmp_path / "acquisition.toml"
    sidecar.write_text("voxel_um = [50, 60, 70]\r\nrate_hz = 100\r\n", encoding="utf-8-sig")
    assert open_acquisition(tmp_path / "a.npy").grid.spacing_um == (50, 60, 70)
    for text in ("voxel_um = 50\nrate_hz = 100", "voxel_um = [50, 60, 70]\nrate_hz = 0,5"):
        sidecar.write_text(text)
        with pytest.raises(InputError, match=r"voxel_um = \[98\.56, 150"):
            open_acquisition(tmp_path / "a.npy")
