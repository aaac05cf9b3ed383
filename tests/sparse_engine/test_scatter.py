"""Rows added by the compiled loop against PyTorch's own operation."""

from __future__ import annotations

import pytest
import torch

from napari_ulm3d.sparse.backends.scatter import add_rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_rows_are_added_as_by_index_add(dtype: torch.dtype, index: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(1)
    out, rows = (torch.randn(n, 5, generator=rng).to(dtype) for n in (20, 12))
    target = torch.randperm(20, generator=rng)[:12].to(index)
    expected = out.index_add(0, target, rows)
    add_rows(out, target, rows)
    assert torch.equal(out, expected)


def test_a_row_that_occurs_twice_gets_both() -> None:
    out = torch.zeros(3, 2)
    add_rows(out, torch.tensor([1, 1]), torch.tensor([[1.0, 2.0], [10.0, 20.0]]))
    assert out.tolist() == [[0, 0], [11, 22], [0, 0]]


def test_nothing_to_add() -> None:
    out = torch.ones(3, 2)
    add_rows(out, torch.zeros(0, dtype=torch.int32), torch.zeros(0, 2))
    assert out.tolist() == [[1, 1]] * 3


def test_in_inference_mode() -> None:
    with torch.inference_mode():
        out = torch.zeros(2, 1)
        add_rows(out, torch.tensor([1]), torch.tensor([[3.0]]))
    assert out.tolist() == [[0], [3]]
