"""Where the settings, the tracks on the screen and the results folder part ways."""

from __future__ import annotations

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.plugin.state.results import Result

__all__ = ["what_changed"]

_ALWAYS = ("clutter", "psf", "localize", "link")
_BY_NETWORK = ("sparsify", "network")


def what_changed(
    config: PipelineConfig,
    running: PipelineConfig | None,
    computed: Result | None,
    shown: Result | None,
) -> str:
    """Sentences about settings that changed during a run or since; empty where all agree.

    Parameters
    ----------
    config
        The settings as they are now.
    running
        Those of the run that is going on; None between runs.
    computed, shown
        The result as it was computed (and lies in its folder), and as it is shown: with its
        tracks linked again, if a setting of the linking changed.
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
    """Settings that a result depends on and that changed, from what to what."""
    by_network = before.localize.by_network or now.localize.by_network
    sections = (*_ALWAYS, *_BY_NETWORK) if by_network else _ALWAYS
    return ", ".join(
        f"{name} from {old} to {new}"
        for name, (new, old) in now.differences(before).items()
        if name.partition(".")[0] in sections
    )
