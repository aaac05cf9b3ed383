"""What tests of networks in the viewer share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plugin_hands import choose, enter
from qtpy.QtWidgets import QApplication

from napari_ulm3d.plugin.session import session_of

SAMPLE = "mouse_brain_small"


def linked_as_set(session: Any) -> bool:
    """Whether the result is linked as the settings say: it is, a moment after they change."""
    made, asked = session.result.config, session.config
    return made.link == asked.link and made.network.min_score == asked.network.min_score


def by_network(panel: Any, weights: Path) -> None:
    """Choose the network localizer and its weights."""
    choose(panel.form.controls["localizer"], "network")
    enter(panel.network_form.controls["weights"], str(weights))


def open_sample(viewer: Any) -> Any:
    """Open the sample acquisition; its session."""
    viewer.open_sample("napari-ulm3d", SAMPLE)
    QApplication.processEvents()
    session = session_of(viewer)
    session.change("load", frames_per_block=100)
    return session
