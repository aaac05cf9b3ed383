"""A small example study of simulated animals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import tomli_w

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import LinkConfig, MapConfig, PipelineConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import write
from napari_ulm3d.maps import accumulate
from napari_ulm3d.provenance import program_facts
from napari_ulm3d.simulate.flow import FlowConfig, solve_flow
from napari_ulm3d.simulate.tracks import observed_tracks
from napari_ulm3d.simulate.vasculature import procedural_network
from napari_ulm3d.simulate.vasculature.config import VasculatureConfig

__all__ = ["simulated_animal", "write_example"]

_VOXEL_UM, _N_VOXELS = 98.56, 8
# Vessels are wide and far apart, since localization errors of 10 um would hide differences between
# capillaries of 7 um.
_SPACING_UM, _WIDER = 200.0, 2.5
_RATE_HZ, _N_BUBBLES, _N_FRAMES = 260.0, 25, 4000
# Relative spread of mean diameters between animals.
_BETWEEN = 0.04


def write_example(
    path: str | PathLike[str],
    *,
    animals: int = 5,
    wider: float = 1.2,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Write a plan and, next to it, results folders of simulated animals in two groups.

    Each animal is a piece of tissue of 0.8 mm, grown from its own seed, with an individual mean
    diameter of about 18 um. In the group ``treated`` all vessels are wider.

    Parameters
    ----------
    path
        The `study.toml` to write.
    animals
        Number of animals per group.
    wider
        Factor of the diameters in the second group; 1: no difference.
    seed
        Seed of the study.
    progress
        Called with one line per animal.

    Raises
    ------
    ResultsError
        The plan already exists.
    """
    plan = Path(path)
    if plan.exists():
        raise ResultsError(f"{plan}: already exists. Name another file, or leave out --example.")
    plan.parent.mkdir(parents=True, exist_ok=True)
    folder = plan.with_name(f"{plan.stem}-animals")
    told = progress or (lambda line: None)
    scans = []
    for k, name in enumerate([*"c" * animals, *"t" * animals]):
        animal = f"{name}{k % animals + 1}"
        group, factor = ("control", 1.0) if name == "c" else ("treated", wider)
        told(f"simulating {animal} ({k + 1} of {2 * animals})")
        place = folder / animal
        if not (place / "run.toml").is_file():
            simulated_animal(place, seed * 1000 + k, factor)
        scans.append({"animal": animal, "group": group, "results": f"{folder.name}/{animal}"})
    half = _N_VOXELS * _VOXEL_UM / 2
    told_of = {
        "name": f"Example: two groups of {animals} simulated animals",
        "control": "control",
        "primary": ["diameter_um", "vascular_fraction", "speed_mm_s"],
        "region": [
            {"name": "upper half", "box_um": [[-1000.0, half], [-1e4, 1e4], [-1e4, 1e4]]},
        ],
        "scan": scans,
    }
    plan.write_text(tomli_w.dumps(told_of), encoding="utf-8")


def simulated_animal(folder: Path, seed: int, wider: float = 1.0) -> None:
    """Write the results folder of one animal: grown vessels with bubbles, tracks and maps.

    No images are simulated: bubbles are localized with errors, some are missed, false ones are
    added, and all are linked as in a run.
    """
    grid = Grid((_N_VOXELS,) * 3, (_VOXEL_UM,) * 3)
    factor = _WIDER * wider * np.exp(np.random.default_rng(seed).normal(0, _BETWEEN))
    network = procedural_network(grid, seed, VasculatureConfig(capillary_spacing_um=_SPACING_UM))
    network = replace(network, radius_um=network.radius_um * factor)
    network = solve_flow(network, None, FlowConfig(max_speed_mm_s=15.0))
    config = PipelineConfig(link=LinkConfig(min_length_frames=9), maps=MapConfig(fsc=False))
    tracks = observed_tracks(
        network, grid, n_bubbles=_N_BUBBLES, n_frames=_N_FRAMES, rate_hz=_RATE_HZ,
        config=config.link, seed=seed,
    )  # fmt: skip
    results = ResultsFolder.create(folder)
    for name, map_ in accumulate(tracks, grid, config.maps).items():
        write(map_, results.map_path(name))
    write(tracks, results.tracks_path)
    results.write_facts(
        {
            "config": config.to_dict(),
            "acquisition": {
                "name": folder.name,
                "n_frames": _N_FRAMES,
                "rate_hz": _RATE_HZ,
                "shape": list(grid.shape),
                "voxel_um": list(grid.spacing_um),
                "origin_um": list(grid.origin_um),
            },
            "program": program_facts(),
            "result": {"complete": True, "n_tracks": tracks.n_tracks},
        }
    )
