"""Compare a device with the CPU: layers, networks, and behaviour when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gpu.report import Row
from napari_ulm3d.config import NetworkConfig
from napari_ulm3d.device import has_cuda_spconv
from napari_ulm3d.localize.network import predict
from napari_ulm3d.networks.bubblenet import BubbleNet
from napari_ulm3d.networks.bubblenet_input import BubbleInput, collate
from napari_ulm3d.networks.deepstulm import DeepSTULM
from napari_ulm3d.networks.mask_cnn import MaskCNN
from napari_ulm3d.networks.shipped import load_weights
from napari_ulm3d.networks.volumes.completion import CompletionNet
from napari_ulm3d.networks.volumes.config import FEATURES
from napari_ulm3d.networks.volumes.segmentation import SegmentationNet
from napari_ulm3d.networks.volumes.superresolution import SuperResolutionNet
from napari_ulm3d.networks.weights import read_card, shipped_weights
from napari_ulm3d.pipeline.localizers.trial import bubbles_in
from napari_ulm3d.sparse import (
    Backend,
    InverseConv,
    MaxPool,
    SparseConv,
    SparseTensor,
    SparseTransposedConv,
    SubmanifoldConv,
    TimePool,
    tables_everywhere,
)

__all__ = ["bubble_block", "layers", "networks", "short_of_memory"]

_TOLERANCE = {torch.float32: 1e-4, torch.float16: 3e-2}

_LAYERS: dict[str, Callable[[], nn.Module]] = {
    "submanifold 3x3x3": lambda: SubmanifoldConv(16, 24, (3, 3, 3)),
    "submanifold 7x7x7": lambda: SubmanifoldConv(8, 8, (7, 7, 7)),
    "strided 3x3x3": lambda: SparseConv(16, 24, (3, 3, 3), 2),
    "transposed 2x2x2": lambda: SparseTransposedConv(16, 8, (2, 2, 2), 2),
    "inverse 3x3x3": lambda: InverseConv(16, 8, (3, 3, 3), 1),
    "maximum 2x2x2": lambda: MaxPool((2, 2, 2)),
    "time, mean": lambda: TimePool("mean"),
}


def bubble_block(shape: tuple[int, ...], share: float | None = None, seed: int = 0) -> BubbleInput:
    """A block of kept voxels, clustered as for real bubbles; or a random share of all voxels."""
    if share is None:
        kept = bubbles_in(shape)
        coordinates, values = kept.coordinates, kept.values
    else:
        rng = np.random.default_rng(seed)
        n = max(1, round(share * float(np.prod(shape))))
        flat = np.sort(rng.choice(int(np.prod(shape)), n, replace=False))
        coordinates = np.stack(np.unravel_index(flat, shape), 1).astype(np.int32)
        values = (rng.normal(size=(n, 2)) @ [1, 1j]).astype(np.complex64)
    t, z, y, x = shape
    return BubbleInput(coordinates, 0.3 * values, 4 * values, (t, z, y, x), (2.5,) * 3)


def _ways(device: str) -> Iterator[tuple[Backend, torch.dtype]]:
    kinds: list[torch.dtype] = [torch.float32]
    if device != "cpu":
        kinds.append(torch.float16)
    for dtype in kinds:
        yield "torch", dtype
        if device != "cpu" and has_cuda_spconv():
            yield "spconv", dtype


def _as_gpu(device: str) -> AbstractContextManager[None]:
    """On the CPU, use the GPU's code."""
    return tables_everywhere() if device == "cpu" else nullcontext()


def _difference(found: list[Tensor], wanted: list[Tensor]) -> float:
    """Largest error of all tensors relative to the largest expected value."""
    worst = 0.0
    for a, b in zip(found, wanted, strict=True):
        a, b = a.detach().cpu().double(), b.detach().cpu().double()
        if a.shape != b.shape or not bool(a.isfinite().all()):
            return float("inf")
        if b.numel():
            worst = max(worst, float((a - b).abs().max() / b.abs().max().clamp_min(1e-30)))
    return worst


def _verdict(error: float, dtype: torch.dtype) -> Row:
    return [f"{error:.1e}", "ok" if error <= _TOLERANCE[dtype] else "FAILED"]


def layers(device: str) -> Iterator[Row]:
    """Compare each layer, forward and backward, with lists of pairs on the CPU in 32 bits."""
    for name, make in _LAYERS.items():
        torch.manual_seed(0)
        layer = make()
        channels = getattr(layer, "in_channels", 8)
        mask = torch.rand(2, 12, 11, 9) < 0.2
        values = torch.randn(int(mask.sum()), channels)
        wanted = _both_ways(layer, mask.nonzero(), values, "cpu", "torch", torch.float32)
        for backend, dtype in _ways(device):
            with _as_gpu(device):
                found = _both_ways(layer, mask.nonzero(), values, device, backend, dtype)
            error = _difference(found, wanted)
            yield [name, backend, _bits(dtype), *_verdict(error, dtype)]


