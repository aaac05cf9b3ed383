"""How the tissue's motion is found and what is done about it."""

from __future__ import annotations

from typing import Literal

from napari_ulm3d.config.base import StageConfig, setting

__all__ = ["MotionConfig"]

_MOVES = {"method": ("auto", "rigid")}


class MotionConfig(StageConfig):
    """Motion of the tissue: localizations are moved back, voxels are not."""

    method: Literal["none", "auto", "rigid"] = setting(
        "none",
        "none: nothing moves; rigid: the whole volume is displaced, estimated frame by frame on "
        "the unfiltered envelope; auto: rigid where the blocks that are measured on gain by it.",
    )
    smoothing_s: float = setting(
        0.012,
        "Width (standard deviation) of the weights with which displacements are smoothed over time; "
        "0: none.",
        "s",
        ge=0,
        le=1,
        when=_MOVES,
    )
    leave_out: bool = setting(
        True,
        "Leave out localizations of frames in which the tissue jerks or does not resemble itself.",
        when=_MOVES,
    )
    across: Literal["close", "break"] = setting(
        "close",
        "Tracks at frames that are left out: close: they are gaps like others "
        "(link.max_gap_frames); break: all tracks end there.",
        when=_MOVES,
    )
