"""spconv is tried out on a GPU before it computes anything there."""

from __future__ import annotations

import logging

import pytest
import torch

from napari_ulm3d.errors import BackendError
from napari_ulm3d.networks import build
from napari_ulm3d.sparse import SparseTensor, kernel_map, resolve_backend, submanifold_map
from napari_ulm3d.sparse.backends import backend, backend_spconv, spconv_check
from napari_ulm3d.sparse.backends.backend_torch import convolve_torch
from napari_ulm3d.sparse.backends.spconv_check import (
    USUAL,
    Convolution,
    check_spconv,
    convolutions_of,
    spconv_fault,
)


@pytest.fixture(autouse=True)
def _anew():
    spconv_check.forget()
    yield
    spconv_check.forget()


def in_place_of_spconv(monkeypatch, convolve) -> list[torch.dtype]:
    seen = []

    def counted(features, weight, bias, pairs, transposed):
        seen.append(features.dtype)
        return convolve(features, weight, bias, pairs, transposed)

    monkeypatch.setattr(spconv_check, "convolve_spconv", counted)
    return seen


def test_what_agrees_with_ours_is_trusted_after_one_trial(monkeypatch):
    seen = in_place_of_spconv(monkeypatch, convolve_torch)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert spconv_fault("cpu") is None
    assert set(seen) == {torch.float32}
    assert len(seen) == len(USUAL)
    tried = len(seen)
    assert spconv_fault("cpu") is None
    assert len(seen) == tried


def test_numbers_a_little_off_are_a_fault(monkeypatch):
    in_place_of_spconv(monkeypatch, lambda *given: 1.01 * convolve_torch(*given))
    assert "torch.float32: error of 0." in spconv_fault("cpu")


def test_a_wrong_gradient_is_a_fault(monkeypatch):
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return 2 * grad

    in_place_of_spconv(
        monkeypatch,
        lambda features, weight, *rest: convolve_torch(features, Doubled.apply(weight), *rest),
    )
    assert "error of 1" in spconv_fault("cpu")


@pytest.mark.parametrize("which", [0, 2], ids=["features", "bias"])
def test_not_a_number_in_a_gradient_is_a_fault(monkeypatch, which):
    def lost(*given):
        out = convolve_torch(*given)
        given[which].register_hook(lambda grad: torch.nan * grad)
        return out

    in_place_of_spconv(monkeypatch, lost)
    assert "error of nan" in spconv_fault("cpu")


@pytest.mark.slow
def test_a_fault_in_16_bits_does_not_forbid_32(monkeypatch, caplog):
    def picky(features, *rest):
        if features.dtype == torch.float16:
            raise ValueError("can't find suitable algorithm for 0")
        return convolve_torch(features, *rest)

    seen = in_place_of_spconv(monkeypatch, picky)
    monkeypatch.setattr(backend, "has_cuda_spconv", lambda: True)
    fault = spconv_check._fault  # no GPU is needed

    def without_gpu(one, _, dtype):
        return fault(one, "cpu", dtype)

    without_gpu.cache_clear = fault.cache_clear
    monkeypatch.setattr(spconv_check, "_fault", without_gpu)
    with caplog.at_level(logging.WARNING, "napari_ulm3d"):
        for _ in range(2):
            assert resolve_backend(None, "cuda", torch.float32) == "spconv"
            assert resolve_backend(None, "cuda", torch.float16) == "torch"
    assert torch.float16 in seen
    (record,) = caplog.records
    assert "float16: ValueError: can't find suitable algorithm" in record.message
    assert resolve_backend("spconv", "cuda", torch.float32) == "spconv"
    with pytest.raises(BackendError, match=r"suitable algorithm.*Use the torch backend"):
        resolve_backend("spconv", "cuda", torch.float16)
    with pytest.raises(BackendError, match="float64"):
        resolve_backend("spconv", "cuda", torch.float64)


