"""Multi-frame ultrasound DICOM: frames decoded one by one, colour converted to luminance.

Spacing is read from the Sequence of Ultrasound Regions (physical delta, cm, of the tissue
region), the frame rate from Frame Time (DICOM PS3.3 C.8.5.5 and C.7.6.5).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.resolve import Facts
from napari_ulm3d.io.formats.dicom.codecs import refuse_undecodable
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
from napari_ulm3d.io.stored.limits import CappedFile
from napari_ulm3d.io.stored.scaled import ScaledArray

if TYPE_CHECKING:
    import pydicom

__all__ = ["READER", "DicomArray"]

#: Luminance of red, green, blue (ITU-R BT.601), as in DICOM's YBR_FULL.
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_CENTIMETRES, _TISSUE = 3, 1
_TRANSFER_SYNTAX = 0x00020010


class DicomArray(FileArray):
    """The frames (t, row, column) of a DICOM file; implements `StoredArray`."""

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        with needs("pydicom", "DICOM"):
            from pydicom.pixels import apply_color_lut, iter_pixels

        palette = None
        data = _header(Path(self.path))
        if data.get("PhotometricInterpretation") == "PALETTE COLOR":
            palette = data
        first, last = (start, stop) if axis == 0 else (0, self.shape[0])
        with CappedFile(self.path) as file:
            for number, pixels in enumerate(iter_pixels(file, indices=range(first, last))):
                values = pixels
                if palette is not None:
                    values = apply_color_lut(pixels, palette).astype(np.float32)
                    values *= 255 / _palette_white(palette)
                if values.ndim == 3:
                    values = values[..., :3].astype(np.float32) @ _LUMINANCE
                if axis in (0, None):
                    out[number] = values
                    continue
                out[number] = values[stretch(2, axis - 1, start, stop)]


def _palette_white(data: pydicom.Dataset) -> int:
    bits = int(data.RedPaletteColorLookupTableDescriptor[2])
    return 2**bits - 1


def _sniff(path: Path, head: bytes) -> bool:
    return head[128:132] == b"DICM"


def _variable(path: Path, data: pydicom.Dataset) -> Variable:
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
        return pydicom.dcmread(file, stop_before_pixels=True)


def _refuse_deflated(path: Path, file: CappedFile) -> None:
    """Refuse the syntax that pydicom inflates in one piece, to a size unknown beforehand."""
    from pydicom.filereader import data_element_generator, read_preamble
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    read_preamble(file, force=False)
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
    array: StoredArray = DicomArray(str(path), found.shape, found.dtype)
    white = 255.0 if colour else float(2 ** int(data.get("BitsStored", 8)) - 1)
    line = (0.0, 1.0) if colour else _grey_values(path, data, white, notes)
    if line != (0.0, 1.0):
        array = scaled = ScaledArray(array, line)
        white = max(scaled.value(0), scaled.value(white))
    return Content(
        arrays=(array,),
        variable=found.name,
        why="the only array",
        layout=Layout("tzx", "Rows were taken as z (depth) and columns as x."),
        facts=Facts(rate_hz=_rate(data, notes)),
        spacing_um=_spacing(data, notes),
        variables=(found,),
        notes=tuple(notes),
        metadata=metadata,
        place=_whole_number(data.get("InstanceNumber")),
        series=str(data.get("SeriesInstanceUID", "")),
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


def _spacing(data: pydicom.Dataset, notes: list[str]) -> tuple[float | None, ...] | None:
    """Spacing of (frames: None), rows and columns of the tissue region, micrometres."""
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
            return (None, z, x)
    if len(regions) > 1:
        notes.append("Its tissue regions have different spacings, so none was used.")
    spacing = data.get("PixelSpacing")
    if spacing is not None and not regions:
        return (None, float(spacing[0]) * 1e3, float(spacing[1]) * 1e3)
    return None


def _rate(data: pydicom.Dataset, notes: list[str]) -> float | None:
    if data.get("FrameTime"):
        notes.append("The frame rate is from Frame Time.")
        return 1e3 / float(data.FrameTime)
    # The first entry of the vector is the time before the first frame, 0.
    vector = np.asarray(data.get("FrameTimeVector") or (), float)[1:]
    if vector.size and vector.min() > 0:
        if np.ptp(vector) > 0.01 * vector.mean():
            notes.append("The frames are not evenly spaced in time; the mean rate was used.")
        return 1e3 / float(vector.mean())
    if data.get("CineRate"):
        notes.append("The frame rate is from Cine Rate.")
        return float(data.CineRate)
    return None


READER = Reader("DICOM", (".dcm", ".dicom"), _sniff, _open, _list)
