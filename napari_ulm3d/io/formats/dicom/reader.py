"""Multi-frame ultrasound DICOM: frames decoded one by one, colour converted to luminance.

Spacing is read from the Sequence of Ultrasound Regions (physical delta, cm, of the tissue
region), the frame rate from Frame Time (DICOM PS3.3 C.8.5.5 and C.7.6.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.resolve import Facts
from napari_ulm3d.io.formats.dicom.codecs import refuse_undecodable
from napari_ulm3d.io.formats.dicom.functional import pixel_spacing_mm, planes_of, rate_of
from napari_ulm3d.io.stored.axes import Layout
from napari_ulm3d.io.stored.content import (
    Content,
    FileArray,
    Reader,
    StoredArray,
    Variable,
    needs,
    only_array,
    stretch,
)
from napari_ulm3d.io.stored.limits import CappedFile, refuse_cut_short
from napari_ulm3d.io.stored.scaled import ScaledArray
from napari_ulm3d.io.stored.slices import Slices

if TYPE_CHECKING:
    import pydicom

__all__ = ["READER", "DicomArray"]

#: Luminance of red, green, blue (ITU-R BT.601), as in DICOM's YBR_FULL.
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_CENTIMETRES, _TISSUE = 3, 1
_TRANSFER_SYNTAX = 0x00020010


@dataclass(frozen=True)
class DicomArray(FileArray):
    """The frames (t, row, column) of a DICOM file; implements `StoredArray`.

    `planes` has the stored frame of each (volume, plane); the shape is then (t, plane, row, column).
    """

    planes: tuple[tuple[int, ...], ...] = ()

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        with needs("pydicom", "DICOM"):
            from pydicom.pixels import apply_color_lut, iter_pixels

        palette = None
        data = _header(Path(self.path))
        if data.get("PhotometricInterpretation") == "PALETTE COLOR":
            palette = data
        outer = len(self.shape) - 2
        index = np.array(self.planes) if self.planes else np.arange(self.shape[0])
        if axis is not None and axis < outer:
            index = index[stretch(outer, axis, start, stop)]
        inner = axis - outer if axis is not None and axis >= outer else None
        wanted = [int(k) for k in index.reshape(-1)]
        with CappedFile(self.path) as file:
            source: Any = file if _is_part_10(file) else _whole(file)
            pixels_of = iter_pixels(source, indices=wanted)
            for place, pixels in zip(np.ndindex(index.shape), pixels_of, strict=True):
                values = pixels
                if palette is not None:
                    values = apply_color_lut(pixels, palette).astype(np.float32)
                    values *= 255 / _palette_white(palette)
                if values.ndim == 3:
                    values = values[..., :3].astype(np.float32) @ _LUMINANCE
                out[place] = values[stretch(2, inner, start, stop)]


def _palette_white(data: pydicom.Dataset) -> int:
    bits = int(data.RedPaletteColorLookupTableDescriptor[2])
    return 2**bits - 1


def _sniff(path: Path, head: bytes) -> bool:
    if head[128:132] == b"DICM":
        return True
    # Old scanners write the data set alone: its first group is 0002 or 0008, little endian.
    if len(head) < 132 or head[:2] not in (b"\x02\0", b"\x08\0") or head[3] != 0:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    length = int.from_bytes(head[4:8], "little")
    return explicit or (
        length % 2 == 0 and 0 < length <= 256 and b"\x08\0" in head[8 : 16 + length]
    )


def _is_part_10(file: CappedFile) -> bool:
    """Whether a file has the preamble and meta information of DICOM PS3.10."""
    file.seek(128)
    found = file.read(4) == b"DICM"
    file.seek(0)
    return found


def _whole(file: CappedFile) -> pydicom.Dataset:
    """A data set without the meta information that names its transfer syntax."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    data = pydicom.dcmread(file, force=True)
    if not data.file_meta.get("TransferSyntaxUID"):
        implicit, _ = data.original_encoding
        data.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    return data


