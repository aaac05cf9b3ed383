"""Memory of a training step of the trajectory networks. `python -m benchmarks.network_memory`

Peak memory of one forward and one backward pass in float32, each in a separate process, minus that
of network and input; published sizes (presets dense-2d, sparse-2d, sparse-3d).
The input consists of bubbles on straight lines, with a box of 3 x 3 x 3 voxels kept around each.
"Pruned" means that only voxels with a trajectory are up-sampled, as with perfect heads.

The dense network in 3-D cannot be run, since PyTorch has no convolution with four axes. Its value is
extrapolated, and marked as such: the bytes that a dense network stores for its backward pass, counted
layer by layer (`napari_ulm3d.networks.stored_bytes`), times the slope of the measured memory of the
dense 2-D network over this count. The intercept, which is the libraries' workspace, is omitted, so the
value is a lower bound.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine_line, markdown_table
from napari_ulm3d.networks import DeepSTULMConfig, stored_bytes

QUICK_2D = [[64, 16, 16], [64, 24, 24], [64, 32, 32]]
FULL_2D = [[128, 32, 32], [256, 32, 32], [512, 32, 32], [512, 48, 48], [512, 64, 64]]
QUICK_3D = [[32, 8, 8, 8], [32, 12, 12, 12]]
FULL_3D = [[64, 16, 16, 16], [128, 16, 16, 16], [256, 24, 24, 24], [512, 32, 32, 32]]
KINDS = {
    "dense-2d": "dense, 2-D",
    "sparse-2d": "sparse, 2-D",
    "sparse-2d pruned": "sparse, 2-D, pruned",
    "sparse-3d": "sparse, 3-D",
    "sparse-3d pruned": "sparse, 3-D, pruned",
}
# Published: 32^3 voxels, 512 frames.
PUBLISHED_3D = (512, 32, 32, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small windows, under a minute")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--occupancy", type=float, default=0.01, help="for growth with the volume")
    parser.add_argument("--limit-gb", type=float, default=12.0, help="memory of one case, CPU")
    parser.add_argument("--seconds-each", type=float, default=900.0, help="time of one case")
    parser.add_argument("--plot", type=Path, help="write the two laws as a PNG")
    options = parser.parse_args()
    shapes_2d, shapes_3d = (QUICK_2D, QUICK_3D) if options.quick else (FULL_2D, FULL_3D)
    shares = [0.01, 0.05] if options.quick else [0.001, 0.003, 0.01, 0.03, 0.1]
    print(machine_line("torch"), f"Device: {options.device}.", sep="\n", end="\n\n", flush=True)
    by_volume = [
        run(kind, shape, options.occupancy, options)
        for kind in KINDS
        for shape in (shapes_3d if "3d" in kind else shapes_2d)
    ]
    print(f"## Growth with the window, {100 * options.occupancy:g} % of the voxels kept\n")
    print(_table(by_volume), _laws(by_volume, "voxels"), sep="\n\n", end="\n\n", flush=True)
    by_share = [
        run(kind, shapes_3d[-2] if "3d" in kind else shapes_2d[-1], share, options)
        for kind in KINDS
        if kind != "dense-2d"
        for share in shares
    ]
    print("## Growth with the share of voxels kept\n")
    print(_table(by_share), _laws(by_share, "kept"), sep="\n\n", end="\n\n", flush=True)
    print("## Growth with both\n")
    print(_joint_laws([*by_volume, *by_share]), end="\n\n", flush=True)
    print("## Dense and sparse in 3-D\n")
    print(_dense_3d(by_volume))
    if options.plot:
        plot(by_volume, by_share, options.plot)


def run(
    kind: str, shape: list[int], occupancy: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Perform one measurement in a new process."""
    network, _, pruned = kind.partition(" ")
    case = {
        "network": network,
        "shape": shape,
        "occupancy": occupancy,
        "pruning": bool(pruned),
        "device": options.device,
        "limit_gb": options.limit_gb,
    }
    command = [sys.executable, "-m", "benchmarks.network_memory.case", json.dumps(case)]
    row = {"kind": kind, "voxels": prod(shape), **case}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.seconds_each)
    except subprocess.TimeoutExpired:
        return {**row, "bytes": None, "why": f"over {options.seconds_each:.0f} s"}
    if done.returncode:
        # Running out of memory is a result; any other error is a fault of this program.
        spent = ("out of memory", "allocate memory", "MemoryError", "bad_alloc")
        if done.returncode > 0 and not any(words in done.stderr for words in spent):
            raise RuntimeError(done.stderr)
        return {**row, "bytes": None, "why": "out of memory"}
    return {**row, **json.loads(done.stdout)}


