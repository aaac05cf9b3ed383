"""Fixtures that all tests share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# Processes that test side by side have one core each: threads of each for all cores only wait
# for one another. Before what starts them is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from napari_ulm3d._caches import cache_folder

# Some tests move the user's folders: what is compiled stays in one place, from run to run.
if "NUMBA_CACHE_DIR" not in os.environ and (_compiled := cache_folder("numba")):
    os.environ["NUMBA_CACHE_DIR"] = str(_compiled)

from napari_ulm3d.acquisition import Acquisition

# The first call of a compiled function takes seconds: no deadline for examples.
settings.register_profile("patient", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("patient")


@dataclass(frozen=True)
class Flow:
    """A known acquisition: frames (t, z, y, x) and bubble positions (bubbles, t, 3) in um."""

    acquisition: Acquisition
    frames: NDArray[np.complex64]
    positions_um: NDArray[np.float64]


def straight_flow(n_frames: int = 60, n_bubbles: int = 4, seed: int = 3) -> Flow:
    """Bubbles that cross a small volume on parallel lines at 5 mm/s, 30 dB over the noise."""
    rng = np.random.default_rng(seed)
    shape, spacing, rate_hz, wavelength = (
        (20, 18, 16),
        np.array([100.0, 150.0, 150.0]),
        260.0,
        100.0,
    )
    extent = np.array(shape) * spacing
    start = rng.uniform(0.2, 0.45, (n_bubbles, 3)) * extent
    start[:, 1] = np.linspace(0.15, 0.85, n_bubbles) * extent[1]
    velocity = np.array([5.0, 0.0, 2.0]) * 1000 / rate_hz
    positions = start[:, None] + np.arange(n_frames)[:, None] * velocity * 0.8
    sigma = 3 * spacing / 2.355
    axes = [np.arange(n) * s for n, s in zip(shape, spacing, strict=True)]
    frames = np.zeros((n_frames, *shape), np.complex64)
    for t in range(n_frames):
        for b in range(n_bubbles):
            z, y, x = (
                np.exp(-((axis - p) ** 2) / (2 * s**2))
                for axis, p, s in zip(axes, positions[b, t], sigma, strict=True)
            )
            carrier = np.exp(4j * np.pi * (axes[0] - positions[b, t, 0]) / wavelength)
            frames[t] += (z * carrier)[:, None, None] * y[:, None] * x
    noise = rng.normal(size=(*frames.shape, 2)) @ [1, 1j]
    tissue = rng.normal(size=(*shape, 2)) @ [1, 1j]
    beat = 1 + 0.05 * np.sin(2 * np.pi * np.arange(n_frames) / n_frames)
    frames += 0.03 * noise / np.sqrt(2) + 10 * tissue * beat[:, None, None, None]
    frames = frames.astype(np.complex64)
    acquisition = Acquisition.from_array(
        frames, tuple(spacing), rate_hz, wavelength_um=wavelength, name="straight flow"
    )
    return Flow(acquisition, frames, positions)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long is slow, and so are tests of whole published files (crops are in tests/data)."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def crops() -> Path:
    """Folder of small crops of published data, described in its PROVENANCE.md."""
    return Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of whole published files beside the repository; tests skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("whole published files are not at hand (../shared/data)")
    return folder


@pytest.fixture(scope="session")
def flow() -> Flow:
    """Sixty frames of bubbles on straight lines, with tissue and noise; small and quick."""
    return straight_flow()
