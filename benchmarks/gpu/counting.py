"""Count the kernel launches and synchronizations of PyTorch code on a GPU.

The operators are the same on the CPU, so no GPU is needed. An operator that only changes the view
of memory (a slice, a transpose) launches nothing. A value that the host needs (`.item()`, a
boolean mask, the number of rows of `nonzero`) makes it wait for all queued kernels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Counts", "counted"]

T = TypeVar("T")

# Reads on the host, and operators whose result has a size that only the device knows.
_WAITS = {
    "tolist", "item", "__bool__", "__int__", "__float__", "__index__", "cpu",
    "equal", "allclose", "is_nonzero", "nonzero", "argwhere", "unique",
    "unique_consecutive", "bincount", "masked_select", "repeat_interleave",
}  # fmt: skip

# Memory without a kernel.
_ALLOCATE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}


@dataclass
class Counts:
    """Launches and synchronizations, by operator."""

    launched: Counter[str] = field(default_factory=Counter)
    waited: Counter[str] = field(default_factory=Counter)

    @property
    def launches(self) -> int:
        """Number of kernels, at least one per operator."""
        return self.launched.total()

    @property
    def waits(self) -> int:
        """Number of times that the host needs a value from the device."""
        return self.waited.total()


def counted(work: Callable[[], T]) -> tuple[T, Counts]:
    """The result of `work`, and its counts in this thread.

    Tensors intentionally on the CPU are counted too, so `work` should contain only operations
    meant for the device.
    """
    counts = Counts()
    with _Waits(counts), _Launches(counts):
        result = work()
    return result, counts


class _Launches(TorchDispatchMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name not in _ALLOCATE and not _looks_only(func, args, out):
            self._counts.launched[name] += 1
        return out


class _Waits(TorchFunctionMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", str(func))
        if name in _WAITS and not (name == "repeat_interleave" and "output_size" in (kwargs or {})):
            self._counts.waited[name] += 1
        if name in ("__getitem__", "__setitem__") and _by_mask(args[1]):
            self._counts.waited["mask"] += 1
        if name == "where" and len(args) == 1:
            self._counts.waited["nonzero"] += 1
        return func(*args, **(kwargs or {}))


def _by_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, torch.Tensor) and part.dtype == torch.bool for part in parts)


def _looks_only(func: Any, args: Any, out: Any) -> bool:
    """Whether the result is a view of an input."""
    returns = func._schema.returns
    if any(one.alias_info is not None and one.alias_info.is_write for one in returns):
        return False
    # `to`, `contiguous` and `reshape` copy only if necessary.
    given = {_storage(one) for one in args if isinstance(one, torch.Tensor)}
    made = out if isinstance(out, (tuple, list)) else [out]
    return all(_storage(one) in given for one in made if isinstance(one, torch.Tensor))


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata
