"""Misnamed files are identified by their content, and none is called damaged."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.formats.registry import reader_for

GREY = np.random.default_rng(0).integers(0, 255, (12, 10), np.uint8)


def _tar(path: Path) -> None:
    inside = path.with_name("inside.txt")
    inside.write_text("volumes")
    with tarfile.open(path, "w") as archive:
        archive.add(inside, "inside.txt")


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.tif", b"II*\0")


WRITERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "v4.mat": (lambda p: savemat(p, {"IQ": GREY.astype(float)}, format="4"), "version 4"),
    "complex.mat": (lambda p: savemat(p, {"IQ": GREY * 1j}, format="4"), "version 4"),
    "octave.mat": (lambda p: p.write_text("# Created by Octave 9.2\n# name: a\n"), "Octave text"),
    "page.tif": (lambda p: p.write_text("\n<!DOCTYPE html><html><body>Log in"), "web page"),
    "lfs.mat": (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\n"), "lfs pull"),
    "a.nrrd": (lambda p: p.write_bytes(b"NRRD0004\ntype: float\n\n"), "SimpleITK.WriteImage"),
    "a.vtk": (lambda p: p.write_bytes(b"# vtk DataFile Version 3.0\n"), "SimpleITK.WriteImage"),
    "a.raw": (lambda p: p.write_bytes(GREY.tobytes()), "numpy.fromfile"),
    "a.tif": (_zip, "ZIP archive"),
    "b.tif": (_tar, "tar archive"),
    "c.h5": (lambda p: p.write_bytes(gzip.compress(b"volumes")), "gzip"),
    "d.h5": (lambda p: p.write_bytes(bz2.compress(b"volumes")), "bzip2"),
    "e.h5": (lambda p: p.write_bytes(lzma.compress(b"volumes")), "xz"),
    "f.npy": (lambda p: p.write_bytes(pickle.dumps(GREY)), "pickle"),
    "g.tif": (lambda p: Image.fromarray(GREY).save(p, "PNG"), "PNG picture"),
    "h.tif": (lambda p: Image.fromarray(GREY).save(p, "JPEG"), "JPEG picture"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_misnamed_file_is_identified(tmp_path: Path, name: str) -> None:
    write, said = WRITERS[name]
    write(tmp_path / name)
    with pytest.raises(InputError) as caught:
        reader_for(tmp_path / name)
    assert said in str(caught.value)
    assert "damaged" not in str(caught.value)
