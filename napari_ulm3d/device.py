"""The device and sparse backend on which networks can run here, and what is missing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from typing import Literal

from napari_ulm3d.errors import BackendError
from napari_ulm3d.system.machine import processors, total_memory

__all__ = [
    "DeviceReport",
    "has_cuda_spconv",
    "inspect_device",
    "resolve_device",
    "spconv_version",
]


@dataclass(frozen=True)
class DeviceReport:
    """Capabilities of this machine.

    Attributes
    ----------
    cpu_cores
        Cores available to this process.
    memory_bytes
        Memory of the machine, or the limit of its container or job.
    torch
        Version of PyTorch; None if not installed.
    gpu
        Name of the first CUDA device; None if there is none.
    gpu_memory_bytes
        Memory of that device.
    spconv
        Version of spconv; None if not installed.
    missing
        Each missing component, with the command that installs it.
    """

    cpu_cores: int
    memory_bytes: int
    torch: str | None
    gpu: str | None
    gpu_memory_bytes: int | None
    spconv: str | None
    missing: tuple[tuple[str, str], ...]


def inspect_device() -> DeviceReport:
    """Inspect the machine. Imports torch, which takes a second or two."""
    missing: list[tuple[str, str]] = []
    torch_version = gpu = gpu_memory = None
    if util.find_spec("torch") is None:
        missing.append(("PyTorch, for the networks", "pip install torch"))
    else:
        import torch

        torch_version = torch.__version__
        if torch.cuda.is_available():
            properties = torch.cuda.get_device_properties(0)
            gpu, gpu_memory = properties.name, int(properties.total_memory)
        elif torch.version.cuda is None and _has_nvidia_driver():
            missing.append(
                (
                    "a CUDA build of PyTorch for the NVIDIA GPU of this computer",
                    "pip install --force-reinstall torch",
                )
            )
    spconv = spconv_version()
    if gpu and not has_cuda_spconv():
        missing.append(
            (
                "spconv, which speeds up sparse networks on the GPU",
                'pip install "napari-ulm3d[gpu]"',
            )
        )
    return DeviceReport(
        cpu_cores=processors(),
        memory_bytes=total_memory(),
        torch=torch_version,
        gpu=gpu,
        gpu_memory_bytes=gpu_memory,
        spconv=spconv,
        missing=tuple(missing),
    )


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    """Choose the device; ``auto`` takes the GPU if there is one.

    Raises
    ------
    BackendError
        ``cuda`` was requested but PyTorch finds no GPU.
    """
    if wanted == "cpu":
        return "cpu"
    report = inspect_device()
    if report.gpu:
        return "cuda"
    if wanted == "cuda":
        fix = next((line for what, line in report.missing if "PyTorch" in what), None)
        raise BackendError(
            "PyTorch found no usable CUDA device. "
            + (f"Try: {fix}" if fix else "Use --device cpu, or check the driver with nvidia-smi.")
        )
    return "cpu"


@cache
def spconv_version() -> str | None:
    """Version of the installed spconv, such as ``2.3.8 (CPU build)`` without CUDA; or None.

    A build for CUDA has the CUDA version in its name (``spconv-cu126``). The one named ``spconv``
    is for the CPU only, where it gives wrong results. All have the same module name.
    """
    if util.find_spec("spconv") is None:
        return None
    names = set(metadata.packages_distributions().get("spconv", ()))
    cuda = sorted(name for name in names if name.startswith("spconv-cu"))
    if cuda:
        return metadata.version(cuda[-1])
    return f"{metadata.version('spconv')} (CPU build)" if "spconv" in names else None


def has_cuda_spconv() -> bool:
    """Whether the installed spconv computes on CUDA."""
    version = spconv_version()
    return version is not None and "CPU" not in version


def _has_nvidia_driver() -> bool:
    return os.path.exists("/proc/driver/nvidia/version")
