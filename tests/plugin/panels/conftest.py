"""A small network, and a viewer with the flow that it is run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


@pytest.fixture
def loaded(viewer: Any, flow: Any, folder_of: Any) -> Any:
    """The small flow, opened from a folder, in three blocks."""
    from qtpy.QtWidgets import QApplication

    from napari_ulm3d.plugin.session import session_of

    viewer.open(str(folder_of(flow.acquisition)), plugin="napari-ulm3d")
    QApplication.processEvents()
    session = session_of(viewer)
    session.change("load", frames_per_block=20)
    session.change("clutter", svd_range=(2, 200))
    session.change("maps", resolution_factor=4.0)
    return viewer
