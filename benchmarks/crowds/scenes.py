"""Scenes for `benchmarks.crowds` from an independent analytic generator, not used in training.

It shares no code or model with `napari_ulm3d.simulate`: bubbles move along branching splines, their
image has the side lobes of an apodized aperture, an asymmetric pulse and a curved wavefront, the noise is
coloured with a depth-dependent gain, and the tissue is speckle that is actually displaced, by strain
and as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from benchmarks.scenes import Scene
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.evaluate import Truth

__all__ = ["NUMBERS", "SHAPE", "SPACING_UM", "WAVELENGTH_UM", "crowd_scene"]

Floats = NDArray[np.float64]

SHAPE = (40, 36, 32)
SPACING_UM = np.array([98.56, 150.0, 150.0])
WAVELENGTH_UM = 98.56
RATE_HZ = 260.0
NUMBERS = (10, 40, 160)

_AXIAL_UM = 146.0
_LATERAL_UM = (264.0, 330.0)  # at the top and at the bottom
_SNR_DB = 23.0  # effectively 5 dB less, since correlated noise averages out less
_TISSUE_DB = 25.0
_CARRIER = 0.93
_RIM_UM = 500.0


def crowd_scene(n_bubbles: int, seed: int, frames: int) -> Scene:
    """Frames and ground truth of about `n_bubbles` bubbles in view, determined by the seed."""
    rng = np.random.default_rng((seed, n_bubbles))
    trunks = _trunks(rng, n_bubbles)
    volume = _Image(rng)
    tissue = _Tissue(rng, frames)
    data = np.empty((frames, *SHAPE), np.complex64)
    rows = []
    amplitude: dict[int, float] = {}
    for k in range(frames):
        seen = [trunk.at(k / RATE_HZ) for trunk in trunks]
        ids = np.concatenate([part[0] for part in seen])
        places = np.concatenate([part[1] for part in seen])
        speeds = np.concatenate([part[2] for part in seen])
        for name in ids.tolist():
            # Square roots of gamma variates: amplitudes between constant and Rayleigh.
            amplitude.setdefault(name, float(np.sqrt(rng.gamma(5.0) / 5.0)))
        bright = np.array([amplitude[name] for name in ids.tolist()])
        data[k] = volume.bubbles(places, bright) + volume.noise(rng) + tissue.at(k)
        size = np.array(SHAPE) * SPACING_UM
        inside = np.all((places > -SPACING_UM / 2) & (places < size - SPACING_UM / 2), axis=1)
        rows.append(_table(k, ids[inside], places[inside], speeds[inside]))
    acquisition = Acquisition.from_array(
        data, tuple(SPACING_UM), RATE_HZ, wavelength_um=WAVELENGTH_UM, name=f"crowd-{n_bubbles}"
    )
    return Scene(f"crowd-{n_bubbles}", acquisition, Truth(pd.concat(rows, ignore_index=True)))


def _table(frame: int, ids: NDArray[np.int64], places: Floats, speeds: Floats) -> pd.DataFrame:
    columns = {"frame": np.full(len(ids), frame), "bubble_id": ids}
    columns |= dict(zip(("z_um", "y_um", "x_um"), places.T, strict=True))
    columns |= dict(zip(("vz_mm_s", "vy_mm_s", "vx_mm_s"), speeds.T / 1000, strict=True))
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class _Trunk:
    """Bubbles around a spline, faster in the middle than at the rim."""

    places: Floats  # (m, 3) along the curve, um
    tangent: Floats  # (m, 3)
    across: Floats  # (m, 2, 3)
    length: float
    first_id: int
    start: Floats  # (n,) um along the curve at time 0
    speed: Floats  # (n,) um/s
    aside: Floats  # (n, 2) um

    def at(self, time_s: float) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Numbers, positions (um) and velocities (um/s)."""
        lap, along = np.divmod(self.start + self.speed * time_s, self.length)
        position = along / self.length * (len(self.places) - 1)
        low = position.astype(int)
        part = (position - low)[:, None]

        def between(values: Floats) -> Floats:
            weight = part.reshape(-1, *(1,) * (values.ndim - 1))
            return np.asarray((1 - weight) * values[low] + weight * values[low + 1])

        place = between(self.places)
        place = place + np.einsum("nk,nka->na", self.aside, between(self.across))
        ids = self.first_id + np.arange(len(self.start)) + 1_000_000 * lap.astype(np.int64)
        return ids, place, between(self.tangent) * self.speed[:, None]


