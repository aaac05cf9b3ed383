"""Complex data in two halves: arrays, fields and files named real and imag, I and Q, ..."""

from __future__ import annotations

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import zarr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from napari_ulm3d import open_acquisition
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.io.stored.pairs import half_of, name_pairs

RNG = np.random.default_rng(5)
IQ = (RNG.normal(size=(6, 5, 4, 7)) + 1j * RNG.normal(size=(6, 5, 4, 7))).astype(np.complex64)
SAID = LoadConfig(voxel_um=(50, 60, 70), rate_hz=100)

FAMILIES = [("real", "imag"), ("Real", "Imag"), ("RE", "IM"), ("re", "im"), ("I", "Q"), ("i", "q")]
stems = st.sampled_from(["", "mouse", "IQ", "block12", "iq_data", "rat 3", "2024-05-01"])
tails = st.sampled_from(["", "_1", "-002", " run", "_SVD"])
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
unique = itertools.count()


def read(paths: Path | list[Path], config: LoadConfig = SAID) -> np.ndarray:
    acquisition = open_acquisition(paths, config)
    return acquisition.read(0, acquisition.n_frames)


@quick
@given(stem=stems, tail=tails, words=st.sampled_from(FAMILIES), blocks=st.integers(1, 3))
def test_two_half_files_are_one_acquisition(
    tmp_path: Path, stem: str, tail: str, words: tuple[str, str], blocks: int
) -> None:
    folder = tmp_path / str(next(unique))
    folder.mkdir()
    want = np.concatenate([IQ * (b + 1) for b in range(blocks)])
    for b in range(blocks):
        for word, part in zip(words, (IQ.real, IQ.imag), strict=True):
            name = "_".join(filter(None, (stem, word))) + f"{tail}_{b}.npy"
            np.save(folder / name, part * (b + 1))
    np.testing.assert_array_equal(read(folder), want)
    files = sorted(folder.iterdir())
    np.testing.assert_array_equal(read(files), want)
    if blocks == 1:
        for path in files:
            with pytest.raises(InputError, match="part of complex IQ") as error:
                open_acquisition(path, SAID)
            other = next(f for f in files if f != path)
            assert f"Name {other.name} as well" in error.value.remedy
            whole = SAID.replace(variable=path.stem)
            assert open_acquisition(path, whole).kind == "envelope"


def test_folders_with_halves_are_paired_file_by_file(tmp_path: Path) -> None:
    for word, part in (("real", IQ.real), ("imag", IQ.imag)):
        (tmp_path / word).mkdir()
        for b in range(2):
            np.save(tmp_path / word / f"IQ_{word}_{b}.npy", part + b)
    got = read([tmp_path / "real", tmp_path / "imag"])
    np.testing.assert_array_equal(got, np.concatenate([IQ, IQ + (1 + 1j)]))


def test_halves_with_different_shapes_or_complex_values_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a_real.npy", IQ.real)
    np.save(tmp_path / "a_imag.npy", IQ.imag[:-1])
    with pytest.raises(InputError, match=r"a_real\.npy, the real part by its name"):
        open_acquisition(tmp_path, SAID)
    np.save(tmp_path / "a_imag.npy", IQ)
    with pytest.raises(InputError, match="complex"):
        open_acquisition(tmp_path, SAID)
    np.testing.assert_array_equal(read(tmp_path / "a_imag.npy"), IQ)


@given(st.lists(st.text("IQiqREreMal_019 ", max_size=8), unique=True, max_size=8))
def test_a_name_is_in_one_pair_at_most_and_pairs_are_mutual(names: list[str]) -> None:
    used = [name for pair in name_pairs(names) for name in pair]
    assert len(set(used)) == len(used)
    assert set(used) <= set(names)