def test_the_convolutions_of_the_network_are_tried(monkeypatch):
    network = build("BubbleNet", {"stem": 3, "channels": [8, 12], "blocks": 1, "time_kernel": 5})
    found = convolutions_of(network)
    assert found == {
        Convolution(2, 6, (1, 3, 3, 3)),
        Convolution(6, 6, (5, 1, 1, 1)),
        Convolution(8, 8, (1, 3, 3, 3)),
        Convolution(8, 8, (5, 1, 1, 1)),
        Convolution(12, 12, (1, 3, 3, 3)),
        Convolution(12, 12, (5, 1, 1, 1)),
        Convolution(12, 8, (1, 2, 2, 2), (1, 2, 2, 2), True),
    }
    given = []

    def wrong_for_12(features, weight, *rest):
        given.append((features.shape[1], weight.shape[0], weight.shape[1]))
        out = convolve_torch(features, weight, *rest)
        return 2 * out if weight.shape[0] == 12 else out

    in_place_of_spconv(monkeypatch, wrong_for_12)
    faults = check_spconv(network, "cpu")
    assert all("12 to 12 channels" in fault for fault in faults.values())
    assert "12 to 12 channels" in spconv_fault("cpu", torch.float32)  # for all that follow
    small = build("BubbleNet", {"stem": 3, "channels": [8], "blocks": 1})
    spconv_check.forget()
    assert set(check_spconv(small, "cpu").values()) == {None}
    assert (6, 6, 3) in given


@pytest.mark.parametrize("kernel", [(3, 3, 3), (3, 5, 5)], ids=["one word", "three words"])
def test_the_implicit_product_gets_neighbours_and_masks(kernel, monkeypatch):
    """By what spconv's kernel reads, worked out here: rows of every offset whose bit is set."""
    functional = pytest.importorskip("spconv.pytorch.functional")

    def read(features, weight, forward, backward, masks, masks_back, orders, orders_back, n, *rest):
        (mask,), (order,) = masks, orders
        assert rest[1:] == (True, False)
        assert forward.shape == (weight.shape[1], n)
        assert mask.shape == (n, -(-weight.shape[1] // 32))
        assert sorted(order.tolist()) == list(range(n))
        assert backward.shape == (weight.shape[1], len(features))
        assert masks_back[0].shape[0] == orders_back[0].shape[0] == len(features)
        out = torch.zeros(n, weight.shape[0])
        for target in order.tolist():
            for offset in range(weight.shape[1]):
                there = (int(mask[target, offset // 32]) >> (offset % 32)) & 1
                assert there == (forward[offset, target] >= 0)
                if there:
                    source = int(forward[offset, target])
                    assert backward[offset, source] == target
                    out[target] += weight[:, offset] @ features[source]
        return out

    monkeypatch.setattr(functional, "implicit_gemm", read)
    generator = torch.Generator().manual_seed(1)
    indices = (torch.rand(1, 4, 5, 6, generator=generator) < 0.4).nonzero()
    x = SparseTensor.create(indices, torch.randn(len(indices), 2, generator=generator), (4, 5, 6))
    half = tuple(k // 2 for k in kernel)
    coarse = x.coordinates.coarsen(kernel, (2, 2, 2), half, (2, 3, 3))
    down = kernel_map(x.coordinates, coarse, kernel, (2, 2, 2), half)
    low = torch.randn(len(coarse), 2, generator=generator)
    for features, pairs, transposed in (
        (x.features, submanifold_map(x.coordinates, kernel), False),
        (x.features, down, False),
        (low, down, True),
    ):
        weight = torch.randn(3, pairs.volume, 2, generator=generator, requires_grad=True)
        found = backend_spconv._convolve_implicit(features, weight, pairs, transposed)
        wanted = convolve_torch(features, weight, None, pairs, transposed)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_doctor_tells_a_verdict_a_type(monkeypatch):
    from napari_ulm3d.cli.doctor import _verdicts

    def picky(features, *rest):
        if features.dtype == torch.float16:
            raise ValueError("no kernel")
        return convolve_torch(features, *rest)

    in_place_of_spconv(monkeypatch, picky)
    monkeypatch.setattr(spconv_check, "convolutions_of", lambda network: USUAL)
    full, half = _verdicts("spconv 2.3", "cpu").splitlines()
    assert full == "spconv 2.3, float32"
    assert half.startswith("torch, float16 (spconv 2.3 failed: ")


def test_the_cpu_build_of_spconv_is_found_out():
    """It has no backward pass."""
    pytest.importorskip("spconv")
    assert spconv_fault("cpu")
