"""The sparse engine against dense convolution and spconv. `python -m benchmarks.sparse_engine`

One submanifold convolution, 3^3, 32 to 32 channels, on a volume whose kept voxels are clustered
like the maxima of a correlation map: time of the kernel map and of the forward and backward
pass, and memory in addition to the inputs, each in a separate process. spconv on the CPU uses
one thread, since its results are wrong with more, and has no backward pass; it is included only
for comparison.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

from benchmarks.machine import in_child, machine_line, markdown_table

OCCUPANCY = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2)
METHODS = {
    "dense": "torch, dense",
    "sparse": "this engine",
    "spconv": "spconv, 1 thread",
    "dense cuda": "torch, dense, CUDA",
    "sparse cuda": "this engine, torch on CUDA",
    "spconv cuda": "this engine, spconv on CUDA",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small volume, three occupancies")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(_measure(**json.loads(arguments.child))))
        return
    print(machine_line("torch", *(["spconv"] if util.find_spec("spconv") else [])), end="\n\n")
    side = 48 if arguments.quick else 96
    occupancies = OCCUPANCY[::2] if arguments.quick else OCCUPANCY
    print(f"## One 3^3 submanifold convolution, 32 channels, {side}^3 voxels\n")
    print(_comparison(side, occupancies), end="\n\n")
    print("## This engine by kernel and channels, 3 % of the voxels\n")
    print(_engine(arguments.quick))


def _methods() -> list[str]:
    import torch

    from napari_ulm3d.device import has_cuda_spconv

    names = ["dense", "sparse"]
    if util.find_spec("spconv"):
        names.append("spconv")
    if torch.cuda.is_available():
        names += ["dense cuda", "sparse cuda"]
        if has_cuda_spconv():
            names.append("spconv cuda")
    return names


def _comparison(side: int, occupancies: tuple[float, ...]) -> str:
    rows = []
    methods = _methods()
    for occupancy in occupancies:
        for method in methods:
            m = in_child(
                "benchmarks.sparse_engine",
                method=method,
                shape=[side] * 3,
                kernel=[3] * 3,
                channels=32,
                occupancy=occupancy,
            )
            rows.append(
                [
                    f"{100 * occupancy:g} %",
                    METHODS[method],
                    f"{m['voxels']:,}",
                    _ms(m["map_s"]),
                    _ms(m["forward_s"]),
                    _ms(m["backward_s"]),
                    "-" if m["peak_bytes"] is None else f"{m['peak_bytes'] / 2**20:.0f}",
                ]
            )
    header = ["kept", "method", "voxels", "map, ms", "forward, ms", "backward, ms", "memory, MiB"]
    return markdown_table(header, rows)


def _engine(quick: bool) -> str:
    side3, side4 = ([64] * 3, [16] * 4) if quick else ([128] * 3, [64, 32, 32, 32])
    cases = [(side3, [3] * 3, c) for c in (16, 32, 64)]
    cases += [(side3, [5] * 3, 32), (side4, [3, 1, 1, 1], 32), (side4, [3] * 4, 32)]
    if not quick:
        cases.append((side4, [5] * 4, 16))
    rows = []
    for shape, kernel, channels in cases:
        m = in_child(
            "benchmarks.sparse_engine",
            method="sparse",
            shape=shape,
            kernel=kernel,
            channels=channels,
            occupancy=0.03,
        )
        work = 2 * channels**2 * m["pairs"]
        rows.append(
            [
                " x ".join(map(str, kernel)),
                str(channels),
                f"{m['voxels']:,}",
                f"{m['pairs'] / m['voxels']:.1f}",
                f"{1e6 * m['map_s'] / m['voxels']:.3f}",
                f"{work / m['forward_s'] / 1e9:.0f}",
                f"{2 * work / m['backward_s'] / 1e9:.0f}",
            ]
        )
    header = ["kernel", "channels", "voxels", "pairs/voxel", "map, us/voxel", "forward, GFLOP/s"]
    return markdown_table([*header, "backward, GFLOP/s"], rows)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.1f}"


def _measure(
    method: str, shape: list[int], kernel: list[int], channels: int, occupancy: float
) -> dict[str, Any]:
    import torch

    torch.manual_seed(0)
    name, _, device = method.partition(" ")
    device = device or "cpu"
    if method == "spconv":
        import spconv.pytorch  # noqa: F401
        from threadpoolctl import threadpool_limits

        # Its kernels use a separate OpenMP library.
        torch.set_num_threads(1)
        threadpool_limits(1)
    mask = _clumps(shape, occupancy)
    prepare = {"dense": _dense_case, "sparse": _sparse_case, "spconv": _spconv_case}
    if method == "spconv cuda":
        name = "sparse"
    run_small = prepare[name](torch.ones([1, *(5 for _ in shape)]) > 0, kernel, channels, method)
    for part in run_small[:3]:
        if part is not None:
            part()
    make_map, forward, backward, pairs = prepare[name](mask, kernel, channels, method)
    base = _memory_now(device)
    seconds = [
        None if part is None else _best(part, device) for part in (make_map, forward, backward)
    ]
    return {
        "voxels": int(mask.sum()),
        "pairs": pairs(),
        "map_s": seconds[0],
        "forward_s": seconds[1],
        "backward_s": seconds[2],
        "peak_bytes": None if base is None else _memory_peak(device) - base,
    }


def _clumps(shape: list[int], occupancy: float) -> Any:
    """(1, *shape) bool: the highest values of noise smoothed over five voxels."""
    import torch

    noise = torch.randn(shape)
    taps = torch.tensor([[[0.25, 0.5, 1.0, 0.5, 0.25]]])
    for axis in range(len(shape)):
        rows = noise.movedim(axis, -1)
        smooth = torch.nn.functional.conv1d(rows.reshape(-1, 1, shape[axis]), taps, padding=2)
        noise = smooth.reshape(rows.shape).movedim(-1, axis)
    kept = max(1, round(occupancy * noise.numel()))
    return (noise >= noise.flatten().topk(kept).values[-1])[None]


def _dense_case(mask: Any, kernel: list[int], channels: int, method: str) -> tuple[Any, ...]:
    import torch

    device = "cuda" if method.endswith("cuda") else "cpu"
    layer = torch.nn.Conv3d(
        channels, channels, (kernel[0], kernel[1], kernel[2]), padding="same", bias=False
    ).to(device)
    x = torch.randn(1, channels, *mask.shape[1:], device=device, requires_grad=True)
    return None, *_passes(lambda: layer(x), [x, layer.weight]), lambda: 0


def _sparse_case(mask: Any, kernel: list[int], channels: int, method: str) -> tuple[Any, ...]:
    import torch

    from napari_ulm3d.sparse import (
        Backend,
        Coordinates,
        SparseTensor,
        SubmanifoldConv,
        submanifold_map,
    )

    device = "cuda" if method.endswith("cuda") else "cpu"
    backend: Backend = "spconv" if method == "spconv cuda" else "torch"
    features = torch.randn(int(mask.sum()), channels, device=device, requires_grad=True)
    x = SparseTensor.create(mask.nonzero(), features, mask.shape[1:], backend=backend)
    layer = SubmanifoldConv(channels, channels, kernel, bias=False).to(device)
    c = x.coordinates

    def make_map() -> Any:
        return submanifold_map(Coordinates(c.indices, c.shape, 1, c.stride), tuple(kernel))

    forward, backward = _passes(lambda: layer(x).features, [features, layer.weight])
    return make_map, forward, backward, lambda: submanifold_map(c, tuple(kernel)).n_pairs


def _spconv_case(mask: Any, kernel: list[int], channels: int, method: str) -> tuple[Any, ...]:
    import spconv.pytorch as spconv
    import torch

    indices = mask.nonzero().int().contiguous()
    x = spconv.SparseConvTensor(
        torch.randn(len(indices), channels), indices, list(mask.shape[1:]), 1
    )
    layer = spconv.SubMConv3d(channels, channels, kernel, bias=False, indice_key="k")
    known: list[Any] = []

    def make_map() -> Any:
        return spconv.ops.get_indice_pairs(
            indices, 1, x.spatial_shape, layer.algo, layer.kernel_size, [1] * 3,
            layer.padding, [1] * 3, [0] * 3, True,
        )  # fmt: skip

    def forward() -> Any:
        with torch.no_grad():
            if not known:
                known.append(layer(x))  # from now on its pairs are known
            return layer(known[0].replace_feature(x.features))

    return make_map, forward, None, lambda: 0


def _passes(
    forward: Callable[[], Any], inputs: list[Any]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import torch

    kept: list[Any] = []

    def run_forward() -> Any:
        kept[:] = [forward()]
        return kept[0]

    def run_backward() -> Any:
        return torch.autograd.grad(kept[0].sum(), inputs, retain_graph=True)

    return run_forward, run_backward


def _best(run: Callable[[], Any], device: str) -> float:
    """Time of the fastest of several runs in seconds."""
    import torch

    run()
    best, spent, times = float("inf"), 0.0, 0
    while times < 3 or (spent < 0.5 and times < 20):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        took = time.perf_counter() - start
        best, spent, times = min(best, took), spent + took, times + 1
    return best


def _memory_now(device: str) -> int | None:
    """Current memory in bytes; resets `_memory_peak`. None if it cannot be measured."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    if not sys.platform.startswith("linux"):
        return None
    # Return freed memory to the system first, or it would hide new allocations.
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _memory_peak(device: str) -> int:
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))


if __name__ == "__main__":
    main()
