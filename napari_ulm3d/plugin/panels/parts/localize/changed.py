"""Discrepancies between the settings, the tracks shown and the results folder."""

from __future__ import annotations

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.plugin.state.setting_texts import texts_of

__all__ = ["what_changed"]

_ALWAYS = ("clutter", "psf", "localize", "link")
_BY_NETWORK = ("sparsify", "network")


def what_changed(
    config: PipelineConfig,
    running: PipelineConfig | None,
    computed: Result | None,
    shown: Result | None,
) -> str:
    """Sentences about settings that changed during or since a run; empty if all agree.

    Parameters
    ----------
    config
        The settings as they are now.
    running
        Settings of the run in progress; None between runs.
    computed, shown
        The result as computed (and saved in its folder), and as shown: with its
        tracks relinked, if a linking setting changed.
    """
    if running is not None:
        changed = _changes(running, config)
        return f"Changed after this run started, so not used in it: {changed}." if changed else ""
    if computed is None or shown is None:
        return ""
    said = []
    if computed.folder is not None and (relinked := _changes(computed.config, shown.config)):
        said.append(
            f"The viewer shows relinked tracks ({relinked}); the results folder still holds "
            "the original ones. Run again, or undo the change, to make them agree."
        )
    if changed := _changes(shown.config, config):
        said.append(
            f"Changed since this run: {changed}. The tracks shown do not include this change."
        )
    return "\n".join(said)


def _changes(before: PipelineConfig, now: PipelineConfig) -> str:
    """The changed settings that a result depends on, with old and new values."""
    by_network = before.localize.by_network or now.localize.by_network
    sections = (*_ALWAYS, *_BY_NETWORK) if by_network else _ALWAYS
    changes = {
        name: pair
        for name, pair in now.differences(before).items()
        if name.partition(".")[0] in sections
    }
    new = texts_of({name: value for name, (value, _) in changes.items()})
    old = texts_of({name: value for name, (_, value) in changes.items()})
    return ", ".join(f"{name} from {old[name]} to {new[name]}" for name in changes)