def _both_ways(
    layer: nn.Module,
    indices: Tensor,
    values: Tensor,
    device: str,
    backend: Backend,
    dtype: torch.dtype,
) -> list[Tensor]:
    layer = layer.to(device, dtype)
    features = values.to(device, dtype).requires_grad_()
    x = SparseTensor.create(indices, features, (12, 11, 9), 2, backend=backend)
    y = layer(x, x) if isinstance(layer, InverseConv) else layer(x)
    given = [features, *layer.parameters()]
    gradient = torch.autograd.grad(y.features.float().sin().sum(), given)
    return [y.features, *gradient]


def networks(device: str, small: bool) -> Iterator[Row]:
    """Compare the output of every shipped network, and the gradients of its weights."""
    for name, path in shipped_weights().items():
        card = read_card(path)
        for dtype in {dtype for _, dtype in _ways(device)}:
            results = []
            for where in ("cpu", device):
                network = load_weights(path, (card.architecture,), where).network.eval()
                tried = len(results) == 1
                half = torch.autocast(
                    where, torch.float16, enabled=tried and dtype == torch.float16
                )
                with half, _as_gpu(device) if tried else nullcontext():
                    said = _said(network, small)
                weights = [p for p in network.parameters() if p.requires_grad]
                total = torch.stack([part.float().sin().sum() for part in said]).sum()
                gradients = torch.autograd.grad(total, weights, allow_unused=True)
                flat = torch.cat([g.float().flatten() for g in gradients if g is not None])
                results.append([*said, flat])
            error = _difference(results[1], results[0])
            yield [name, card.architecture, _bits(dtype), *_verdict(error, dtype)]


def _said(network: nn.Module, small: bool) -> list[Tensor]:
    """Output of a network for synthetic voxels, on its device."""
    device = next(network.parameters()).device
    if isinstance(network, BubbleNet):
        x = collate([bubble_block((6, 12, 10, 8) if small else (24, 32, 30, 28))], device)
        out = network(x)
        return [out.logit, out.offset, out.log_sigma, out.velocity, out.level]
    if isinstance(network, MaskCNN):
        dense = bubbles_in((8, 12, 12, 12)).dense()
        pair = torch.from_numpy(np.stack([dense.real, dense.imag]))[None]
        return [network(pair.to(device))]
    if isinstance(network, CompletionNet | SegmentationNet | SuperResolutionNet):
        return _said_of_a_map(network, device)
    settings: Any = network.config
    flat = settings.space_axes == 2
    frames = 2 * settings.head_time_stride if hasattr(settings, "head_time_stride") else 32
    kept = bubbles_in((max(frames, 16), 8, 1 if flat else 8, 8), still=True)
    x = SparseTensor.from_frames(kept, flat=flat, device=device)
    if isinstance(network, DeepSTULM):
        return [network(x.dense())]
    return [network(x).output.dense()]


def _said_of_a_map(network: nn.Module, device: torch.device) -> list[Tensor]:
    """Output of a network on vessel maps for synthetic voxels."""
    generator = torch.Generator().manual_seed(0)
    places = (torch.rand(1, 16, 12, 20, generator=generator) < 0.1).nonzero().int()
    features = torch.rand(len(places), len(FEATURES), generator=generator)
    out = network(SparseTensor.create(places, features, (16, 12, 20)).to(device))
    if isinstance(network, SegmentationNet):
        return [out.vessel.dense(), out.kind.dense()]
    return [logit.dense() for logit in out.logits]


def short_of_memory(device: str, network: BubbleNet, small: bool) -> Iterator[Row]:
    """Check that a block that does not fit into memory gives the same result in smaller passes."""
    block = bubble_block((40, 12, 12, 12) if small else (400, 40, 36, 32))
    config = NetworkConfig(views=2, min_score=0.01)

    def found() -> list[np.ndarray]:
        parts = list(predict(network, block, config, device=device))
        return [
            np.concatenate([p.position for p in parts]),
            np.concatenate([p.probability for p in parts]),
        ]

    with _as_gpu(device):
        plenty = found()
        calls = {"n": 0}
        limit = torch.cuda.max_memory_allocated() if device != "cpu" else 0
        if device == "cpu":

            def ends_once(*given: Any) -> None:
                calls["n"] += 1
                if calls["n"] == 1:
                    raise torch.cuda.OutOfMemoryError("CUDA out of memory, as a GPU would say")

            handle = network.register_forward_pre_hook(ends_once)
        else:
            torch.cuda.empty_cache()
            whole = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, 0.5 * limit / whole))
        try:
            little = found()
        finally:
            if device == "cpu":
                handle.remove()
            else:
                torch.cuda.set_per_process_memory_fraction(1.0)
    same = all(
        a.shape == b.shape and np.allclose(a, b, atol=1e-3)
        for a, b in zip(plenty, little, strict=True)
    )
    how = "said once that memory had ended" if device == "cpu" else "half of the memory it took"
    yield [f"{len(block):,} voxels", how, f"{len(little[0]):,}", "ok" if same else "FAILED"]


def _bits(dtype: torch.dtype) -> str:
    return "16" if dtype == torch.float16 else "32"
