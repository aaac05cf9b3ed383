"""Opening files, folders, patterns and sidecars: precedence and clear refusals."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import savemat

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import ConfigError, InputError, MissingMetadataError, UlmError
from napari_ulm3d.io.facts.named import axis_spacing, facts_from_names
from napari_ulm3d.io.facts.resolve import Facts, merge_facts, resolve_facts
from napari_ulm3d.io.facts.sidecar import read_sidecar
from napari_ulm3d.io.facts.units import to_um
from napari_ulm3d.io.formats.registry import known_suffixes, readers
from napari_ulm3d.io.open.acquisition import describe, open_acquisition
from napari_ulm3d.io.open.files import find_files
from napari_ulm3d.io.stored.axes import fit_axes, frame_shape, stored_view
from napari_ulm3d.io.stored.choosing import natural_key

GIVEN = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)


def frames(value: float = 1.0, n: int = 3) -> NDArray[np.complex64]:
    return np.full((n, 4, 3, 5), value, np.complex64)


def write_blocks(folder: Path, numbers: tuple[int, ...] = (1, 2, 10)) -> None:
    for number in numbers:
        savemat(folder / f"IQ{number}.mat", {"IQ": frames(number).transpose(1, 3, 2, 0)})


def test_folders_and_patterns_are_in_numerical_order(tmp_path: Path) -> None:
    write_blocks(tmp_path)
    (tmp_path / "notes.txt").write_text("not data")
    (tmp_path / ".hidden.mat").write_text("not data")
    for paths in (tmp_path, str(tmp_path), tmp_path / "IQ*.mat", [tmp_path / "*.mat"]):
        found = open_acquisition(paths, GIVEN)
        assert found.name == tmp_path.name
        np.testing.assert_array_equal(found.read(0, 9)[:, 0, 0, 0].real, np.repeat([1, 2, 10], 3))


def test_named_files_keep_their_order_and_blocks_do_not_span_files(tmp_path: Path) -> None:
    write_blocks(tmp_path)
    found = open_acquisition([tmp_path / "IQ10.mat", str(tmp_path / "IQ1.mat")], GIVEN)
    np.testing.assert_array_equal(found.read(2, 4)[:, 0, 0, 0].real, [10, 1])
    assert [block.n_frames for block in found.blocks(200)] == [3, 3]
    assert open_acquisition(tmp_path / "IQ2.mat", GIVEN).name == "IQ2"


def test_files_with_one_frame_each_become_one_series(tmp_path: Path) -> None:
    for number in range(12):
        image = np.full((8, 9), number, np.uint8)
        tifffile.imwrite(tmp_path / f"frame{number}.tif", image)
    found = open_acquisition(tmp_path, GIVEN.replace(axes="zx"))
    assert len(found.blocks(200)) == 1
    np.testing.assert_array_equal(found.read(8, 12)[:, 0, 0, 0], [8, 9, 10, 11])
    assert pickle.loads(pickle.dumps(found)).shape == (12, 8, 1, 9)


def test_sources_can_be_pickled_and_read_by_several_threads(tmp_path: Path) -> None:
    stack = np.arange(40 * 4 * 3 * 5).reshape(40, 4, 3, 5).astype(np.complex64)
    np.save(tmp_path / "a.npy", stack)
    savemat(tmp_path / "b.mat", {"IQ": stack.transpose(1, 3, 2, 0)}, do_compression=True)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("IQ", data=stack, chunks=(7, 4, 3, 5), compression="gzip")
    for name in ("a.npy", "b.mat", "c.h5"):
        source = pickle.loads(pickle.dumps(open_acquisition(tmp_path / name, GIVEN).sources[0]))
        with ThreadPoolExecutor(4) as pool:
            parts = list(pool.map(lambda i, s=source: s.read(i, i + 2), range(0, 40, 2)))
        np.testing.assert_array_equal(np.concatenate(parts), stack)


def test_refusals_name_the_file_and_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.mat: does not exist"):
        open_acquisition(tmp_path / "nothing.mat", GIVEN)
    with pytest.raises(InputError, match=r"without acquisition files.*\.mat"):
        open_acquisition(tmp_path, GIVEN)
    with pytest.raises(InputError, match="matches no file"):
        open_acquisition(tmp_path / "*.mat", GIVEN)
    with pytest.raises(InputError, match="No file was named"):
        open_acquisition([], GIVEN)
    (tmp_path / "empty.mat").touch()
    with pytest.raises(InputError, match=r"empty.mat: is empty"):
        open_acquisition(tmp_path / "empty.mat", GIVEN)
    (tmp_path / "text.xyz").write_text("hello")
    with pytest.raises(InputError, match=r"unknown format.*\.mat"):
        open_acquisition(tmp_path / "text.xyz", GIVEN)
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match="a name like HDF5, but its content does not match"):
        open_acquisition(tmp_path / "text.h5", GIVEN)
    np.save(tmp_path / "a.npy", frames())
    with pytest.raises(InputError, match="several kinds"):
        open_acquisition(tmp_path, GIVEN)
    np.save(tmp_path / "plane.npy", np.ones((4, 5)))
    with pytest.raises(InputError, match=r"2 axes \(4, 5\).*--axes"):
        open_acquisition(tmp_path / "plane.npy", GIVEN)
    np.save(tmp_path / "none.npy", np.ones((0, 4, 5, 6)))
    with pytest.raises(InputError, match="contains no usable numbers"):
        open_acquisition(tmp_path / "none.npy", GIVEN)
    for message in ("\n", "  "):
        with pytest.raises(InputError) as error:
            open_acquisition(tmp_path / "text.h5", GIVEN)
        assert message not in str(error.value)


def test_unlike_files_are_refused(tmp_path: Path) -> None:
    first = tmp_path / "a.npy"
    np.save(first, frames())
    np.save(tmp_path / "b.npy", frames()[:, :2])
    np.save(tmp_path / "c.npy", frames().real)
    with pytest.raises(InputError, match=r"b\.npy.*\(2, 3, 5\).*\(4, 3, 5\)"):
        open_acquisition([first, tmp_path / "b.npy"], GIVEN)
    with pytest.raises(InputError, match=r"c\.npy: contains float32.*complex64"):
        open_acquisition([first, tmp_path / "c.npy"], GIVEN)
    for number, rate in ((1, 400.0), (2, 500.0)):
        np.savez(tmp_path / f"{number}.npz", IQ=frames(), rate_hz=rate)
    with pytest.raises(InputError, match=r"rate_hz 500.0, but 1.npz states 400.0"):
        open_acquisition(tmp_path / "*.npz", LoadConfig(voxel_um=(1, 1, 1)))
    assert open_acquisition(tmp_path / "*.npz", GIVEN).rate_hz == 500


def test_settings_win_over_the_sidecar_and_it_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, IQ=frames(), rate_hz=100.0, voxel_um=[10.0, 10, 10], wavelength_um=70.0)
    sidecar = tmp_path / "acquisition.toml"
    sidecar.write_text("rate_hz = 200\nvoxel_mm = [0.1, 0.2, 0.3]\naxes = 'txyz'\n")
    found = open_acquisition(path)
    assert (found.rate_hz, found.grid.spacing_um) == (200, (100, 200, 300))
    assert found.grid.shape == (5, 3, 4)
    assert found.wavelength_um == 70
    assert any("acquisition.toml" in note for note in found.notes)
    found = open_acquisition(path, LoadConfig(rate_hz=300, axes="tzyx"))
    assert (found.rate_hz, found.grid.shape) == (300, (4, 3, 5))
    sidecar.write_text(
        "voxel_wavelengths = [0.5, 1, 1]\nfrequency_mhz = 15\nsound_speed_m_s = 1500"
    )
    found = open_acquisition(path)
    assert found.wavelength_um == pytest.approx(100)  # and no longer the file's 70
    assert found.grid.spacing_um == pytest.approx((50, 100, 100))


def test_flat_data_takes_the_missing_spacing_from_x_and_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 4, 5)))
    (tmp_path / "acquisition.toml").write_text("voxel_um = [50.0, 70.0]\nrate_hz = 1000")
    found = open_acquisition(tmp_path / "a.npy")
    assert found.grid.spacing_um == (50, 70, 70)
    assert any("set to that along x" in note for note in found.notes)
    np.save(tmp_path / "a.npy", frames())
    with pytest.raises(MissingMetadataError, match="voxel_um"):
        open_acquisition(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pixel = 3", "unknown keys: pixel.*Known keys:.*voxel_mm"),
        ("rate_hz = ", "not a readable TOML"),
        ("rate_hz = -3", "bad value.*rate_hz"),
        ("voxel_um = [1, 2, 3, 4]", "bad value.*voxel_um"),
        ("voxel_mm = 'big'", "voxel_mm = 'big'"),
        ("voxel_mm = [1, 2, 3]\nvoxel_um = [1, 2, 3]", "both voxel_mm and voxel_um"),
        ("voxel_wavelengths = [1, -2, 3]", "bad value"),
    ],
)
def test_sidecar_mistakes(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "acquisition.toml").write_text(text)
    np.save(tmp_path / "a.npy", frames())
    with pytest.raises(InputError, match=message):
        open_acquisition(tmp_path / "a.npy", GIVEN)
    assert describe(tmp_path / "a.npy", GIVEN).problem is not None


def test_describe_needs_no_metadata(tmp_path: Path) -> None:
    write_blocks(tmp_path)
    found = describe(tmp_path)
    assert found.format == "MATLAB v5"
    assert (found.n_files, found.shape, found.axes, found.kind) == (3, (9, 4, 3, 5), "zxyt", "iq")
    assert (found.variable, found.why) == ("IQ", "a known name")
    assert found.missing == ("voxel_um", "rate_hz")
    assert "--voxel-um Z Y X --rate HZ" in (found.problem or "")
    assert describe(tmp_path, GIVEN).problem is None
    assert [str(v) for v in found.variables] == ["IQ (4, 5, 3, 3) complex64"]
    text = "\n".join(found.lines())
    for part in ("MATLAB v5", "frames: 9 of 4 x 3 x 5", "frame rate: not known", "--rate HZ"):
        assert part in text
    assert "voxel spacing z, y, x: 100 150 150 um (given)" in describe(tmp_path, GIVEN).lines()


def test_every_format_has_suffixes_and_is_found_once() -> None:
    names = [reader.name for reader in readers()]
    assert len(set(names)) == len(names) >= 10
    assert {".mat", ".h5", ".npy", ".npz", ".tif", ".zarr", ".uff", ".dcm", ".mha", ".nii"} <= set(
        known_suffixes()
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    start=st.sampled_from(
        [
            b"",
            b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM",
            b"\x89HDF\r\n\x1a\n",
            b"\x93NUMPY\1\0",
            b"PK\3\4",
            b"II*\0",
            b"MM\0+",
            bytes(128) + b"DICM",
            b"ObjectType = Image\nNDims = 3\n",
            bytes(344) + b"n+1\0",
            b"\x1f\x8b\x08",
        ]
    ),
    rest=st.binary(max_size=600),
    suffix=st.sampled_from(known_suffixes()),
)
def test_random_bytes_raise_only_input_errors(
    tmp_path: Path, start: bytes, rest: bytes, suffix: str
) -> None:
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(start + rest)
    with pytest.raises(UlmError) as error:
        open_acquisition(path, GIVEN).read(0, 1)
    assert "rubbish" in str(error.value)
    assert "\n" not in str(error.value)


@given(
    axes=st.permutations("tzyxc").map("".join),
    drop=st.sets(st.sampled_from("tyc"), max_size=3),
    sizes=st.tuples(*[st.integers(1, 4)] * 4),
)
def test_stored_view_undoes_any_order_of_axes(
    axes: str, drop: set[str], sizes: tuple[int, ...]
) -> None:
    axes = "".join(a for a in axes if a not in drop)
    length = {**dict(zip("tzyx", sizes, strict=True)), "c": 2}
    shape = tuple(length[a] for a in axes)
    stored = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert fit_axes(axes, shape, "a") == axes
    out = np.empty(frame_shape(axes, shape), np.complex64 if "c" in axes else np.float32)
    stored_view(out, axes)[...] = stored
    named = dict(zip(axes, range(len(axes)), strict=True))
    for index in np.ndindex(out.shape):
        where = dict(zip("tzyx", index, strict=True))
        at = [where.get(a, 0) for a in axes]
        if "c" in named:
            at[named["c"]] = 0
            real = stored[tuple(at)]
            at[named["c"]] = 1
            assert out[index] == real + 1j * stored[tuple(at)]
        else:
            assert out[index] == stored[tuple(at)]


@given(st.text(alphabet="tzyxcq_, ", max_size=7))
def test_axes_setting_accepts_letters_once_and_refuses_the_rest(text: str) -> None:
    letters = text.replace(",", "").replace(" ", "")
    good = len(set(letters)) == len(letters) and {"z", "x"} <= set(letters) <= set("tzyxc")
    if good:
        assert LoadConfig().replace(axes=text).axes == letters
    else:
        with pytest.raises(ConfigError, match="axes"):
            LoadConfig().replace(axes=text)


def test_axes_that_do_not_fit_are_refused() -> None:
    assert fit_axes("tzx", (24, 1, 514, 651), "a") == "t_zx"
    for axes, shape in (("tzyx", (3, 4, 5)), ("tzxc", (3, 4, 5, 3)), ("t_zx", (3, 2, 4, 5))):
        with pytest.raises(InputError, match="a: has"):
            fit_axes(axes, shape, "a")
    with pytest.raises(InputError, match="cannot have the axes"):
        fit_axes("tyx", (3, 4, 5), "a")


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30, unique=True))
def test_natural_key_sorts_numbers_in_names_by_value(numbers: list[int]) -> None:
    names = [f"run1_IQ{n}.mat" for n in numbers]
    assert sorted(names, key=natural_key) == [f"run1_IQ{n}.mat" for n in sorted(numbers)]


@given(
    st.sampled_from(["m", "cm", "mm", "um", "\u00b5m", "\u03bcm", "\\u00B5m", "nm", "Micron"]),
)
def test_units_of_length(unit: str) -> None:
    in_metres = {"m": 1, "cm": 1e-2, "mm": 1e-3, "nm": 1e-9}.get(unit, 1e-6)
    assert to_um(unit) == pytest.approx(in_metres * 1e6)
    assert to_um("pixel") is None


@given(
    voxel=st.tuples(*[st.floats(1, 1e4)] * 3),
    rate=st.floats(0.1, 1e5),
    frequency=st.floats(1e5, 1e8),
    speed=st.floats(500, 3000),
)
def test_sidecar_values_are_read(
    tmp_path_factory: pytest.TempPathFactory,
    voxel: tuple[float, float, float],
    rate: float,
    frequency: float,
    speed: float,
) -> None:
    folder = tmp_path_factory.mktemp("sidecar")
    values = {
        "voxel_mm": [v / 1e3 for v in voxel],
        "rate_hz": rate,
        "frequency_mhz": frequency / 1e6,
        "sound_speed_m_s": speed,
        "variable": "IQ",
    }
    (folder / "acquisition.toml").write_text(tomli_w.dumps(values))
    facts, others = read_sidecar(folder)
    assert facts.voxel_um == pytest.approx(voxel)
    assert facts.rate_hz == rate
    assert others == {"variable": "IQ"}
    resolved = resolve_facts(facts, flat=False)
    assert resolved.missing == ()
    assert resolved.wavelength_um == pytest.approx(speed / frequency * 1e6)


def test_merging_replaces_a_quantity_under_its_other_name() -> None:
    waves = Facts(voxel_wavelengths=(1, 1, 1), frequency_hz=15e6, wavelength_um=90)
    merged = merge_facts(waves, Facts(voxel_um=(5, 5, 5)))
    assert (merged.voxel_um, merged.voxel_wavelengths) == ((5, 5, 5), None)
    assert merged.wavelength_um == 90
    assert merge_facts(waves, Facts(sound_speed_m_s=1500)).wavelength_um is None
    both = merge_facts(waves, Facts(sound_speed_m_s=1500, wavelength_um=80))
    assert both.wavelength_um == 80
    assert any("differs" in note for note in resolve_facts(both, flat=False).notes)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("UF.FrameRateUF", 1000.0, "rate_hz", 1000),
        ("info.frameRate", [[500]], "rate_hz", 500),
        ("Param.fps", 30, "rate_hz", 30),
        ("UF.TwFreq", 15.0, "frequency_hz", 15e6),
        ("f0", 15e6, "frequency_hz", 15e6),
        ("c", 1540.0, "sound_speed_m_s", 1540),
        ("c0", 1.54, "sound_speed_m_s", 1540),
        ("c", 3.0e8, "sound_speed_m_s", None),
        ("lambda", 1.0e-4, "wavelength_um", 100),
        ("lambda", 0.1, "wavelength_um", 100),
        ("wavelength_um", 100.0, "wavelength_um", 100),
        ("voxel_mm", [0.1, 0.2, 0.3], "voxel_um", (100, 200, 300)),
        ("fps", "thirty", "rate_hz", None),
        ("PRF", 5000.0, "rate_hz", None),
        ("dx", 0.1, "voxel_um", None),
        ("x_m", "left to right", "voxel_um", None),
        ("rate_hz", [[1, 2], [3]], "rate_hz", None),
    ],
)
def test_names_of_quantities(name: str, value: object, field: str, expected: object) -> None:
    facts, notes = facts_from_names({name: value})
    found = getattr(facts, field)
    assert found == (expected if expected is None else pytest.approx(expected))
    assert bool(notes) == (expected is not None and field != "voxel_um")


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 50))
def test_axis_spacing_of_even_vectors_only(first: float, step: float, n: int) -> None:
    axis = first + step * np.arange(n)
    found = axis_spacing(axis)
    assert found == pytest.approx((step, first), rel=1e-6, abs=1e-9)
    if n > 2:
        axis[-1] += step / 2
        assert axis_spacing(axis) is None
    assert axis_spacing(axis[::-1]) is None


def test_coordinates_of_other_lengths_are_ignored() -> None:
    elements = {"x_mm": np.arange(32) * 0.3, "z_mm": np.arange(64) * 0.1}
    facts, _ = facts_from_names(elements, (200, 64, 100))
    assert facts.voxel_um == (pytest.approx(100), None, None)


def test_the_files_in_a_zarr_folder_are_one_store(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    store.mkdir()
    (store / "zarr.json").write_text("{}")
    assert find_files(store) == [store]
    with pytest.raises(InputError, match=r"a.zarr"):
        open_acquisition(store, GIVEN)
