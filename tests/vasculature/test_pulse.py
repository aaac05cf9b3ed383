"""The heartbeat in the tracks' speeds: found where it is, refused where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat
from tube_tracks import as_tracks

from napari_ulm3d.config.pulse import PulseConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.tables import Tracks
from napari_ulm3d.vasculature.pulse import pulse
from napari_ulm3d.vasculature.pulse.rhythm import Speeds, spectrum

DATA = Path(__file__).parents[1] / "data"


def beating(rate_hz: float, swing: float, seed: int = 0, n_tracks: int = 300) -> Tracks:
    """Tracks of 20 to 60 frames at 250 Hz in 10 s, errors of 4 um, all with one beat."""
    rng = np.random.default_rng(seed)
    tables = []
    for _ in range(n_tracks):
        n = int(rng.integers(20, 60))
        frame = int(rng.random() * 2400) + np.arange(n)
        t = frame / 250.0
        w = 2 * np.pi * rate_hz
        s = 1000 * rng.uniform(2, 8) * (t - swing * np.cos(w * t) / w)
        noise = rng.normal(0, 4.0, (n, 3))
        tables.append(
            pd.DataFrame(
                {"frame": frame, "z_um": s + noise[:, 0], "y_um": noise[:, 1], "x_um": noise[:, 2]}
            )
        )
    table = as_tracks(tables).table
    # The helper's rate is 1,000 Hz.
    slower = {name: table[name] / 4 for name in ("vz_mm_s", "vy_mm_s", "vx_mm_s", "speed_mm_s")}
    return Tracks(table.assign(time_s=table["frame"] / 250.0, **slower))


@pytest.mark.parametrize(("rate", "swing"), [(7.3, 0.3), (4.1, 0.2), (11.0, 0.4)])
def test_a_known_beat(rate: float, swing: float) -> None:
    found = pulse(beating(rate, swing))
    assert found.heart_rate_hz == pytest.approx(rate, rel=0.02)
    assert found.pulsatility == pytest.approx(2 * swing, rel=0.15)
    assert found.chance < 1e-6


def test_the_spectrum_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    time, track = rng.random(400) * 3, np.repeat(np.arange(20), 20)
    speeds = Speeds(time, 3 + track * 0.2 + rng.normal(size=400) * 0.1, track)
    f = 5.0
    power = spectrum(speeds, np.array([f]), np.zeros(400, np.int64))
    # The same by numpy: each track's mean beside the two waves.
    dummies = (track[:, None] == np.arange(20)).astype(float)
    mean = speeds.track_mean(speeds.speed)[track]
    waves = [mean * speeds.within(w(2 * np.pi * f * time)) for w in (np.cos, np.sin)]

    def left(columns: np.ndarray) -> float:
        fit = np.linalg.lstsq(columns, speeds.speed, rcond=None)[0]
        return float(((speeds.speed - columns @ fit) ** 2).sum())

    explained = left(dummies) - left(np.column_stack([dummies, *waves]))
    within = speeds.within(speeds.speed).var()
    assert power[0] == pytest.approx(explained / (2 * within), rel=1e-6)


def test_no_beat_is_not_found() -> None:
    refused = 0
    for seed in range(6):
        with pytest.raises(ResultsError, match="No rhythm"):
            pulse(beating(5.0, 0.0, seed, n_tracks=150))
        refused += 1
    assert refused == 6


def test_what_does_not_suffice_is_said() -> None:
    tracks = beating(7.0, 0.3)
    few = Tracks(tracks.table[tracks.table["track_id"] < 10].reset_index(drop=True))
    with pytest.raises(ResultsError, match="too few"):
        pulse(few)
    slow = Tracks(tracks.table.assign(time_s=tracks.table["frame"] / 8.0))
    with pytest.raises(ResultsError, match="frames a second"):
        pulse(slow)
    short = Tracks(tracks.table.assign(time_s=tracks.table["frame"] / 25000.0))
    with pytest.raises(ResultsError, match="beats"):
        pulse(short)
    with pytest.raises(ConfigError, match="below"):
        PulseConfig().replace(lowest_hz=20.0)


def test_real_tracks_without_a_common_rhythm_are_refused() -> None:
    cells = loadmat(DATA / "mouse_brain_tracks.mat")["tracks"].ravel()
    tables = [
        pd.DataFrame(
            {"frame": c[:, 3].astype(int), "z_um": 50 * c[:, 2], "y_um": 0.0, "x_um": 50 * c[:, 0]}
        )
        for c in cells
        if len(c) >= 20
    ]
    with pytest.raises(ResultsError, match=r"rhythm|too few"):
        pulse(as_tracks(tables))