def _trunks(rng: np.random.Generator, n_bubbles: int) -> list[_Trunk]:
    size = np.array(SHAPE) * SPACING_UM
    n_trunks = {10: 3, 40: 4}.get(n_bubbles, 6)
    knots: list[Floats] = []
    trunks = []
    for k in range(n_trunks):
        axis = int(rng.integers(3))
        ends = rng.uniform(0.15, 0.85, (2, 3)) * size
        ends[0, axis], ends[1, axis] = -_RIM_UM, size[axis] + _RIM_UM
        control = ends[0] + np.linspace(0, 1, 6)[:, None] * (ends[1] - ends[0])
        control[1:-1] += rng.normal(0, 350, (4, 3))
        if k % 2 and knots:  # shares the first half of another one: streams that part or join
            control[:3] = knots[-1][:3]
        knots.append(control)
        curve = make_interp_spline(np.arange(6.0), control)
        fine = curve(np.linspace(0, 5, 4000))
        steps = np.linalg.norm(np.diff(fine, axis=0), axis=1)
        passed = np.concatenate([[0], np.cumsum(steps)])
        even = np.linspace(0, passed[-1], 1500)
        places = np.column_stack([np.interp(even, passed, fine[:, a]) for a in range(3)])
        tangent = np.gradient(places, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        side = np.cross(tangent, np.eye(3)[np.abs(tangent.mean(axis=0)).argmin()])
        side /= np.linalg.norm(side, axis=1, keepdims=True)
        across = np.stack([side, np.cross(tangent, side)], axis=1)
        # Slightly more than requested, since some are in the margin.
        n = rng.poisson(1.25 * n_bubbles / n_trunks)
        radius = rng.uniform(80, 350)
        share = np.sqrt(rng.random(n))
        angle = rng.uniform(0, 2 * np.pi, n)
        aside = radius * share[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        pace = np.exp(rng.normal(np.log(13000), 0.6)) * (1 - 0.75 * share**2)
        start = rng.uniform(0, passed[-1], n)
        direction = (1 if rng.random() < 0.5 or k % 2 else -1) * np.clip(pace, 1000, 30000)
        trunks.append(
            _Trunk(places, tangent, across, float(passed[-1]), 10_000 * k, start, direction, aside)
        )
    return trunks


class _Image:
    """The image of a bubble, and the noise."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._axes = [np.arange(n) * step for n, step in zip(SHAPE, SPACING_UM, strict=True)]
        depth = self._axes[0] / self._axes[0][-1]
        self._gain = 10 ** (1.5 * np.sin(2 * np.pi * (depth + rng.random())) / 20)
        self._noise_rms = 10 ** (-_SNR_DB / 20)
        self._bend = rng.uniform(0.2, 0.5)

    def bubbles(self, places: Floats, bright: Floats) -> NDArray[np.complex128]:
        """The sum of all images (z, y, x); a bubble's peak is `bright`."""
        deep = np.clip(places[:, 0] / self._axes[0][-1], 0, 1)
        width = _LATERAL_UM[0] + (_LATERAL_UM[1] - _LATERAL_UM[0]) * deep
        z = self._axes[0] - places[:, :1]
        pulse = _pulse(z) * np.exp(1j * _CARRIER * 4 * np.pi * z / WAVELENGTH_UM)
        rows = []
        for axis in (1, 2):
            far = (self._axes[axis] - places[:, axis : axis + 1]) / width[:, None]
            rows.append(_aperture(far) * np.exp(1j * self._bend * far**2))
        flat = (rows[0][:, :, None] * rows[1][:, None, :]).reshape(len(places), -1)
        return np.asarray(((pulse * bright[:, None]).T @ flat).reshape(SHAPE))

    def noise(self, rng: np.random.Generator) -> NDArray[np.complex128]:
        """Neighbours along z and x are correlated, and the gain varies with depth."""
        nz, ny, nx = SHAPE
        white = rng.normal(size=(nz + 1, ny, nx + 2, 2)) @ np.array([1, 1j]) / np.sqrt(2)
        along = (white[1:] + 0.4 * white[:-1]) / np.sqrt(1.16)
        both = (0.35 * along[..., :-2] + along[..., 1:-1] + 0.35 * along[..., 2:]) / np.sqrt(1.245)
        return np.asarray(self._noise_rms * self._gain[:, None, None] * both)


_ORDER = 8
_PULSE_WIDTH = 6.69
"""Full width at half maximum of t^8 exp(-t)."""
_PULSE_CENTRE = 8.5
"""Position at which a Gaussian of that width correlates best with it: the bubble's true position."""


def _pulse(z: Floats) -> Floats:
    """Envelope of a gammatone with maximum 1: it rises faster than it decays."""
    t = np.maximum(_PULSE_CENTRE + z * (_PULSE_WIDTH / _AXIAL_UM), 0)
    return np.asarray((t / _ORDER) ** _ORDER * np.exp(_ORDER - t))


def _aperture(far: Floats) -> Floats:
    """Transmission by a uniform aperture, reception by a Hamming-weighted one; unit FWHM."""
    u = 1.029 * far
    back = np.sinc(u) + 0.426 * (np.sinc(u - 1) + np.sinc(u + 1))
    return np.asarray(np.sinc(u) * back)


class _Tissue:
    """Speckle that is displaced along z as a whole and by strain, and decorrelates slowly."""

    def __init__(self, rng: np.random.Generator, frames: int) -> None:
        nz, ny, nx = SHAPE
        image = _Image(rng)
        self._fields = []
        for _ in range(2):
            field = np.zeros((nz + 8, ny, nx), complex)
            for _ in range(6):  # sets of scatterers, convolved with the bubble's image
                n = 1500
                places = rng.uniform((-0.2, -0.1, -0.1), (1.2, 1.1, 1.1), (n, 3))
                places *= np.array(SHAPE) * SPACING_UM
                weight = rng.normal(size=n)
                z = (np.arange(nz + 8) - 4) * SPACING_UM[0] - places[:, :1]
                turned = _pulse(z) * np.exp(
                    -1j * _CARRIER * 4 * np.pi * places[:, :1] / WAVELENGTH_UM
                )
                rows = [
                    _aperture((image._axes[a] - places[:, a : a + 1]) / np.mean(_LATERAL_UM))
                    for a in (1, 2)
                ]
                flat = (rows[0][:, :, None] * rows[1][:, None, :]).reshape(n, -1)
                field += ((turned * weight[:, None]).T @ flat).reshape(field.shape)
            self._fields.append(field / np.sqrt((np.abs(field) ** 2).mean()))
        time = np.arange(frames) / RATE_HZ
        breath = 9.0 * np.exp(-0.5 * (((time * 1.3 + rng.random()) % 1 - 0.5) / 0.13) ** 2)
        beat = 1.8 * np.abs(np.sin(np.pi * (time * 6.1 + rng.random()))) ** 3
        self._whole = breath + beat
        self._strain = 0.35 * breath - 0.5 * beat
        self._turn = rng.uniform(0.02, 0.06) * time
        self._z = np.arange(nz)

    def at(self, frame: int) -> NDArray[np.complex128]:
        """The tissue of a frame, (z, y, x)."""
        moved = self._whole[frame] + self._strain[frame] * (self._z / SHAPE[0] - 0.5)
        field = self._fields[0] * np.cos(self._turn[frame]) + self._fields[1] * np.sin(
            self._turn[frame]
        )
        position = self._z + 4 - moved / SPACING_UM[0]
        low = np.floor(position).astype(int)
        part = (position - low)[:, None, None]
        envelope = (1 - part) * field[low] + part * field[low + 1]
        depth = self._z * SPACING_UM[0] - moved
        phase = np.exp(1j * _CARRIER * 4 * np.pi * depth / WAVELENGTH_UM)
        return np.asarray(10 ** (_TISSUE_DB / 20) * envelope * phase[:, None, None])
