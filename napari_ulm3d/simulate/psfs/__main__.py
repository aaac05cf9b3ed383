"""Make the library of measured images: ``python -m napari_ulm3d.simulate.psfs [FILE]``.

With ``--table``, prints the table of docs/simulation.md from the library instead. Making it
needs PyMUST (``pip install "napari-ulm3d[simulate]"``) and a few minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.simulate.imaging.measured import LIBRARY, QUANTUM, measured_image
from napari_ulm3d.simulate.psfs.measure import PointImage, measure
from napari_ulm3d.simulate.psfs.probes import PROBES, Probe
from napari_ulm3d.simulate.psfs.table import library_table


def main() -> None:
    """Measure all probes and write the library."""
    parser = argparse.ArgumentParser(prog="python -m napari_ulm3d.simulate.psfs")
    parser.add_argument("file", nargs="?", type=Path, default=LIBRARY)
    parser.add_argument("--table", action="store_true", help="print the table of the library")
    given = parser.parse_args()
    if given.table:
        print(library_table({probe.name: measured_image(probe.name) for probe in PROBES}))
        return
    path: Path = given.file
    arrays: dict[str, NDArray[Any]] = {}
    probes: dict[str, Any] = {}
    for probe in PROBES:
        arrays[probe.name], probes[probe.name] = _measured(probe)
        print(probe.name, arrays[probe.name].shape, file=sys.stderr)
    about = {
        "made_with": f"PyMUST {_pymust_version()} (SIMUS, SIMUS3), delay and sum, full aperture",
        "command": "python -m napari_ulm3d.simulate.psfs",
        "units": "wavelengths; phase slopes in radians per wavelength; axes z, y, x",
        "probes": probes,
    }
    arrays["about"] = np.array(json.dumps(about))
    np.savez_compressed(path, allow_pickle=False, **arrays)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def _measured(probe: Probe) -> tuple[NDArray[np.int16], dict[str, Any]]:
    """Images of a probe as integers (depth, y, x, patch z, y, x, 2), and what is known of them."""
    side_y, side_x = probe.sides
    images: list[PointImage] = []
    for depth in probe.depths:
        for y in side_y:
            images += [measure(probe, (depth, y, x)) for x in side_x]
    places = (len(probe.depths), len(side_y), len(side_x))

    def table(values: list[NDArray[np.float64]], digits: int) -> Any:
        return np.round(np.reshape(values, (*places, -1)), digits).tolist()

    values = np.stack([image.values for image in images])
    parts = np.stack([values.real, values.imag], axis=-1)
    whole = np.rint(parts / QUANTUM).astype(np.int16).reshape(*places, *parts.shape[1:])
    about = {
        "kind": probe.kind,
        "held_out": probe.held_out,
        "elements": probe.n,
        "pitch": probe.pitch,
        "bandwidth_percent": probe.bandwidth,
        "cycles": probe.cycles,
        "waves_deg": probe.waves,
        "idle_after": probe.idle_after,
        "depth": np.round(probe.depths, 4).tolist(),
        "side_y": np.round(side_y, 4).tolist(),
        "side_x": np.round(side_x, 4).tolist(),
        "step": np.round([probe.steps(depth) for depth in probe.depths], 6).tolist(),
        "slope": table([image.slope for image in images], 6),
        "fwhm": table([image.fwhm for image in images], 4),
    }
    return whole, about


def _pymust_version() -> str:
    try:
        return version("pymust")
    except PackageNotFoundError:
        return "(unknown version)"


if __name__ == "__main__":
    main()
