"""The two backends: which one is taken, and that both give the same numbers."""

from __future__ import annotations

import subprocess
import sys
from importlib import util

import pytest
import torch
from threadpoolctl import threadpool_limits

from napari_ulm3d.device import has_cuda_spconv
from napari_ulm3d.errors import BackendError, ConfigError
from napari_ulm3d.sparse import (
    InverseConv,
    SparseConv,
    SparseTensor,
    SparseTransposedConv,
    SubmanifoldConv,
    convolve,
    kernel_map,
    resolve_backend,
    submanifold_map,
)
from napari_ulm3d.sparse.backends import backend

HAS_SPCONV = util.find_spec("spconv") is not None
needs_spconv = pytest.mark.skipif(not HAS_SPCONV, reason="spconv is not installed")
needs_cuda = pytest.mark.skipif(
    not (torch.cuda.is_available() and has_cuda_spconv()),
    reason="spconv computes on CUDA alone: no CUDA device, or no CUDA build of spconv",
)


def random_tensor(shape, channels=4, occupancy=0.15, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    indices = (torch.rand(batch, *shape, generator=generator) < occupancy).nonzero()
    features = torch.randn(len(indices), channels, generator=generator)
    return SparseTensor.create(indices, features, shape, batch)


@pytest.fixture
def one_thread():
    """spconv's CPU kernels race with more; they run in an OpenMP library of their own."""
    import spconv.pytorch  # noqa: F401

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


def test_the_processor_takes_torch_and_never_spconv():
    assert resolve_backend(None, "cpu") == "torch"
    with pytest.raises(BackendError, match="wrong results"):
        resolve_backend("spconv", "cpu")
    x = random_tensor((4, 4))
    with pytest.raises(BackendError, match="wrong results"):
        SubmanifoldConv(4, 4, (3, 3))(SparseTensor(x.features, x.coordinates, "spconv"))


def test_cuda_takes_spconv_where_its_cuda_build_is(monkeypatch):
    monkeypatch.setattr(backend, "has_cuda_spconv", lambda: True)
    monkeypatch.setattr(backend, "spconv_fault", lambda device, dtype: None)
    assert resolve_backend(None, "cuda") == "spconv"
    assert resolve_backend("torch", "cuda") == "torch"
    monkeypatch.setattr(backend, "has_cuda_spconv", lambda: False)
    assert resolve_backend(None, "cuda") == "torch"
    with pytest.raises(BackendError, match="pip install"):
        resolve_backend("spconv", "cuda")
    with pytest.raises(BackendError, match="no sparse backend"):
        resolve_backend("minkowski", "cuda")


def test_operands_that_do_not_fit_say_so():
    x = random_tensor((5, 5))
    pairs = submanifold_map(x.coordinates, (3, 3))
    with pytest.raises(ConfigError, match="do not match"):
        convolve(x.features, torch.zeros(2, 3, 3, 5), None, pairs)
    with pytest.raises(ConfigError, match="do not match"):
        convolve(x.features, torch.zeros(2, 3, 1, 4), None, pairs)
    with pytest.raises(ConfigError, match="one type"):
        convolve(x.features.double(), torch.zeros(2, 3, 3, 4), None, pairs)


def test_the_package_stays_light_without_networks():
    code = "import sys, napari_ulm3d; sys.exit('torch' in sys.modules or 'napari_ulm3d.sparse' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_spconv
@pytest.mark.parametrize("kernel", [(3, 3), (3, 3, 3), (1, 3, 5), (3, 1, 3, 3), (1, 1, 1)], ids=str)
def test_the_lists_given_to_spconv_are_right(kernel, one_thread):
    """Its forward pass over our maps, on one thread of the CPU, which is what can run anywhere."""
    from napari_ulm3d.sparse.backends.backend_spconv import convolve_spconv
    from napari_ulm3d.sparse.backends.backend_torch import convolve_torch

    ndim = len(kernel)
    x = random_tensor((7, 6, 8, 5)[:ndim])
    stride, padding = (2,) * ndim, tuple(k // 2 for k in kernel)
    shape = tuple((n - 1) // 2 + 1 for n in x.shape)
    coarse = x.coordinates.coarsen(kernel, stride, padding, shape)
    down = kernel_map(x.coordinates, coarse, kernel, stride, padding)
    low = torch.randn(len(coarse), 4)
    torch.manual_seed(0)
    for features, pairs, transposed in [
        (x.features, submanifold_map(x.coordinates, kernel), False),
        (x.features, submanifold_map(x.coordinates, kernel), True),
        (x.features, down, False),
        (low, down, True),
    ]:
        weight, bias = torch.randn(3, pairs.volume, 4), torch.randn(3)
        torch.testing.assert_close(
            convolve_spconv(features, weight, bias, pairs, transposed),
            convolve_torch(features, weight, bias, pairs, transposed),
            rtol=1e-4,
            atol=1e-5,
        )


@needs_spconv
@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_weights_of_spconvs_own_layers_serve_ours(ndim, one_thread):
    import spconv.pytorch as spconv

    x = random_tensor((7, 6, 8, 5)[:ndim])
    theirs_in = spconv.SparseConvTensor(x.features, x.indices, list(x.shape), x.batch_size)
    kernel = (3,) * ndim
    submanifold = getattr(spconv, f"SubMConv{ndim}d")(4, 5, 3)
    strided = getattr(spconv, f"SparseConv{ndim}d")(4, 5, 3, 2, 1)
    for theirs, ours in [
        (submanifold, SubmanifoldConv(4, 5, kernel)),
        (strided, SparseConv(4, 5, kernel, 2)),
    ]:
        ours.load_state_dict(theirs.state_dict())
        with torch.no_grad():
            wanted, y = theirs(theirs_in), ours(x)
        assert tuple(wanted.spatial_shape) == y.shape
        sorted_too = SparseTensor.create(wanted.indices, wanted.features, y.shape, y.batch_size)
        assert torch.equal(sorted_too.indices, y.indices)
        torch.testing.assert_close(sorted_too.features, y.features, rtol=1e-4, atol=1e-5)


@needs_spconv
def test_spconv_gets_neither_empty_lists_nor_double_precision(one_thread):
    from napari_ulm3d.sparse.backends.backend_spconv import convolve_spconv

    empty = SparseTensor.create(torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, 4), (4, 4, 4))
    weight = torch.randn(3, 27, 4, requires_grad=True)
    pairs = submanifold_map(empty.coordinates, (3, 3, 3))
    out = convolve_spconv(empty.features, weight, torch.zeros(3), pairs, False)
    assert out.shape == (0, 3)
    coarse = empty.coordinates.coarsen((3,) * 3, (2,) * 3, (1,) * 3, (2,) * 3)
    pairs = kernel_map(empty.coordinates, coarse, (3,) * 3, (2,) * 3, (1,) * 3)
    out = convolve_spconv(empty.features, weight, None, pairs, False)
    out.sum().backward()
    assert torch.equal(weight.grad, torch.zeros_like(weight))
    lone = SparseTensor.create(
        torch.tensor([[0, 0, 0], [0, 4, 4], [0, 8, 8]]), torch.randn(3, 1), (9, 9)
    )
    pairs = submanifold_map(lone.coordinates, (3, 3))
    out = convolve_spconv(lone.features, torch.ones(1, 9, 1), None, pairs, False)
    assert torch.equal(out, lone.features)
    with pytest.raises(BackendError, match="float64"):
        convolve_spconv(lone.features.double(), torch.ones(1, 9, 1).double(), None, pairs, False)


@needs_cuda
def test_spconv_is_right_on_this_gpu():
    assert backend.spconv_fault("cuda") is None


@needs_cuda
@pytest.mark.parametrize("ndim", [2, 3, 4])
@pytest.mark.parametrize("name", ["submanifold", "strided", "up", "inverse"])
def test_both_backends_agree_on_cuda(ndim, name):
    x = random_tensor((12, 10, 9, 8)[:ndim], channels=8)
    kernel = (3,) * ndim
    layer = {
        "submanifold": lambda: SubmanifoldConv(8, 16, kernel),
        "strided": lambda: SparseConv(8, 16, kernel, 2),
        "up": lambda: SparseTransposedConv(8, 16, kernel, 2),
        "inverse": lambda: InverseConv(8, 16, kernel, 1),
    }[name]()
    results = []
    for device, which in [("cpu", "torch"), ("cuda", "torch"), ("cuda", "spconv")]:
        layer = layer.to(device)
        layer.zero_grad()
        moved = x.to(device, which)
        features = moved.features.detach().clone().requires_grad_()
        moved = moved.with_features(features)
        y = layer(moved, moved) if name == "inverse" else layer(moved)
        y.features.square().sum().backward()
        results.append(
            [y.indices, y.features.detach(), features.grad, layer.weight.grad, layer.bias.grad]
        )
        results[-1] = [tensor.cpu().clone() for tensor in results[-1]]
    for other in results[1:]:
        assert torch.equal(results[0][0], other[0])
        for mine, theirs in zip(results[0][1:], other[1:], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)
