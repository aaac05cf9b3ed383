"""Transfer of weights to a larger network with the same output, to continue training."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

__all__ = ["grown"]


def grown(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Widen the kernels of weights by zeros on both sides, and add layers and outputs.

    A convolution with such a kernel gives the same result, so that training continues from
    what was learned and can begin to use more distant neighbours (after Net2Net,
    Chen, Goodfellow and Shlens, ICLR 2016). Layers and outputs that the smaller network
    lacks keep their initial values.

    Parameters
    ----------
    weights
        State of the smaller network; kernels are (c_out, *kernel, c_in).
    wanted
        State of the larger network.

    Returns
    -------
    dict or None
        State for the larger network; None if it lacks a layer or differs in other sizes.
    """
    if not weights.keys() <= wanted.keys():
        return None
    out = {name: value.clone() for name, value in wanted.items()}
    for name, value in weights.items():
        shape = wanted[name].shape
        if value.ndim != len(shape):
            return None
        if value.shape[1:] == shape[1:] and len(value) < shape[0]:
            out[name][: len(value)] = value
            continue
        more = [b - a for a, b in zip(value.shape, shape, strict=True)]
        kernel = range(1, value.ndim - 1)
        if any(m < 0 or m % 2 or (m and axis not in kernel) for axis, m in enumerate(more)):
            return None
        sides = [half for m in reversed(more) for half in (m // 2, m // 2)]
        out[name] = functional.pad(value, sides)
    return out
