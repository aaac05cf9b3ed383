"""Half precision: sparse networks agree with and without autocast."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from bubble_blocks import random_block

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks import build
from napari_ulm3d.networks.bubblenet_input import collate
from napari_ulm3d.networks.precision import half_precision
from napari_ulm3d.sparse import SparseTensor


def test_bubblenet_in_half_precision_says_nearly_the_same() -> None:
    # On the CPU autocast is for bfloat16, whose steps are eight times those of CUDA's float16.
    torch.manual_seed(0)
    net = build("BubbleNet", {"stem": 4, "channels": (8, 12), "blocks": 1, "head": 8}).eval()
    given = collate([random_block((6, 8, 8, 8), 0.1, level=50.0)])
    with torch.inference_mode():
        full = net(given)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = net(given)
    assert half.logit.dtype == torch.float32  # places are finer than 16 bits can say
    assert not torch.equal(full.logit, half.logit)  # and yet most was computed in 16
    for name in ("logit", "offset", "log_sigma", "velocity", "level"):
        a, b = getattr(full, name), getattr(half, name).float()
        assert (a - b).abs().max() < 0.03 * a.abs().max() + 0.02, name


def test_a_trajectory_network_in_half_precision() -> None:
    torch.manual_seed(0)
    settings = {"channels": 4, "convolutions": 1, "doublings": 1, "pruning": False}
    net = build("SparseDeepSTULM", {**settings, "deep_supervision": False}).eval()
    dense = torch.randn(1, 2, 32, 12, 12) * (torch.rand(1, 1, 32, 12, 12) < 0.05)
    x = SparseTensor.from_dense(dense)
    with torch.inference_mode():
        full = net(x).output.features
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = net(x).output.features
    assert (full - half.float()).abs().max() < 0.03


def test_half_is_refused_off_cuda() -> None:
    assert isinstance(half_precision("auto", "cuda"), nullcontext)
    assert isinstance(half_precision("full", "cpu"), nullcontext)
    with pytest.raises(ConfigError, match="needs CUDA"):
        half_precision("half", "cpu")
