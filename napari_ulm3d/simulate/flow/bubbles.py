"""Bubbles in the flow: their settings, and their positions at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from napari_ulm3d.config import StageConfig, setting

__all__ = ["BubbleConfig", "BubbleFrame"]


@dataclass(frozen=True)
class BubbleFrame:
    """Positions of the bubbles at the time of one frame.

    Parameters
    ----------
    frame
        Number of the frame, from 0.
    bubble_id
        (n,) int64, unique over the whole stream: the number of a bubble that left is never
        reused.
    position_um
        (n, 3) z, y, x, micrometres.
    velocity_mm_s
        (n, 3) z, y, x, mm/s.
    radius_um
        (n,) radius of the vessel that contains each bubble, micrometres.
    """

    frame: int
    bubble_id: NDArray[np.int64]
    position_um: NDArray[np.float64]
    velocity_mm_s: NDArray[np.float64]
    radius_um: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.bubble_id)


class BubbleConfig(StageConfig):
    """Transport of bubbles with the blood."""

    supply: Literal["steady", "poisson"] = setting(
        "steady",
        "steady: the number is constant, a bubble enters whenever one leaves; poisson: "
        "they enter at random times.",
    )
    bubble_radius_um: float = setting(
        1.0, "Minimum distance of a bubble's centre from the vessel wall.", "um", ge=0
    )
    max_speed_mm_s: float | None = setting(
        30.0, "Maximum bubble speed. None: as the flow determines.", "mm/s", gt=0
    )
    min_speed_mm_s: float = setting(
        0.05, "Minimum bubble speed in vessels with flow.", "mm/s", gt=0
    )
    heart_rate_hz: float = setting(5.0, "Heart rate.", "Hz", gt=0)
    pulsatility: float = setting(
        0.0,
        "Relative amplitude of the speed variation over the heart cycle (0: steady flow).",
        ge=0,
        lt=1,
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_speed_mm_s is not None:
            swing = (1 + self.pulsatility) / (1 - self.pulsatility)
            if self.min_speed_mm_s * swing > self.max_speed_mm_s:
                raise ValueError("min_speed_mm_s must be below max_speed_mm_s")
        return self

    def elapsed(self, time_s: float) -> float:
        """Time of steady flow, in seconds, that carries as far as `time_s` with the pulse."""
        omega = 2 * np.pi * self.heart_rate_hz
        return time_s + self.pulsatility * (1 - np.cos(omega * time_s)) / omega

    def pace(self, time_s: float) -> float:
        """Speed relative to its mean at a time: 1 + pulsatility sin(2 pi heart_rate t)."""
        return 1 + self.pulsatility * float(np.sin(2 * np.pi * self.heart_rate_hz * time_s))
