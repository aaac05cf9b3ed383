"""The zoo on disk, in the user's cache: generated once, then read."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import platformdirs

from benchmarks.scenes import Scene
from benchmarks.zoo import ours, simus
from benchmarks.zoo.recipes import SOUND_SPEED_M_S, Recipe
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.evaluate import Truth
from napari_ulm3d.io.open.frames import LogScale

_LOG_DB = 60.0  # range of log-compressed scenes; white is the strongest voxel

__all__ = ["default_cache", "is_made", "make", "read", "read_must3d_fine"]


def default_cache() -> Path:
    """Default folder of the acquisitions."""
    return Path(platformdirs.user_cache_dir("napari-ulm3d")) / "zoo"


def is_made(recipe: Recipe, cache: Path) -> bool:
    """Whether the acquisition exists with exactly this recipe."""
    stamp = cache / recipe.name / "recipe.txt"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == repr(recipe)


def make(recipe: Recipe, cache: Path) -> float:
    """Generate and store an acquisition; return the time in seconds, 0 if it existed."""
    if is_made(recipe, cache):
        return 0.0
    began = time.perf_counter()
    physics = simus if recipe.physics == "simus" else ours
    frames, truth, grid = physics.frames_and_truth(recipe)
    folder = cache / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "frames.npy", frames)
    truth.to_csv(folder / "truth.csv", index=False)
    facts = {"spacing_um": grid.spacing_um, "origin_um": grid.origin_um}
    (folder / "grid.json").write_text(json.dumps(facts), encoding="utf-8")
    # Written last, so that an existing acquisition is complete.
    (folder / "recipe.txt").write_text(repr(recipe), encoding="utf-8")
    return time.perf_counter() - began


def read(recipe: Recipe, cache: Path) -> Scene:
    """An acquisition in memory, with its truth."""
    folder = cache / recipe.name
    facts = json.loads((folder / "grid.json").read_text(encoding="utf-8"))
    frames = np.load(folder / "frames.npy")
    if recipe.log_compressed:  # like `load.log_compressed_db`: decibels above the floor to envelope
        LogScale(_LOG_DB, _LOG_DB).linearize(frames)
    acquisition = Acquisition.from_array(
        frames,
        facts["spacing_um"],
        recipe.rate_hz,
        wavelength_um=recipe.wavelength_um,
        origin_um=facts["origin_um"],
        name=recipe.name,
    )
    return Scene(recipe.name, acquisition, Truth(pd.read_csv(folder / "truth.csv")))


def read_must3d_fine(folder: Path) -> Scene:
    """The acquisition stored as a file: SIMUS3, voxels of a quarter wavelength."""
    with np.load(folder / "iq.npz") as stored:
        pairs = stored["iq"].astype(np.float32)
        axes = [stored[f"{axis}_um"].astype(float) for axis in "zyx"]
        rate, frequency = float(stored["rate_hz"]), float(stored["frequency_mhz"])
    acquisition = Acquisition.from_array(
        pairs[..., 0] + 1j * pairs[..., 1],
        tuple(float(axis[1] - axis[0]) for axis in axes),  # type: ignore[arg-type]
        rate,
        wavelength_um=SOUND_SPEED_M_S / frequency,
        name="must3d_fine",
    )
    return Scene("must3d_fine", acquisition, Truth(pd.read_csv(folder / "truth.csv")))
