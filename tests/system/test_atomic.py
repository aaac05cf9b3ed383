"""Files appear complete or not at all."""

from __future__ import annotations

import os

import numpy as np
import pytest

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.system.atomic import atomic_path


def test_a_file_appears_only_at_the_end(tmp_path):
    target = tmp_path / "a.txt"
    with atomic_path(target) as path:
        path.write_text("new")
        assert not target.exists()
        assert path.suffix == ".txt"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("old", [None, "file", "folder"])
def test_an_error_leaves_everything_as_it_was(tmp_path, old):
    target = tmp_path / "a.zarr"
    if old == "file":
        target.write_text("old")
    elif old == "folder":
        target.mkdir()
        (target / "x").write_text("old")
    with pytest.raises(RuntimeError, match="halfway"), atomic_path(target) as path:  # noqa: PT012
        path.mkdir()
        (path / "x").write_text("new")
        raise RuntimeError("halfway")
    assert os.listdir(tmp_path) == ([] if old is None else ["a.zarr"])
    if old:
        assert (target if old == "file" else target / "x").read_text() == "old"


@pytest.mark.parametrize("old", ["file", "folder"])
@pytest.mark.parametrize("new", ["file", "folder"])
def test_whatever_stood_there_is_replaced(tmp_path, old, new):
    target = tmp_path / "a"
    if old == "file":
        target.write_text("old")
    else:
        target.mkdir()
        (target / "left over").write_text("old")
    with atomic_path(target) as path:
        if new == "file":
            path.write_text("new")
        else:
            path.mkdir()
            (path / "x").write_text("new")
    assert os.listdir(tmp_path) == ["a"]
    if new == "file":
        assert target.read_text() == "new"
    else:
        assert os.listdir(target) == ["x"]


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(ResultsError, match="does not exist"),
        atomic_path(tmp_path / "no" / "a.txt"),
    ):
        pass


def test_an_error_of_the_system_says_what_to_do(tmp_path):
    def full(path):
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(ResultsError, match=r"a\.txt: cannot be written \(No space left"),
        atomic_path(tmp_path / "a.txt") as path,
    ):
        full(path)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(
    os.name != "posix" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="the superuser may write anywhere",
)
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with (
            pytest.raises(ResultsError, match="cannot be written"),
            atomic_path(tmp_path / "a.npy") as path,
        ):
            np.save(path, np.zeros(3))
    finally:
        tmp_path.chmod(0o700)
