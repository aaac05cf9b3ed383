"""Heart rate and pulsatility from the speeds of tracks, without an ECG."""

from __future__ import annotations

from napari_ulm3d.vasculature.pulse.stage import Pulse, pulsatility_map, pulse

__all__ = ["Pulse", "pulsatility_map", "pulse"]
