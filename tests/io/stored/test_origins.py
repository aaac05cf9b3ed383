"""Sources of facts, their plausible ranges, and writing the sidecar."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ulm3d.config import LIMITS, LoadConfig, implausible
from napari_ulm3d.errors import ConfigError, InputError, MissingMetadataError
from napari_ulm3d.io import describe, open_acquisition
from napari_ulm3d.io.facts.sidecar import read_sidecar, write_sidecar

SIDECAR = (
    "voxel_mm = [0.1, 0.15, 0.15]\nrate_hz = 260\nfrequency_mhz = 15\nsound_speed_m_s = 1500\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "IQ.npy", np.ones((4, 6, 5, 3), np.complex64))
    (tmp_path / "acquisition.toml").write_text(SIDECAR)
    return tmp_path


def test_every_value_has_its_source(folder: Path) -> None:
    found = describe(folder, LoadConfig(rate_hz=400, wavelength_um=100))
    said = {name: (o.source, o.instead, o.instead_from) for name, o in found.origins.items()}
    assert said == {
        "voxel_um": ("acquisition.toml", None, ""),
        "rate_hz": ("given", 260, "acquisition.toml"),
        "wavelength_um": ("given", None, ""),  # the derived value would be 100 um, too
        "frequency_hz": ("acquisition.toml", None, ""),
        "sound_speed_m_s": ("acquisition.toml", None, ""),
    }
    assert "frame rate: 400 Hz (given); acquisition.toml states 260 Hz" in found.lines()
    assert describe(folder).origins["wavelength_um"].source == "derived"


def test_values_stated_in_a_file(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["IQ"] = np.ones((4, 6, 5, 3), np.complex64)
        file["rate_hz"] = 500.0
    found = describe(tmp_path / "a.h5", LoadConfig(voxel_um=(100, 150, 150)))
    assert found.rate_hz == 500
    assert found.origins["rate_hz"].source == "the file"
    over = describe(tmp_path / "a.h5", LoadConfig(voxel_um=(100, 150, 150), rate_hz=250))
    assert over.origins["rate_hz"].instead == 500
    assert over.origins["rate_hz"].instead_from == "the file"


def test_implausible_values_in_a_file_are_requested_again(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["IQ"] = np.ones((4, 6, 5, 3), np.complex64)
        file["rate_hz"] = 5e8
    with pytest.raises(MissingMetadataError) as raised:
        open_acquisition(tmp_path / "a.h5", LoadConfig(voxel_um=(100, 150, 150)))
    assert raised.value.missing == ("rate_hz",)
    assert any("implausible" in note for note in describe(tmp_path / "a.h5").notes)
    given = LoadConfig(voxel_um=(100, 150, 150), rate_hz=500)
    assert open_acquisition(tmp_path / "a.h5", given).rate_hz == 500


@given(st.sampled_from(sorted(LIMITS)), st.floats(allow_nan=True, allow_infinity=True))
def test_settings_accept_only_plausible_values(name: str, value: float) -> None:
    limits = LIMITS[name]
    values = (value, limits.high, limits.high) if name in ("voxel_um", "origin_um") else value
    fits = limits.low <= value <= limits.high
    assert (implausible(name, values) is None) == fits
    if fits:
        LoadConfig().replace(**{name: values})
    else:
        with pytest.raises(ConfigError):
            LoadConfig().replace(**{name: values})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("frequency_hz", 15.6, "15.6 MHz would be 15,600,000 Hz"),
        ("voxel_um", (0.1, 0.15, 0.15), "0.1 mm would be 100 um"),
        ("wavelength_um", 9.87e-5, "9.87e-05 m would be 98.7 um"),
    ],
)
def test_the_intended_unit_is_named(name: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        LoadConfig().replace(**{name: value})
    assert said in str(raised.value)
    assert "Value error" not in str(raised.value)


def test_a_sidecar_with_a_wrong_unit_is_refused(folder: Path) -> None:
    (folder / "acquisition.toml").write_text("frequency_hz = 15.6\n")
    with pytest.raises(InputError, match=r"15\.6 MHz would be"):
        open_acquisition(folder)


def test_writing_the_sidecar_keeps_its_other_contents(folder: Path) -> None:
    path = folder / "acquisition.toml"
    path.write_text("# first\naxes = 'tzyx'\nvoxel_mm = [\n  1, 1,\n  1 ]\nrate_hz = 260 # old\n")
    write_sidecar(folder, LoadConfig(rate_hz=300.5))
    assert path.read_text().startswith("# first\naxes = 'tzyx'\n")
    write_sidecar(folder, LoadConfig(voxel_um=(100, 150, 150), variable='a "b"\\c'))
    assert tomllib.loads(path.read_text()) == {
        "axes": "tzyx", "rate_hz": 300.5, "voxel_um": [100, 150, 150], "variable": 'a "b"\\c',
    }  # fmt: skip
    facts, settings = read_sidecar(folder)
    assert facts.voxel_um == (100, 150, 150)
    assert settings["variable"] == 'a "b"\\c'


def test_a_damaged_sidecar_is_not_overwritten(folder: Path) -> None:
    (folder / "acquisition.toml").write_text("rate_hz = = 3")
    with pytest.raises(InputError, match="TOML"):
        write_sidecar(folder, LoadConfig(rate_hz=300))
    assert (folder / "acquisition.toml").read_text() == "rate_hz = = 3"
