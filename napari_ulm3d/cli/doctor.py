"""`napari-ulm3d doctor`: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import os
import platform
import sys
from importlib import util
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from napari_ulm3d._version import __version__

if TYPE_CHECKING:
    from napari_ulm3d.device import DeviceReport

__all__ = ["doctor"]

# Packages installed by each extra, and the module that proves its presence.
_EXTRAS = {
    "gui": {
        "napari": "the viewer",
        "qtpy": "the windows of the viewer",
        "PySide6|PyQt6|PyQt5|PySide2": "a Qt binding",
    },
    "formats": {
        "pydicom": "DICOM",
        "nibabel": "NIfTI",
        "imagecodecs": "compressed TIFF",
        "hdf5plugin": "compressed HDF5",
    },
}


def doctor() -> None:
    """Show the device, the optional parts that are missing, and how to install them."""
    from napari_ulm3d.device import inspect_device

    report = inspect_device()
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("napari-ulm3d", __version__)
    table.add_row("Python", f"{platform.python_version()} on {platform.platform()}")
    memory = f"{report.memory_bytes / 2**30:.1f} GiB"
    table.add_row("CPU", f"{report.cpu_cores} cores, {memory} of memory")
    table.add_row("PyTorch", report.torch or "not installed")
    gpu_memory = f", {report.gpu_memory_bytes / 2**30:.0f} GiB" if report.gpu_memory_bytes else ""
    table.add_row("GPU", f"{report.gpu}{gpu_memory}" if report.gpu else "none usable by PyTorch")
    table.add_row(
        "sparse backend",
        _sparse_backend(report),
    )
    table.add_row("networks", _shipped_networks())
    table.add_row("display", "yes" if has_display() else "none (the viewer cannot open)")

    missing = list(report.missing)
    for extra, modules in _EXTRAS.items():
        absent = [what for names, what in modules.items() if not _any_installed(names)]
        if absent:
            missing.append((", ".join(absent), f'pip install "napari-ulm3d[{extra}]"'))
    console = Console()
    console.print(table)
    if missing:
        console.print("\nMissing (optional):")
        for what, line in missing:
            console.print(f"  {what}\n      {line}", highlight=False, markup=False)
    else:
        console.print("\nNo optional part is missing.")


def _sparse_backend(report: DeviceReport) -> str:
    """The backend of sparse convolutions; on a GPU those of the included networks are tested."""
    from napari_ulm3d.device import has_cuda_spconv

    if not (report.gpu and has_cuda_spconv()):
        return "torch" + (f" (spconv {report.spconv} is not used)" if report.spconv else "")
    return _verdicts(f"spconv {report.spconv}", "cuda")


def _verdicts(name: str, device: str) -> str:
    """One line per number type: whether the included networks are computed correctly in it."""
    from napari_ulm3d.networks.weights import load_network, shipped_weights
    from napari_ulm3d.sparse.backends.spconv_check import check_spconv

    faults: dict[str, str | None] = {}
    for path in shipped_weights().values():
        for dtype, fault in check_spconv(load_network(path)[0], device).items():
            faults[str(dtype).removeprefix("torch.")] = fault
    return "\n".join(
        f"{name}, {dtype}" if fault is None else f"torch, {dtype} ({name} failed: {fault})"
        for dtype, fault in faults.items()
    )


def _shipped_networks() -> str:
    """The included weights, one per line."""
    from napari_ulm3d.networks.weights import read_card, shipped_weights

    lines = []
    for name, path in shipped_weights().items():
        card = read_card(path)
        trained = f", trained for {card.steps:,} steps" if card.steps else ""
        lines.append(f"{name} ({card.architecture}, {path.stat().st_size / 1e6:.1f} MB{trained})")
    return "\n".join(lines) or "none included in this version; pass your own with --weights"


def has_display() -> bool:
    """Whether this session has a display."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _any_installed(names: str) -> bool:
    return any(util.find_spec(name) is not None for name in names.split("|"))
