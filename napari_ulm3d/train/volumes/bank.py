"""Cache training windows on disk, since simulating a scene takes longer than training on it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.refinement.features import MapFeatures
from napari_ulm3d.train.volumes.config import VolumeDataConfig
from napari_ulm3d.train.volumes.windows import VolumeWindow, cropped, varied, volume_windows

__all__ = ["scene_windows"]

# Settings that affect the use of windows, but not their contents.
_USE = {
    "crop",
    "speed_share",
    "bank",
    "bank_scenes",
    "scenes_per_group",
    "passes",
    "workers",
    "flips",
}


def scene_windows(seed: int, config: VolumeDataConfig, doublings: int = 0) -> list[VolumeWindow]:
    """The windows of a training scene, mirrored at random; the same seed gives the same windows.

    With `bank_scenes`, scenes repeat after this number, mirrored differently each time. With
    `bank`, they are simulated once and stored in that folder.
    """
    first = config.first_seed
    scene = first + (seed - first) % config.bank_scenes if config.bank_scenes else seed
    windows = _kept(scene, config, doublings)
    rng = np.random.default_rng((seed, 14))
    if config.crop is not None:
        windows = [cropped(window, config.crop, rng) for window in windows]
    return [varied(window, config, rng) for window in windows]


def _kept(seed: int, config: VolumeDataConfig, doublings: int) -> list[VolumeWindow]:
    if config.bank is None:
        return volume_windows(seed, config, doublings)
    settings = config.model_dump(mode="json", exclude=_USE | {"first_seed"})
    text = json.dumps([settings, doublings], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = Path(config.bank) / f"{key}-{seed}.npz"
    if path.exists():
        return _read(path)
    windows = volume_windows(seed, config, doublings)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for k, window in enumerate(windows):
        grid = window.grid
        arrays |= {
            f"{k}.index": window.features.index.astype(np.int16),
            f"{k}.values": window.features.values.astype(np.float32),
            f"{k}.grid": np.array([grid.shape, grid.spacing_um, grid.origin_um], float),
            f"{k}.fine": np.array(
                [window.fine.shape, window.fine.spacing_um, window.fine.origin_um]
            ),
            f"{k}.target": window.target,
            f"{k}.vessel": window.vessel,
            f"{k}.kind": window.kind,
        }
    # A training that is stopped while writing must not leave an incomplete scene.
    part = path.with_suffix(f".{os.getpid()}.part")
    with open(part, "wb") as file:
        np.savez_compressed(file, **arrays)
    part.replace(path)
    return windows


def _read(path: Path) -> list[VolumeWindow]:
    with np.load(path) as file:
        arrays = dict(file)
    windows = []
    for k in range(sum(name.endswith(".kind") for name in arrays)):
        features = MapFeatures(
            _grid(arrays[f"{k}.grid"]),
            arrays[f"{k}.index"].astype(np.int32),
            arrays[f"{k}.values"],
        )
        windows.append(
            VolumeWindow(
                features,
                arrays[f"{k}.target"],
                _grid(arrays[f"{k}.fine"]),
                arrays[f"{k}.vessel"],
                arrays[f"{k}.kind"],
            )
        )
    return windows


def _grid(rows: np.ndarray) -> Grid:
    shape, spacing, origin = rows.tolist()
    return Grid(tuple(int(n) for n in shape), tuple(spacing), tuple(origin))  # type: ignore[arg-type]
