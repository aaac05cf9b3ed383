"""spconv is tried out on a GPU before it computes anything there."""

from __future__ import annotations

import logging

import pytest
import torch

from napari_ulm3d.errors import BackendError
from napari_ulm3d.sparse import resolve_backend
from napari_ulm3d.sparse.backends import backend, spconv_check
from napari_ulm3d.sparse.backends.backend_torch import convolve_torch
from napari_ulm3d.sparse.backends.spconv_check import spconv_fault


@pytest.fixture(autouse=True)
def _anew():
    spconv_fault.cache_clear()
    yield
    spconv_fault.cache_clear()


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
    assert set(seen) == {torch.float32, torch.float16}
    tried = len(seen)
    assert spconv_fault("cpu") is None
    assert len(seen) == tried


def test_numbers_a_little_off_are_a_fault(monkeypatch):
    in_place_of_spconv(monkeypatch, lambda *given: 1.01 * convolve_torch(*given))
    assert "torch.float32: error of 0.0" in spconv_fault("cpu")


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


def test_what_knows_no_kernel_for_half_precision_is_not_taken(monkeypatch, caplog):
    def picky(features, *rest):
        if features.dtype == torch.float16:
            raise ValueError("can't find suitable algorithm for 0")
        return convolve_torch(features, *rest)

    in_place_of_spconv(monkeypatch, picky)
    monkeypatch.setattr(backend, "_has_cuda_spconv", lambda: True)
    trial = spconv_check._trial
    fault = trial("cpu")
    assert "float16: ValueError: can't find suitable algorithm" in fault
    monkeypatch.setattr(spconv_check, "_trial", lambda device: trial("cpu"))  # no GPU is needed
    with caplog.at_level(logging.WARNING, "napari_ulm3d"):
        assert resolve_backend(None, "cuda") == "torch"
        assert resolve_backend(None, "cuda") == "torch"
    assert [record.message for record in caplog.records] == [
        f"spconv failed its check on cuda and is not used: {fault}"
    ]
    with pytest.raises(BackendError, match=r"suitable algorithm.*Use the torch backend"):
        resolve_backend("spconv", "cuda")


def test_the_cpu_build_of_spconv_is_found_out():
    """It has no backward pass."""
    pytest.importorskip("spconv")
    assert spconv_fault("cpu")
