"""Settings for reading files."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationInfo, field_validator

from napari_ulm3d.config.base import PositiveTriple, StageConfig, setting
from napari_ulm3d.config.limits import LIMITS, implausible

__all__ = ["USUAL_FRAMES", "LoadConfig"]

USUAL_FRAMES = 200
"""Number of frames per block, unless longer blocks are measured to be better."""


class LoadConfig(StageConfig):
    """Reading files, and facts that the files do not state. None: use what the file states."""

    variable: str | None = setting(
        None, "Name of the array in the file (HDF5 path or MATLAB variable)."
    )
    axes: str | None = setting(
        None,
        "Order of the axes as Python reads the array: letters t, z, y, x, and c for an "
        "axis of real and imaginary parts; y or t may be missing (MATLAB v7.3 reads as "
        "tyxz, v5 as zxyt).",
    )
    voxel_um: PositiveTriple | None = setting(None, "Voxel spacing along z, y, x.", "um")
    rate_hz: float | None = setting(None, "Frame rate (volumes per second).", "Hz", gt=0)
    origin_um: tuple[float, float, float] | None = setting(
        None, "Position of the centre of the first voxel, z, y, x.", "um"
    )
    wavelength_um: float | None = setting(None, "Wavelength in tissue.", "um", gt=0)
    frequency_hz: float | None = setting(
        None, "Transmit centre frequency.", "Hz", gt=0, shown=("MHz", 1e6)
    )
    sound_speed_m_s: float | None = setting(None, "Speed of sound.", "m/s", gt=0)
    log_compressed_db: float | None = setting(
        None, "Dynamic range of a log-compressed movie, which is then linearized.", "dB", gt=0
    )
    frames_per_block: int | None = setting(
        None,
        "Number of frames filtered together. Longer files are split evenly. auto: 200, or up to "
        "1000 if longer blocks remove less slow flow with the tissue.",
        "frames",
        ge=2,
    )

    @property
    def block_frames(self) -> int:
        """`frames_per_block`, or the usual length if it is automatic."""
        return self.frames_per_block or USUAL_FRAMES

    @field_validator(*LIMITS)
    @classmethod
    def _plausible(cls, value: Any, info: ValidationInfo) -> Any:
        problem = implausible(info.field_name or "", value)
        if problem:
            raise ValueError(problem)
        return value

    @field_validator("axes")
    @classmethod
    def _axis_letters(cls, axes: str | None) -> str | None:
        if axes is None:
            return None
        letters = "".join(axes.lower().replace(",", " ").split())
        if len(set(letters)) != len(letters) or not {"z", "x"} <= set(letters) <= set("tzyxc"):
            raise ValueError(
                f"axes '{axes}' must be distinct letters out of t z y x c, including z and x"
            )
        return letters
