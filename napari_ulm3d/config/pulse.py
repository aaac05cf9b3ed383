"""Settings of the pulse measurement from the speeds of tracks."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from napari_ulm3d.config.base import StageConfig, setting

__all__ = ["PulseConfig"]


class PulseConfig(StageConfig):
    """Heart rate and pulsatility."""

    lowest_hz: float = setting(2.0, "Lowest heart rate searched.", "Hz", gt=0)
    highest_hz: float = setting(14.0, "Highest heart rate searched.", "Hz", gt=0)
    harmonics: int = setting(
        2, "Number of harmonics of the heart rate in the waveform.", "", ge=1, le=6
    )
    window_s: float = setting(
        4.0, "Length of the windows in which the heart rate is tracked.", "s", gt=0
    )
    min_tracks: int = setting(20, "Vessels with fewer tracks have no pulsatility.", "tracks", ge=2)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lowest_hz >= self.highest_hz:
            raise ValueError("lowest_hz must be below highest_hz")
        return self