@given(stems, tails)
def test_blocks_are_never_taken_as_halves(stem: str, tail: str) -> None:
    names = [f"{stem}_IQ{tail}_{i}.mat" for i in range(4)]
    assert name_pairs(names) == []
    assert half_of("IQ001") is half_of("iqdata") is half_of("realistic"[4:]) is None


PAIRS = [
    ("IData", "QData"), ("I", "Q"), ("IQ_real", "IQ_imag"), ("IQreal", "IQimag"), ("re", "im"),
    ("real", "imag"), ("mouse_I", "mouse_Q"), ("frameI", "frameQ"), ("bf_re", "bf_im"),
    ("InPhase", "Quadrature"), ("iq_r", "iq_i"), ("ReData", "ImData"),
]  # fmt: skip


@pytest.mark.parametrize(("real", "imag"), PAIRS)
def test_half_variables_become_complex_in_every_container(
    tmp_path: Path, real: str, imag: str
) -> None:
    np.savez(tmp_path / "a.npz", **{real: IQ.real, imag: IQ.imag})
    matlab = [part.transpose(1, 3, 2, 0) for part in (IQ.real, IQ.imag)]
    scipy.io.savemat(tmp_path / "a.mat", dict(zip((real, imag), matlab, strict=True)))
    nested = {"data": dict(zip((real, imag), matlab, strict=True))}
    scipy.io.savemat(tmp_path / "b.mat", nested)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[f"run/{real}"], file[f"run/{imag}"] = IQ.real, IQ.imag
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array(real, data=IQ.real.copy())
    group.create_array(imag, data=IQ.imag.copy())
    for name in ("a.npz", "a.mat", "b.mat", "a.h5", "a.zarr"):
        np.testing.assert_array_equal(read(tmp_path / name), IQ, name)


@pytest.mark.parametrize("fields", [("I", "Q"), ("re", "im"), ("r", "i"), ("Real", "Imag")])
@pytest.mark.parametrize("kind", ["<f4", "<i2", "<f8"])
def test_records_with_two_fields_are_complex(
    tmp_path: Path, fields: tuple[str, str], kind: str
) -> None:
    records = np.empty(IQ.shape, [(name, kind) for name in fields])
    records[fields[0]], records[fields[1]] = IQ.real * 100, IQ.imag * 100
    want = (records[fields[0]] + 1j * records[fields[1]].astype(float)).astype(np.complex64)
    np.save(tmp_path / "a.npy", records)
    np.savez_compressed(tmp_path / "a.npz", iq=records)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["iq"] = records
    for name in ("a.npy", "a.npz", "a.h5"):
        np.testing.assert_array_equal(read(tmp_path / name), want, name)


def test_a_single_half_variable_is_a_question(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", IData=IQ.real)
    with pytest.raises(InputError, match="only the real part") as error:
        open_acquisition(tmp_path / "a.npz", SAID)
    assert "--variable 'IData'" in error.value.remedy
    assert open_acquisition(tmp_path / "a.npz", SAID.replace(variable="IData")).n_frames == 6
    # An envelope has no negative values, so the name alone is no reason to ask.
    np.savez(tmp_path / "b.npz", IData=abs(IQ))
    assert open_acquisition(tmp_path / "b.npz", SAID).kind == "envelope"


@given(st.sampled_from(PAIRS))
def test_half_of_returns_the_other_name(pair: tuple[str, str]) -> None:
    assume(pair != ("iq_r", "iq_i"))
    which, other = half_of(pair[0]) or ("", "")
    assert which == "real"
    assert other.lower() == pair[1].lower()


def test_a_change_of_case_begins_a_word(tmp_path: Path) -> None:
    scipy.io.savemat(
        tmp_path / "a.mat",
        {"Ire": IQ.real.transpose(1, 3, 2, 0), "Iim": IQ.imag.transpose(1, 3, 2, 0)},
    )
    np.testing.assert_array_equal(read(tmp_path / "a.mat"), IQ)
    assert name_pairs(["core", "coim", "Are", "Bim"]) == []