def _variable(path: Path, data: pydicom.Dataset) -> Variable:
    if "DirectoryRecordSequence" in data:
        raise InputError(
            path,
            "is a DICOMDIR, the index of other DICOM files",
            "Name those files, or the folder that contains them.",
        )
    if "Rows" not in data or "Columns" not in data:
        raise InputError(
            path, "is a DICOM file without an image", "Export the cine loop from the scanner."
        )
    shape = (int(data.get("NumberOfFrames") or 1), int(data.Rows), int(data.Columns))
    grey = int(data.get("SamplesPerPixel", 1)) == 1 and not str(
        data.get("PhotometricInterpretation", "")
    ).startswith("PALETTE")
    if not grey:
        return Variable("PixelData", shape, np.dtype(np.float32))
    signed = "i" if data.get("PixelRepresentation", 0) else "u"
    return Variable("PixelData", shape, np.dtype(f"{signed}{int(data.BitsAllocated) // 8}"))


def _header(path: Path) -> pydicom.Dataset:
    with needs("pydicom", "DICOM"):
        import pydicom
    with CappedFile(path) as file:
        _refuse_deflated(path, file)
        file.seek(0)
        return pydicom.dcmread(file, stop_before_pixels=True, force=True)


def _refuse_deflated(path: Path, file: CappedFile) -> None:
    """Refuse the syntax that pydicom inflates in one piece, to a size unknown beforehand."""
    from pydicom.filereader import data_element_generator, read_preamble
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    read_preamble(file, force=True)
    of_the_file = data_element_generator(
        file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2
    )
    for element in of_the_file:
        if element.tag == _TRANSFER_SYNTAX and isinstance(element.value, bytes):
            syntax = element.value.decode("latin-1").strip("\0 ")
            if syntax == DeflatedExplicitVRLittleEndian:
                raise InputError(
                    path,
                    "is deflated as a whole",
                    "Save it with another transfer syntax (dcmconv +te).",
                )


def _list(path: Path) -> tuple[Variable, ...]:
    return (_variable(path, _header(path)),)


def _open(path: Path, variable: str | None) -> Content:
    data = _header(path)
    found = _variable(path, data)
    only_array(path, found, variable)
    refuse_undecodable(path, data)
    notes: list[str] = []
    colour = found.dtype.kind == "f"
    if colour:
        notes.append("Colour was converted to luminance (0.299 R + 0.587 G + 0.114 B).")
    keep = ("Modality", "Manufacturer", "ManufacturerModelName", "ContentDate", "HeartRate")
    metadata = {key: str(data.get(key)) for key in keep if data.get(key) not in (None, "")}
    _refuse_cut_short(path, data, found)
    planes = planes_of(path, data)
    shape, letters, said = found.shape, "tzx", "Rows were taken as z (depth) and columns as x."
    if planes is not None and len(planes.order) * len(planes.order[0]) == shape[0]:
        shape, letters = (len(planes.order), len(planes.order[0]), *shape[1:]), "tyzx"
        said += " The file positions its planes, which were taken as y."
    else:
        planes = None
    array: StoredArray = DicomArray(str(path), shape, found.dtype, planes.order if planes else ())
    white = 255.0 if colour else float(2 ** int(data.get("BitsStored", 8)) - 1)
    line = (0.0, 1.0) if colour else _grey_values(path, data, white, notes)
    if line != (0.0, 1.0):
        array = scaled = ScaledArray(array, line)
        white = max(scaled.value(0), scaled.value(white))
    return Content(
        arrays=(array,),
        variable=found.name,
        why="the only array",
        layout=Layout(letters, said),
        facts=Facts(rate_hz=rate_of(data, planes, notes) or _rate(data, planes, notes)),
        spacing_um=_spacing(data, planes, notes),
        variables=(found,),
        notes=tuple(notes),
        metadata=metadata,
        place=_whole_number(data.get("InstanceNumber")),
        series=str(data.get("SeriesInstanceUID", "")),
        position_mm=_position(data),
        full_scale=white,
    )


