"""NIfTI images (``.nii``, ``.nii.gz``), axes x, y, z, t, read with nibabel."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.resolve import Facts
from napari_ulm3d.io.stored.content import (
    Content,
    FileArray,
    Reader,
    Variable,
    needs,
    only_array,
    stretch,
)
from napari_ulm3d.io.stored.layout import read_layout
from napari_ulm3d.io.stored.links import beside

__all__ = ["READER", "NiftiArray"]

#: Codes of xyzt_units (nifti1.h): the lowest three bits are for space, the next three for time.
_LENGTHS_UM = {1: 1e6, 2: 1e3, 3: 1.0}
_TIMES_S = {8: 1.0, 16: 1e-3, 24: 1e-6}
_NOT_TIMES = {32: "Hz", 40: "ppm", 48: "rad/s"}


class NiftiArray(FileArray):
    """An image with its intensity scaling applied; implements `StoredArray`."""

    @property
    def holder(self) -> Path:
        return _values_of(Path(self.path))

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        with needs("nibabel", "NIfTI"):
            import nibabel

        proxy = nibabel.load(self.path).dataobj  # type: ignore[attr-defined]
        out[...] = proxy[stretch(len(self.shape), axis, start, stop)]


def _sniff(path: Path, head: bytes) -> bool:
    if head[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path, "rb") as file:
                head = file.read(352)
        except (OSError, EOFError, zlib.error):
            return False
    if path.suffix.lower() == ".img" and head[344:348] != b"n+1\0":
        header = path.with_suffix(".hdr")
        if not header.is_file():
            return False
        with header.open("rb") as pair:
            head = pair.read(352)
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _values_of(path: Path) -> Path:
    """The file that contains the values: the .img of a pair, or the file itself."""
    if path.suffix.lower() != ".hdr":
        return path
    return beside(path, path.with_suffix(".img").name)


def _load(path: Path) -> tuple[Any, Variable]:
    with needs("nibabel", "NIfTI"):
        import nibabel

    _values_of(path)
    image: Any = nibabel.load(path)
    name = path.name.partition(".")[0]
    dtype = np.dtype(image.dataobj.dtype)
    if dtype.kind in "iuf" and _scaling(image) != (0.0, 1.0):
        dtype = np.dtype(np.float32)
    return image, Variable(name, tuple(image.shape), dtype)


def _scaling(image: Any) -> tuple[float, float]:
    """Intercept and slope; nibabel clears them in the header of a loaded image."""
    return float(image.dataobj.inter), float(image.dataobj.slope)


def _list(path: Path) -> tuple[Variable, ...]:
    return (_load(path)[1],)


def _open(path: Path, variable: str | None) -> Content:
    image, found = _load(path)
    only_array(path, found, variable)
    if found.dtype.kind not in "iufc":
        raise InputError(path, f"contains {found.dtype}", "Save one number per voxel.")
    header = image.header
    stored = np.dtype(image.dataobj.dtype)
    inter, slope = _scaling(image)
    code = int(header["xyzt_units"])
    zooms = [float(z) for z in header.get_zooms()]
    # The sform, if present, may give another spacing than pixdim; the standard prefers it.
    steps = np.linalg.norm(image.affine[:3, :3], axis=0)
    prefers = int(header["sform_code"]) > 0 and np.isfinite(steps).all() and steps.min() > 0
    differs = prefers and not np.allclose(steps[: len(zooms)], zooms[:3], rtol=1e-3)
    if differs:
        zooms[:3] = steps[: len(zooms)].tolist()
    n = len(found.shape)
    array = NiftiArray(str(path), found.shape, found.dtype)
    # Meaning of the dimensions in the format; the fifth holds the components of a vector.
    names: list[str | None] = [*"xyzt", "channel", *["" for _ in range(n)]][:n]
    notes = []
    if (inter, slope) != (0.0, 1.0):
        notes.append(f"The file's scaling was applied: {slope:g} * value + {inter:g}.")
    um = _LENGTHS_UM.get(code & 0x07)
    spacing_um = first_um = None
    if um and min(zooms[:3], default=0) > 0:
        spacing_um = (*(value * um for value in zooms[:3]), *[None] * n)[:n]
        first_um = _first(image.affine, um, n)
        if differs:
            notes.append("The spacing is from the sform, which differs from pixdim.")
    else:
        given = " ".join(f"{value:g}" for value in zooms[:3])
        notes.append(
            f"The file does not state the unit of its spacing ({given} along x, y, z), so it was "
            "not used."
        )
    rate = None
    if n >= 4 and found.shape[3] > 1 and zooms[3] > 0:
        rate = _rate(zooms[3], code & 0x38, notes)
    if int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0:
        notes += _turned(image.affine)
    text = bytes(header["descrip"].item()).decode("latin-1").strip("\0 ")
    return Content(
        arrays=(array,),
        variable=found.name,
        why="the only array",
        layout=read_layout(
            array,
            names,
            said=(
                "The axes were taken as x, y, z, t (the NIfTI order); give --axes if z is not "
                "depth."
            ),
        ),
        facts=Facts(rate_hz=rate),
        spacing_um=spacing_um,
        first_um=first_um,
        variables=(found,),
        notes=tuple(notes),
        metadata={"description": text} if text else {},
        data_files=() if array.holder == path else (array.holder,),
        full_scale=np.iinfo(stored).max * slope + inter if stored.kind in "iu" else None,
    )


def _rate(step: float, code: int, notes: list[str]) -> float | None:
    """Frame rate from the step along the fourth dimension and the code of its unit."""
    if code in _TIMES_S:
        return float(f"{1 / (step * _TIMES_S[code]):.9g}")
    said = f"has the unit {_NOT_TIMES[code]}" if code in _NOT_TIMES else "has no unit"
    notes.append(f"The step along the fourth dimension ({step:g}) {said} and was not used.")
    return None


def _turned(affine: NDArray[Any]) -> list[str]:
    """A note if the stored axes do not run along those of the scanner."""
    scale = affine[:3, :3]
    apart = np.abs(scale - np.diag(np.diag(scale))).max() > 1e-3 * np.abs(scale).max()
    if not apart and np.diag(scale).min() > 0:
        return []
    how = "rotated" if apart else "flipped"
    return [
        f"The orientation in the file ({how} axes) was not applied: the voxels keep their stored "
        "order, and positions count from the first voxel."
    ]


def _first(affine: NDArray[Any], um: float, n: int) -> tuple[float | None, ...] | None:
    """Position of the first voxel if the axes are neither rotated nor flipped."""
    scale = affine[:3, :3]
    if np.abs(scale - np.diag(np.diag(scale))).max() > 1e-6 * np.abs(scale).max():
        return None
    if np.diag(scale).min() <= 0:
        return None
    return (*(float(value) * um for value in affine[:3, 3]), *[None] * n)[:n]


READER = Reader("NIfTI", (".nii", ".nii.gz"), _sniff, _open, _list)
