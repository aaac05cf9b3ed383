"""Layers are saved with the size that they have, whatever unit they are in."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.writers import read_map
from napari_ulm3d.plugin.writers import write_map
from napari_ulm3d.system.shown_units import in_display_units

VOLUME = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        (("um",) * 3, (1, 1, 1)),
        (("micrometer",) * 3, (1, 1, 1)),
        (("mm",) * 3, (1e3, 1e3, 1e3)),
        (("nm",) * 3, (1e-3, 1e-3, 1e-3)),
        (("m",) * 3, (1e6, 1e6, 1e6)),
        (("mm", "um", "nm"), (1e3, 1, 1e-3)),
        (("pixel",) * 3, (1, 1, 1)),
        (None, (1, 1, 1)),
    ],
)
def test_units_are_converted(
    tmp_path: Path, units: tuple[str, ...] | None, factor: tuple[float, ...]
) -> None:
    spacing, origin = np.array([50.0, 100.0, 200.0]), np.array([10.0, -20.0, 30.0])
    attributes = {
        "name": "vol", "scale": spacing / factor, "translate": origin / factor, "units": units,
    }  # fmt: skip
    for suffix in (".ome.tif", ".nii.gz"):
        write_map(str(tmp_path / f"v{suffix}"), VOLUME, attributes)
    grid = read_map(tmp_path / "v.ome.tif").grid
    np.testing.assert_allclose(grid.spacing_um, spacing, rtol=1e-6)
    image = nibabel.load(tmp_path / "v.nii.gz")
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.header.get_zooms()[::-1], spacing / 1e3, rtol=1e-6)
    np.testing.assert_allclose(image.affine[:3, 3][::-1], origin / 1e3, rtol=1e-5)
    assert "no flip" in image.header["descrip"].item().decode()


def test_a_unit_that_is_no_length_is_refused(tmp_path: Path) -> None:
    attributes = {"name": "vol", "scale": (1, 1, 1), "units": ("s", "um", "um")}
    with pytest.raises(ResultsError, match="'s', which is not a supported length"):
        write_map(str(tmp_path / "v.nii"), VOLUME, attributes)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("12.3 um", "12.3 µm"),
        ("A voxel is 12 um. Or 3 um, or (4 um)", "A voxel is 12 µm. Or 3 µm, or (4 µm)"),
        ("/data/100 um.mat: cannot be read", "/data/100 um.mat: cannot be read"),
        ("Dice at 25 um", "Dice at 25 µm"),
        ("Local resolution (um)", "Local resolution (µm)"),
        ("um", "µm"),
        ("/data/100 um/IQ.mat: cannot be read", "/data/100 um/IQ.mat: cannot be read"),
        ("Set layer.units to ('um', 'um', 'um').", "Set layer.units to ('um', 'um', 'um')."),
        ("sum of voxel_um", "sum of voxel_um"),
    ],
)
def test_micrometres_are_shown_as_such_but_paths_and_code_stay(text, shown):
    assert in_display_units(text) == shown


def test_notifications_speak_as_the_widgets_do(monkeypatch: pytest.MonkeyPatch) -> None:
    notifications = pytest.importorskip("napari.utils.notifications")
    from napari_ulm3d.plugin import notices

    told: list[str] = []
    for name in ("show_info", "show_warning", "show_error"):
        monkeypatch.setattr(notifications, name, told.append)
        getattr(notices, name)("The voxels are 12 um. Give --rate HZ.")
    assert told == ['The voxels are 12 µm. Give "Frame rate".'] * 3
