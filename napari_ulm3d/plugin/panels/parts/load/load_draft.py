"""What is typed about the files at hand, apart from the settings of the acquisition that is open."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_ulm3d.config import LoadConfig, PipelineConfig
from napari_ulm3d.plugin.session import Session

__all__ = ["LoadDraft"]


class LoadDraft(QObject):
    """The settings of *Load* for one source; a form edits it as it edits a session.

    They become the session's when the source is opened. The frames of a block are a choice of
    the processing: they are the session's at any time.
    """

    config_changed = Signal(str)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._load = session.config.load
        session.config_changed.connect(self._on_session)

    @property
    def load(self) -> LoadConfig:
        """What was typed, and the session's frames a block."""
        return self._load.replace(frames_per_block=self._session.config.load.frames_per_block)

    @property
    def config(self) -> PipelineConfig:
        """All settings, as they would be if the source were opened."""
        return self._session.config.model_copy(update={"load": self.load})

    def section(self, name: str) -> Any:
        """The settings of a stage."""
        return getattr(self.config, name)

    def change(self, section: str, **changes: Any) -> None:
        """Set some settings; ConfigError when a value cannot be."""
        new = self.load.replace(**changes)
        if new.frames_per_block != self.load.frames_per_block:
            self._session.change(section, frames_per_block=new.frames_per_block)
        self.begin(new)

    def begin(self, load: LoadConfig | None = None) -> None:
        """Replace all that was typed: nothing is, of a new source."""
        changed = self._load != (load or LoadConfig())
        self._load = load or LoadConfig()
        if changed:
            self.config_changed.emit("load")

    def given(self) -> LoadConfig:
        """What was typed and nothing else; what is left out is as the file says."""
        values = {name: value for name, value in self.load if value is not None}
        return LoadConfig(**values)

    def _on_session(self, section: str) -> None:
        if section == "load":
            self.config_changed.emit("load")
