"""All tests of a GPU in a few minutes. `python -m benchmarks.gpu --minutes 8`

First correctness: layers and networks compared with the CPU, and behaviour when memory runs out.
Then speed: volumes per second of the network, of the steps before it and of a whole run, single
convolutions, memory of the networks of Rauby et al. at their published size, and training. Each part
has a share of the time. The report is written after every row, so that no measurement is lost.
Without a GPU, the same tests run at a small size on the CPU, with the GPU's code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch

from benchmarks.gpu import parity, rates
from benchmarks.gpu.report import Part, Row, run_parts
from napari_ulm3d.networks.bubblenet import BubbleNet
from napari_ulm3d.networks.shipped import find_weights, load_weights

PUBLISHED = [512, 32, 32, 32]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together")
    parser.add_argument("--out", type=Path, default=Path("gpu.md"), help="the report (Markdown)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    options = parser.parse_args(arguments)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name(0) if device == "cuda" else "the CPU; no GPU was used"
    faultless = run_parts(_parts(device), options.minutes, options.out, name)
    print(f"{options.out}: " + ("nothing failed" if faultless else "something FAILED, see there"))
    return 0 if faultless else 1


def _parts(device: str) -> list[Part]:
    small = device == "cpu"
    weights = find_weights(None, "bubblenet")
    network = cast(BubbleNet, load_weights(weights, ("BubbleNet",), device).network.eval())
    agrees = ["bits", "largest difference", "verdict"]
    return [
        Part(
            "Layers against the CPU",
            ["layer", "backend", *agrees],
            1,
            lambda: parity.layers(device),
        ),
        Part(
            "Networks against the CPU",
            ["weights", "network", *agrees],
            1,
            lambda: parity.networks(device, small),
        ),
        Part(
            "Where memory ends",
            ["block", "memory", "bubbles", "verdict"],
            0.5,
            lambda: parity.short_of_memory(device, network, small),
        ),
        Part(
            "The network, 2 views",
            [
                "frames",
                "kept",
                "volumes/s",
                "GFLOP a frame",
                "MB a frame",
                "volumes/s by roofline",
                "reached",
            ],
            2,
            lambda: rates.network_rates(device, network, small),
        ),
        Part(
            "Before the network",
            ["how", "frames", "volumes/s"],
            1,
            lambda: rates.preprocessing(device, small),
        ),
        Part(
            "From files to tracks",
            ["run", "frames", "volumes/s", "events"],
            2,
            lambda: rates.whole_run(device, small),
        ),
        Part(
            "A 3x3x3 convolution, 32 channels",
            ["kept", "how", "forward, ms", "forward and backward, ms"],
            0.5,
            lambda: rates.convolutions(device, small),
        ),
        Part(
            "The paper's networks, forward and backward",
            ["network", "window", "kept", "memory, GB", "seconds"],
            1,
            lambda: _paper(device, small),
        ),
        Part(
            "Training",
            ["windows a step", "voxels", "steps/s", "windows/s simulated by one process"],
            1,
            lambda: rates.training(device, small),
        ),
    ]


def _paper(device: str, small: bool) -> Iterator[Row]:
    from benchmarks.network_memory.case import measure

    shape = [32, 8, 8, 8] if small else PUBLISHED
    for network in ("sparse-3d-small",) if small else ("sparse-3d-small", "sparse-3d"):
        for occupancy in (0.01,) if small else (0.001, 0.01):
            try:
                said = measure(network, shape, occupancy, pruning=True, device=device)
            except torch.cuda.OutOfMemoryError:
                yield [
                    network,
                    "x".join(map(str, shape)),
                    f"{100 * occupancy:g} %",
                    "does not fit",
                    "-",
                ]
                continue
            yield [
                network, "x".join(map(str, shape)), f"{100 * occupancy:g} %",
                f"{said['bytes'] / 1e9:.2f}", f"{said['seconds']:.2f}",
            ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
