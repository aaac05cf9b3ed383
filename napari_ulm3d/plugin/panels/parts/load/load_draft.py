"""Values typed about the chosen files, apart from the settings of the open acquisition."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_ulm3d.config import LoadConfig, PipelineConfig
from napari_ulm3d.plugin.session import Session

__all__ = ["LoadDraft"]


class LoadDraft(QObject):
    """The settings of *Load* for one source; a form edits it like a session.

    They become the session's when the source is opened. The block length is a choice of
    processing and always belongs to the session.
    """

    config_changed = Signal(str)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._load = session.config.load
        session.config_changed.connect(self._on_session)

    @property
    def load(self) -> LoadConfig:
        """The values typed, and the session's block length."""
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
        """Replace all typed values; a new source has none."""
        changed = self._load != (load or LoadConfig())
        self._load = load or LoadConfig()
        if changed:
            self.config_changed.emit("load")

    def given(self) -> LoadConfig:
        """Only the typed values; the file gives the others."""
        values = {name: value for name, value in self.load if value is not None}
        return LoadConfig(**values)

    def _on_session(self, section: str) -> None:
        if section == "load":
            self.config_changed.emit("load")
