"""A small network, and a viewer with the flow that it is run on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A tiny network that never learnt anything, and finds bubbles all the same."""
    import torch

    from napari_ulm3d.networks import build, save_weights

    torch.manual_seed(0)
    model = build("BubbleNet", {"stem": 2, "channels": (6, 8), "blocks": 1, "head": 8})
    with torch.no_grad():
        model.head[-1].weight.mul_(20)
        model.head[-1].bias[0] = 0.0
        model.head[-1].bias[4:7] = -1.0  # sure of its places
    path = tmp_path / "tiny.safetensors"
    save_weights(path, model, name="tiny", scores={"min_score": 0.3})
    return path
