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
from napari_ulm3d.io.facts.units import to_seconds, to_um
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

__all__ = ["READER", "NiftiArray"]

_UNITS = {"meter": "m", "mm": "mm", "micron": "um"}


class NiftiArray(FileArray):
    """An image with its intensity scaling applied; implements `StoredArray`."""

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
    return head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"


def _load(path: Path) -> tuple[Any, Variable]:
    with needs("nibabel", "NIfTI"):
        import nibabel

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
    space, time = header.get_xyzt_units()
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
    um = to_um(_UNITS.get(space, ""))
    spacing_um = first_um = None
    if um and min(zooms[:3], default=0) > 0:
        spacing_um = (*(value * um for value in zooms[:3]), *[None] * n)[:n]
        first_um = _first(image.affine, um, n)
        if differs:
            notes.append("The spacing is from the sform, which differs from pixdim.")
    else:
        notes.append("The file does not state the unit of its spacing, so it was not used.")
    rate = None
    if n >= 4 and (seconds := to_seconds(time)) and zooms[3] > 0:
        rate = 1 / (zooms[3] * seconds)
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
        full_scale=np.iinfo(stored).max * slope + inter if stored.kind in "iu" else None,
    )


def _first(affine: NDArray[Any], um: float, n: int) -> tuple[float | None, ...] | None:
    """Position of the first voxel if the axes are neither rotated nor flipped."""
    scale = affine[:3, :3]
    if np.abs(scale - np.diag(np.diag(scale))).max() > 1e-6 * np.abs(scale).max():
        return None
    if np.diag(scale).min() <= 0:
        return None
    return (*(float(value) * um for value in affine[:3, 3]), *[None] * n)[:n]


READER = Reader("NIfTI", (".nii", ".nii.gz"), _sniff, _open, _list)
