"""Heart rate from all tracks, and pulsatility of each vessel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config.pulse import PulseConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.tables import Tracks
from napari_ulm3d.vasculature.graph import VesselGraph
from napari_ulm3d.vasculature.measures.positions import Positions
from napari_ulm3d.vasculature.pulse.rhythm import Speeds, spectrum, waveform
from napari_ulm3d.volumes import VesselMap

__all__ = ["Pulse", "pulsatility_map", "pulse"]

_FEWEST_TRACKS, _FEWEST_BEATS = 50, 3.0
_FRAMES_A_BEAT = 6.0
_CHANCE = 1e-4
_ROWS = 200_000
_STEP = 0.25  # of the width of a spectral line


@dataclass(frozen=True)
class Pulse:
    """The heartbeat measured on the tracks.

    Attributes
    ----------
    heart_rate_hz
        Mean over the acquisition.
    chance
        Probability of so clear a rhythm by chance.
    pulsatility
        (maximum - minimum) / mean speed over a beat (Gosling's index), for all tracks.
    pulsatility_error
        Its standard error.
    vessels
        One row per vessel with enough tracks: vessel_id, n_tracks, pulsatility,
        pulsatility_error.
    spectrum
        Columns frequency_hz and power.
    """

    heart_rate_hz: float
    chance: float
    pulsatility: float
    pulsatility_error: float
    vessels: pd.DataFrame
    spectrum: pd.DataFrame


def pulse(
    tracks: Tracks,
    graph: VesselGraph | None = None,
    config: PulseConfig | None = None,
    *,
    smoothing_frames: int = 5,
) -> Pulse:
    """Find the heartbeat in the speeds of tracks, and measure the pulsatility of each vessel.

    Parameters
    ----------
    tracks
        Tracks of an acquisition.
    graph
        Vessels measured with these tracks; None: no pulsatility per vessel.
    config
        None: the defaults.
    smoothing_frames
        Moving average of the tracks, whose attenuation is corrected.

    Raises
    ------
    ResultsError
        The frame rate, the duration or the number of tracks is insufficient, or no rhythm is
        significant.
    """
    config = config or PulseConfig()
    rows, place, step_s = _rows_of(tracks, smoothing_frames, config)
    window = _windows(rows.time, config.window_s)
    frequency, power = _search(rows, window, config)
    best = int(np.argmax(power))
    chance = _chance(power, best, int(window.max()) + 1, frequency)
    if chance > _CHANCE:
        raise ResultsError(
            f"No rhythm between {config.lowest_hz:g} and {config.highest_hz:g} Hz stands out in "
            f"the speeds of {int(rows.track.max()) + 1} tracks (probability by chance "
            f"{chance:.2g}). Record for longer, or widen --lowest-hz and --highest-hz."
        )
    phase, rate = _phases(rows, window, float(frequency[best]), config)
    multiples = rate * np.arange(1, config.harmonics + 1, dtype=np.float64)
    gain = _gain(multiples, step_s, smoothing_frames)
    index, error = _index(*waveform(rows, phase, config.harmonics, gain))
    table = _of_vessels(rows, place, phase, gain, graph, config)
    shown = pd.DataFrame({"frequency_hz": frequency, "power": power})
    return Pulse(rate, chance, index, error, table, shown)


def _rows_of(
    tracks: Tracks, smoothing_frames: int, config: PulseConfig
) -> tuple[Speeds, NDArray[np.int64], float]:
    """Speeds along the tracks away from their ends, the row of each, and the frame interval."""
    n_tracks = tracks.n_tracks
    if n_tracks < _FEWEST_TRACKS:
        raise ResultsError(
            f"{n_tracks} tracks are too few to find the heartbeat in; {_FEWEST_TRACKS} are needed."
        )
    table = tracks.table
    order = np.lexsort((table["frame"].to_numpy(), table["track_id"].to_numpy()))
    ordered = Tracks(table.iloc[order].reset_index(drop=True))
    time = ordered.table["time_s"].to_numpy(np.float64)
    track = ordered.table["track_id"].to_numpy()
    steps = np.diff(time)[track[1:] == track[:-1]]
    step_s = float(np.median(steps))
    if not step_s > 0 or 1 / step_s < _FRAMES_A_BEAT * config.lowest_hz:
        raise ResultsError(
            f"{1 / step_s if step_s > 0 else 0:.3g} frames a second do not resolve a heartbeat of "
            f"{config.lowest_hz:g} Hz; {_FRAMES_A_BEAT * config.lowest_hz:g} are needed."
        )
    duration = float(np.ptp(time))
    if duration * config.lowest_hz < _FEWEST_BEATS:
        raise ResultsError(
            f"{duration:.2g} s contain fewer than {_FEWEST_BEATS:g} beats at {config.lowest_hz:g} Hz. "
            "Record for longer, or raise --lowest-hz."
        )
    positions = Positions.of(ordered, 0.0, smoothing_frames)
    inner = positions.inner
    if inner.sum() < 2 * _FEWEST_TRACKS:
        raise ResultsError(
            "The tracks are too short to tell speeds apart from noise. "
            "Raise link.min_length_frames, or record faster."
        )
    # The component along the track, since the magnitude would be biased by noise.
    along = (positions.velocity_mm_s * positions.heading).sum(axis=1)
    _, number = np.unique(track[inner], return_inverse=True)
    return Speeds(time[inner], along[inner], number), order[inner], step_s


def _windows(time: NDArray[np.float64], window_s: float) -> NDArray[np.int64]:
    count = max(1, int(np.ptp(time) // window_s))
    share = (time - time.min()) / (float(np.ptp(time)) or 1.0)
    return np.minimum((share * count).astype(np.int64), count - 1)


def _search(
    rows: Speeds, window: NDArray[np.int64], config: PulseConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spectrum over the range of heart rates, in steps of a quarter of the line width."""
    width = (int(window.max()) + 1) / float(np.ptp(rows.time))
    n = int(np.ceil((config.highest_hz - config.lowest_hz) / (_STEP * width))) + 1
    frequency = np.linspace(config.lowest_hz, config.highest_hz, max(n, 16))
    every = max(1, len(rows.time) // _ROWS)
    if every > 1:  # whole tracks
        keep = rows.track % every == 0
        return frequency, spectrum(rows.selected(keep), frequency, window[keep])
    return frequency, spectrum(rows, frequency, window)


def _chance(
    power: NDArray[np.float64], best: int, n_windows: int, frequency: NDArray[np.float64]
) -> float:
    """Probability of the highest peak by chance, with the rest of the spectrum as noise."""
    from scipy import stats

    # The median of a sum of k exponentials is about k - 1/3; harmonics and flanks hardly affect it.
    floor = float(np.median(power)) / (n_windows - 1 / 3)
    if not floor > 0:
        return 1.0
    single = float(stats.gamma.sf(power[best] / floor, n_windows))
    return float(-np.expm1(len(frequency) * np.log1p(-min(single, 1 - 1e-12))))


def _phases(
    rows: Speeds, window: NDArray[np.int64], rate: float, config: PulseConfig
) -> tuple[NDArray[np.float64], float]:
    """(n,) phase of the beat in each row, and the mean rate; both are fitted in each window."""
    phase = np.zeros(len(rows.time))
    rates, weights = [], []
    for k in range(int(window.max()) + 1):
        mine = window == k
        if mine.sum() < 20:
            continue
        some = rows.selected(mine)
        near = rate + np.linspace(-1, 1, 41) / config.window_s
        power = spectrum(some, near[near > 0], np.zeros(len(some.time), np.int64))
        own = float(near[near > 0][int(np.argmax(power))])
        amplitude, _ = waveform(some, 2 * np.pi * own * some.time, 1, np.ones(1))
        phase[mine] = 2 * np.pi * own * some.time - np.arctan2(amplitude[1], amplitude[0])
        rates.append(own)
        weights.append(float(power.max()))
    return phase, float(np.average(rates, weights=weights))


def _gain(
    frequency: NDArray[np.float64], step_s: float, smoothing_frames: int
) -> NDArray[np.float64]:
    """Attenuation of an oscillation by the moving average and the central difference."""
    w = max(1, smoothing_frames - (smoothing_frames + 1) % 2)
    x = np.pi * frequency * step_s
    average = np.sin(w * x) / (w * np.sin(x))
    return np.asarray(np.clip(average * np.sinc(2 * frequency * step_s), 0.2, None))


def _index(amplitude: NDArray[np.float64], covariance: NDArray[np.float64]) -> tuple[float, float]:
    """Gosling's index of a waveform, and its first-order standard error."""
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    waves = np.stack(
        [w(h * turn) for h in range(1, len(amplitude) // 2 + 1) for w in (np.cos, np.sin)]
    )
    beat = amplitude @ waves
    slope = waves[:, beat.argmax()] - waves[:, beat.argmin()]
    return float(np.ptp(beat)), float(np.sqrt(max(slope @ covariance @ slope, 0.0)))


def _of_vessels(
    rows: Speeds,
    place: NDArray[np.int64],
    phase: NDArray[np.float64],
    gain: NDArray[np.float64],
    graph: VesselGraph | None,
    config: PulseConfig,
) -> pd.DataFrame:
    found = []
    if graph is not None and graph.track_vessel is not None:
        vessel = graph.track_vessel[place]
        order = np.argsort(vessel, kind="stable")
        names, begins = np.unique(vessel[order], return_index=True)
        for name, mine in zip(names, np.split(order, begins[1:]), strict=True):
            n_tracks = len(np.unique(rows.track[mine]))
            if name == 0 or n_tracks < config.min_tracks:
                continue
            held = np.zeros(len(vessel), bool)
            held[mine] = True
            fit = waveform(rows.selected(held), phase[held], config.harmonics, gain)
            found.append((int(name), n_tracks, *_index(*fit)))
    columns = ["vessel_id", "n_tracks", "pulsatility", "pulsatility_error"]
    return pd.DataFrame(found, columns=columns)


def pulsatility_map(tracks: Tracks, graph: VesselGraph, found: Pulse, grid: Grid) -> VesselMap:
    """Map the pulsatility of each vessel to the voxels that its tracks visit.

    Parameters
    ----------
    tracks, graph, found
        The arguments of `pulse`, and its result.
    grid
        Grid of the map.
    """
    vessel = graph.with_vessel(tracks).table["vessel_id"].to_numpy()
    index = found.vessels.set_index("vessel_id")["pulsatility"]
    value = index.reindex(vessel).to_numpy(np.float64)
    cell = np.floor(grid.to_index(tracks.positions_um) + 0.5).astype(np.int64)
    inside = ((cell >= 0) & (cell < np.asarray(grid.shape))).all(axis=1) & np.isfinite(value)
    flat = np.ravel_multi_index(tuple(cell[inside].T), grid.shape)
    voxel, at = np.unique(flat, return_inverse=True)
    mean = np.bincount(at, value[inside]) / np.bincount(at) if len(voxel) else np.empty(0)
    return VesselMap("pulsatility", grid, voxel, mean.astype(np.float32), "(max - min) / mean")