def _grey_values(
    path: Path, data: pydicom.Dataset, white: float, notes: list[str]
) -> tuple[float, float]:
    """Intercept and slope from stored to intended values (C.7.6.3.1.2, C.11.1)."""
    if data.get("ModalityLUTSequence"):
        raise InputError(
            path, "has a table of grey values (Modality LUT)", "Export it with the table applied."
        )
    intercept = float(data.get("RescaleIntercept") or 0)
    slope = float(data.get("RescaleSlope") or 1)
    if (intercept, slope) != (0.0, 1.0):
        notes.append(f"The rescaling was applied: {slope:g} * value + {intercept:g}.")
    if data.get("PhotometricInterpretation") == "MONOCHROME1":
        notes.append("Its smallest value is white (MONOCHROME1), so the values were inverted.")
        least = -(white + 1) / 2 if data.get("PixelRepresentation", 0) else 0.0
        return intercept + slope * (2 * least + white), -slope
    return intercept, slope


def _whole_number(value: Any) -> int | None:
    return None if value in (None, "") else int(value)


def _refuse_cut_short(path: Path, data: pydicom.Dataset, found: Variable) -> None:
    """Refuse uncompressed frames that the file is too short to contain."""
    meta = getattr(data, "file_meta", {})
    syntax = meta.get("TransferSyntaxUID")
    if syntax and syntax.is_compressed:
        return
    bits = int(data.get("BitsAllocated", 8)) * int(data.get("SamplesPerPixel", 1))
    if str(data.get("PhotometricInterpretation", "")).startswith("YBR_FULL_422"):
        bits = bits * 2 // 3
    refuse_cut_short(path, found.size * bits // 8, path.stat().st_size)


def _position(data: pydicom.Dataset) -> tuple[float, float, float] | None:
    """Position of a single image in mm."""
    place = data.get("ImagePositionPatient")
    if place is None or len(place) != 3 or int(data.get("NumberOfFrames") or 1) != 1:
        return None
    x, y, z = (float(value) for value in place)
    return (x, y, z)


def _spacing(
    data: pydicom.Dataset, planes: Slices | None, notes: list[str]
) -> tuple[float | None, ...] | None:
    """Spacing along the stored axes, micrometres; None for frames."""
    found = _of_pixels(data, notes)
    if planes is None:
        return None if found is None else (None, *found)
    rows, columns = found or (None, None)
    return (None, planes.spacing_um, rows, columns)


def _of_pixels(data: pydicom.Dataset, notes: list[str]) -> tuple[float, float] | None:
    """Spacing of rows and columns of the tissue region, micrometres."""
    regions = {
        (abs(float(r.PhysicalDeltaY)) * 1e4, abs(float(r.PhysicalDeltaX)) * 1e4)
        for r in data.get("SequenceOfUltrasoundRegions") or ()
        if r.get("RegionDataType") == _TISSUE
        and r.get("PhysicalUnitsXDirection") == _CENTIMETRES
        and r.get("PhysicalUnitsYDirection") == _CENTIMETRES
    }
    if len(regions) == 1:
        z, x = regions.pop()
        if z > 0 and x > 0:
            notes.append("The spacing is that of the ultrasound region with tissue.")
            return (z, x)
    if len(regions) > 1:
        notes.append("Its tissue regions have different spacings, so none was used.")
    spacing = pixel_spacing_mm(data)
    if spacing is not None and not regions:
        return (float(spacing[0]) * 1e3, float(spacing[1]) * 1e3)
    return None


def _rate(data: pydicom.Dataset, planes: Slices | None, notes: list[str]) -> float | None:
    if planes is not None:
        return None  # the times below are those of the planes, not of the volumes
    if data.get("FrameTime"):
        notes.append("The frame rate is from Frame Time.")
        return 1e3 / float(data.FrameTime)
    # The first entry of the vector is the time before the first frame, 0.
    vector = np.asarray(data.get("FrameTimeVector") or (), float)[1:]
    if vector.size and vector.min() > 0:
        if np.ptp(vector) > 0.01 * vector.mean():
            notes.append("The frames are not evenly spaced in time; the mean rate was used.")
        return 1e3 / float(vector.mean())
    if data.get("ActualFrameDuration"):
        notes.append("The frame rate is from Actual Frame Duration.")
        return 1e3 / float(data.ActualFrameDuration)
    if data.get("CineRate"):
        notes.append("The frame rate is from Cine Rate.")
        return float(data.CineRate)
    return None


READER = Reader("DICOM", (".dcm", ".dicom", ".ima"), _sniff, _open, _list)
