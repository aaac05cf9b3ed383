"""Beamformed data in USTB's ultrasound file format (``.uff``, an HDF5 file).

USTB (Rodriguez-Molares et al., IEEE IUS 2017, doi:10.1109/ULTSYM.2017.8092389) stores
``uff.beamformed_data`` as [pixel, channel, wave, frame] with a scan that gives the
position of each pixel in metres. The pixels must form a regular Cartesian grid here; a
sector scan has to be converted first. MATLAB writes the axes in reverse order, so the pixel
axis is identified by its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.named import axis_spacing, facts_from_names, plain, plain_values
from napari_ulm3d.io.facts.resolve import Facts
from napari_ulm3d.io.formats.hdf5.array import list_datasets, small_values
from napari_ulm3d.io.formats.hdf5.safety import dataset_within, elsewhere, within
from napari_ulm3d.io.stored.axes import Layout
from napari_ulm3d.io.stored.choosing import choose_variable
from napari_ulm3d.io.stored.content import (
    Content,
    FileArray,
    Reader,
    Variable,
    frame_chunks,
    stretch,
)
from napari_ulm3d.io.stored.limits import check_claim, stored_bytes
from napari_ulm3d.io.stored.pairs import as_numbers, number_type

if TYPE_CHECKING:
    import h5py

__all__ = ["READER", "UffArray"]

#: MATLAB's attributes of each object, and the playback rate of a video to be saved.
_NOT_FACTS = (".class", ".name", ".array", ".size", ".complex", ".imaginary", "frame_rate")


@dataclass(frozen=True)
class UffArray(FileArray):
    """Beamformed pixels as (t, then the grid's axes, slowest first); implements `StoredArray`.

    `datasets` contains one path, or those of the real and the imaginary part; `pixels_first`
    distinguishes [pixel, ..., frame] from the reverse order.
    """

    datasets: tuple[str, ...]
    pixels_first: bool

    @property
    def name(self) -> str:
        return f"{self.path} ({self.datasets[0].rpartition('/data')[0]})"

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        import h5py

        n_frames, *grid = self.shape
        if axis != 0:
            # The given axes differ from those of the scan: select from the whole array.
            whole = np.empty(self.shape, out.dtype)
            self.read_into(whole, 0, 0, n_frames)
            out[...] = whole[stretch(len(self.shape), axis, start, stop)]
            return
        with h5py.File(self.path, "r") as file:
            for number, name in enumerate(self.datasets):
                part = out if len(self.datasets) == 1 else (out.real, out.imag)[number]
                data = dataset_within(file, name)
                for a, b in frame_chunks(start, stop, prod(grid) * data.dtype.itemsize):
                    # Channel and wave have one element, so only pixel and frame remain.
                    if data.ndim == 1 or n_frames == 1:
                        values = data[()].reshape(1, -1)
                    elif self.pixels_first:
                        values = data[..., a:b].reshape(-1, b - a).T
                    else:
                        values = data[a:b].reshape(b - a, -1)
                    part[a - start : b - start] = as_numbers(values).reshape(b - a, *grid)


def _beamformed(file: h5py.File) -> dict[str, tuple[str, ...]]:
    """Groups of class uff.beamformed_data, and the datasets with their pixels."""
    import h5py

    found: dict[str, tuple[str, ...]] = {}

    def visit(name: str, item: object) -> None:
        kind = plain(item.attrs.get("class", ""))  # type: ignore[attr-defined]
        if kind != "uff.beamformed_data" or not isinstance(item, h5py.Group):
            return
        data, halves = within(item, "data"), (within(item, "data/real"), within(item, "data/imag"))
        if isinstance(data, h5py.Dataset):
            found[name] = (f"{name}/data",)
        elif all(isinstance(half, h5py.Dataset) for half in halves):
            found[name] = (f"{name}/data/real", f"{name}/data/imag")

    file.visititems(visit)
    return found


def _sniff(path: Path, head: bytes) -> bool:
    if b"\x89HDF" not in head:
        return False
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return bool(_beamformed(file))
    except (OSError, RuntimeError, LookupError, ValueError, TypeError):
        return False  # damaged: the general HDF5 reader reports it


def _list(path: Path) -> tuple[Variable, ...]:
    import h5py

    with h5py.File(path, "r") as file:
        return tuple(list_datasets(file))


def _open(path: Path, variable: str | None) -> Content:
    import h5py

    with h5py.File(path, "r") as file:
        groups = _beamformed(file)
        as_listed = [
            Variable(name, dataset_within(file, parts[0]).shape, np.dtype(np.complex64))
            for name, parts in groups.items()
        ]
        if variable is None and len(as_listed) == 1:
            name, why = as_listed[0].name, "the only beamformed data"
        elif variable is None:
            raise InputError(
                path,
                f"contains several beamformed data sets: {', '.join(groups)}",
                "Name one with --variable.",
            )
        else:
            name, why = choose_variable(path, as_listed, variable)[0].name, "named in the settings"
        letters, grid, facts = _grid(path, file, name)
        array = _array(path, file, name, groups[name], grid)
        values = {
            key: value
            for key, value in small_values(file).items()
            if not key.lower().endswith(_NOT_FACTS)
        }
        named, notes = facts_from_names(values)
        listed = tuple(list_datasets(file))
    facts = Facts(
        voxel_um=facts.voxel_um,
        origin_um=facts.origin_um,
        frequency_hz=named.frequency_hz,
        sound_speed_m_s=named.sound_speed_m_s,
    )
    notes = [note for note in notes if "frame rate" not in note and "spacing" not in note]
    notes.append(
        "The grid is that of the scan; UFF does not store the frame rate of the acquisition."
    )
    return Content(
        arrays=(array,),
        variable=name,
        why=why,
        layout=Layout(f"t{letters}"),
        facts=facts,
        variables=listed,
        notes=tuple(notes),
        metadata=plain_values(values),
    )


def _array(
    path: Path, file: h5py.File, name: str, datasets: tuple[str, ...], grid: tuple[int, ...]
) -> UffArray:
    data = dataset_within(file, datasets[0])
    n_pixels = prod(grid)
    pixels_first = data.shape[0] == n_pixels
    rest = data.shape[1:] if pixels_first else data.shape[:-1]
    if not pixels_first and data.shape[-1] != n_pixels:
        raise InputError(
            path,
            f"{name} has the shape {data.shape}, but its scan has {n_pixels} pixels",
            "Write it again with USTB.",
        )
    if sum(n > 1 for n in rest) > 1 or (rest and prod(rest) != max(rest[0], rest[-1])):
        raise InputError(
            path,
            f"{name} has several channels or waves per frame, {data.shape}",
            "Compound them in USTB first.",
        )
    dtype = np.dtype(np.complex64) if len(datasets) == 2 else number_type(data.dtype)
    return UffArray(str(path), (prod(rest), *grid), dtype, datasets, pixels_first)


def _grid(path: Path, file: h5py.File, name: str) -> tuple[str, tuple[int, ...], Facts]:
    """Letters and lengths of the grid's axes, slowest first, with spacing and origin."""
    import h5py

    scan = {
        key: vector
        for key in ("x", "y", "z", "x_axis", "z_axis")
        if isinstance(vector := within(file, f"{name}/scan/{key}"), h5py.Dataset)
        and not elsewhere(vector)
    }
    for key, vector in scan.items():
        check_claim(path, f"scan/{key}", vector.shape, vector.dtype, stored_bytes(path))
    keys = set(scan)
    if not ({"x_axis", "z_axis"} <= keys or {"x", "z"} <= keys):
        raise InputError(
            path,
            f"{name} has no scan in x and z",
            "Convert it to a linear scan in USTB first.",
        )
    if {"x_axis", "z_axis"} <= keys:
        # USTB's linear scan: meshgrid(x, z), flattened column by column, so z varies fastest.
        axes = {key: np.asarray(scan[f"{key}_axis"]).reshape(-1) for key in "xz"}
    else:
        axes = _cartesian(
            path,
            {key: np.asarray(scan[key]).reshape(-1) for key in "xyz" if key in scan},
        )
    spacing: dict[str, float | None] = {}
    for letter, axis in axes.items():
        even = axis_spacing(axis) if axis.size > 1 else None
        if axis.size > 1 and even is None:
            raise InputError(
                path, f"{name} has unevenly spaced pixels along {letter}", "Resample them first."
            )
        spacing[letter] = None if even is None else round(even[0] * 1e6, 9)
    first = {letter: round(float(axis[0]) * 1e6, 9) for letter, axis in axes.items()}
    facts = Facts(
        voxel_um=(spacing.get("z"), spacing.get("y"), spacing.get("x")),
        origin_um=(first.get("z"), first.get("y"), first.get("x")),
    )
    return "".join(axes), tuple(axis.size for axis in axes.values()), facts


def _cartesian(path: Path, positions: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Axes of individually listed pixels, slowest first; refused if they do not form a grid."""
    # The run length of an axis is the number of pixels before its value first changes.
    runs = {
        letter: int(np.argmax(values != values[0])) or values.size
        for letter, values in positions.items()
    }
    order = sorted(positions, key=lambda letter: -runs[letter])
    axes: dict[str, NDArray[Any]] = {}
    for letter in order:
        values = positions[letter]
        sampled = values[:: runs[letter]]
        back = np.flatnonzero(sampled[1:] == sampled[0])
        axes[letter] = sampled[: back[0] + 1] if back.size else sampled
    mesh = np.meshgrid(*axes.values(), indexing="ij")
    for letter, coordinates in zip(axes, mesh, strict=True):
        flat = coordinates.reshape(-1)
        if flat.shape != positions[letter].shape or not np.allclose(
            flat, positions[letter], atol=1e-9
        ):
            raise InputError(
                path,
                "has pixels that do not form a regular grid in x, y and z",
                "Scan-convert it to a Cartesian grid first.",
            )
    return axes


READER = Reader("USTB UFF", (".uff",), _sniff, _open, _list, priority=20)