def _table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        done = row["bytes"] is not None
        lines.append(
            [
                KINDS[row["kind"]],
                " x ".join(map(str, row["shape"])),
                f"{row['kept']:,}" if done else "-",
                f"{100 * row['kept'] / row['voxels']:.2f} %" if done else "-",
                f"{row['finest']:,}" if done else "-",
                f"{row['bytes'] / 2**20:.0f}" if done else row["why"],
                f"{row['seconds']:.1f}" if done else "-",
            ]
        )
    header = ["network", "window", "voxels kept", "kept", "voxels of the output", "peak, MiB"]
    return markdown_table([*header, "s"], lines)


def _laws(rows: list[dict[str, Any]], over: str) -> str:
    """Exponent of memory as a power of a quantity, by linear regression of the logarithms."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind and row["bytes"]]
        if len(own) > 1:
            x = np.log([row[over] for row in own])
            slope = np.polyfit(x, np.log([row["bytes"] for row in own]), 1)[0]
            lines.append(f"* {KINDS[kind]}: memory grows as {over}^{slope:.2f}")
    return "\n".join(lines)


def _joint_laws(rows: list[dict[str, Any]]) -> str:
    """Memory as a power law of the window's voxels and the share kept, fitted to all rows."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows if row["kind"] != "dense-2d"):
        own = [row for row in rows if row["kind"] == kind and row["bytes"]]
        if len(own) < 4:
            continue
        voxels = np.array([row["voxels"] for row in own], float)
        share = np.array([row["kept"] for row in own]) / voxels
        terms = np.column_stack([np.ones(len(own)), np.log(voxels), np.log(share)])
        wanted = np.log([row["bytes"] for row in own])
        (constant, a, b), *_ = np.linalg.lstsq(terms, wanted, rcond=None)
        off = np.exp(np.abs(terms @ [constant, a, b] - wanted).max())
        lines.append(
            f"* {KINDS[kind]}: {np.exp(constant):.3g} bytes x voxels^{a:.2f} x share^{b:.2f}; "
            f"no measurement is off by more than a factor of {off:.2f}"
        )
    return "\n".join(lines)


def _dense_3d(rows: list[dict[str, Any]]) -> str:
    done = [row for row in rows if row["bytes"]]
    factor, fixed = _dense_line(done)
    config = DeepSTULMConfig(space_axes=3)
    text = (
        f"Law of the dense network, fitted in 2-D: {factor:.2f} x the bytes counted layer by layer, "
        f"and a fixed {fixed / 2**20:.0f} MiB that is left out in 3-D.\n\n"
    )
    lines = []
    sparse: dict[tuple[int, ...], dict[str, int]] = {}
    for row in done:
        if "3d" in row["kind"]:
            sparse.setdefault(tuple(row["shape"]), {})[row["kind"]] = row["bytes"]
    for shape in dict.fromkeys([*sparse, PUBLISHED_3D]):
        law = factor * stored_bytes(config, list(shape))
        cells = [" x ".join(map(str, shape)), f"{law / 2**20:,.0f}"]
        for kind in ("sparse-3d", "sparse-3d pruned"):
            peak = sparse.get(shape, {}).get(kind)
            cells.append(f"{peak / 2**20:,.0f} ({law / peak:.0f}x under)" if peak else "not run")
        lines.append(cells)
    header = ["window", "dense by the law, MiB", "sparse, MiB", "sparse pruned, MiB"]
    return text + markdown_table(header, lines)


def _dense_line(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Slope and intercept of the dense network's measured bytes as a function of the counted ones."""
    own = [row for row in rows if row["kind"] == "dense-2d" and row["bytes"]]
    counted = [stored_bytes(DeepSTULMConfig(), row["shape"]) for row in own]
    slope, constant = np.polyfit(counted, [row["bytes"] for row in own], 1)
    return float(slope), float(constant)


def plot(by_volume: list[dict[str, Any]], by_share: list[dict[str, Any]], path: Path) -> None:
    """Plot memory against the window's voxels, and against the kept voxels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    for axes, rows, over in zip(panels, (by_volume, by_share), ("voxels", "kept"), strict=True):
        for k, (kind, name) in enumerate(KINDS.items()):
            own = [row for row in rows if row["kind"] == kind and row["bytes"]]
            if own:
                mebibytes = [row["bytes"] / 2**20 for row in own]
                axes.loglog([row[over] for row in own], mebibytes, f"C{k}o-", label=name)
        axes.grid(alpha=0.3, which="both")
    windows = [row["shape"] for row in by_volume if row["kind"] == "sparse-3d"]
    factor, _ = _dense_line(by_volume)
    law = [factor * stored_bytes(DeepSTULMConfig(space_axes=3), s) / 2**20 for s in windows]
    panels[0].loglog([prod(s) for s in windows], law, "k--", label="dense, 3-D, by the law")
    panels[0].set(xlabel="voxels of the window, all frames", ylabel="peak memory, MiB")
    panels[1].set(xlabel="voxels kept, all frames")
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
