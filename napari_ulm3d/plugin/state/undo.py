"""One stack of what can be undone: settings, filters, regions and forgotten runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QUndoCommand, QUndoStack

if TYPE_CHECKING:
    from napari_ulm3d.plugin.session import Session

__all__ = ["UndoStack"]

_MOST_STEPS = 200
# Changes of the same thing that follow each other this fast are one: a slider that is dragged.
_ONE_GESTURE_S = 0.8
_KIND = 1


class UndoStack(QObject):
    """Steps back and forth; each is told with its two states and the way into one of them.

    Signals
    -------
    changed()
        There is another step to undo or redo.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._config = session.config
        self._stack = QUndoStack(self)
        self._stack.setUndoLimit(_MOST_STEPS)
        self._stack.indexChanged.connect(self.changed)
        self._moving = False
        session.config_changed.connect(self._on_config)

    @property
    def next_undo(self) -> str:
        """What would be undone, in words; empty where there is nothing."""
        return str(self._stack.undoText()) if self._stack.canUndo() else ""

    @property
    def next_redo(self) -> str:
        """What would be done again; empty where there is nothing."""
        return str(self._stack.redoText()) if self._stack.canRedo() else ""

    @property
    def moving(self) -> bool:
        """Whether a step is being undone or done again: what changes now is none of its own."""
        return self._moving

    def undo(self) -> None:
        """One step back."""
        self._move(self._stack.undo)

    def redo(self) -> None:
        """One step forth."""
        self._move(self._stack.redo)

    def push(
        self, text: str, before: Any, after: Any, restore: Callable[[Any], None], key: Any = None
    ) -> None:
        """Remember a step that was just made.

        Parameters
        ----------
        text
            What was done, as "filter" or "Frame rate".
        before, after
            The two states.
        restore
            Goes into one of them.
        key
            Steps of the same key that follow each other at once are one; None: never.
        """
        if not self._moving and before != after:
            self._stack.push(_Step(text, before, after, restore, key))

    def _move(self, way: Callable[[], None]) -> None:
        self._moving = True
        try:
            way()
        finally:
            self._moving = False

    def _on_config(self, section: str) -> None:
        before, after = self._config, self._session.config
        self._config = after
        # How a file is read is typed about that file, and kept with it.
        names = [name for name in after.differences(before) if not name.startswith("load.")]
        if names:
            text = names[0] if len(names) == 1 else f"{len(names)} settings"
            self.push(text, before, after, self._restore_config, tuple(names))

    def _restore_config(self, config: Any) -> None:
        load = self._session.config.load
        self._session.set_config(config.model_copy(update={"load": load}))


class _Step(QUndoCommand):
    def __init__(self, text: str, before: Any, after: Any, restore: Any, key: Any) -> None:
        super().__init__(text)
        self.before, self.after, self.restore, self.key = before, after, restore, key
        self.at = time.monotonic()
        self._done = True

    def id(self) -> int:
        return -1 if self.key is None else _KIND

    def mergeWith(self, other: Any) -> bool:
        """Be one with a step of the same kind that followed at once."""
        if other.key != self.key or other.at - self.at > _ONE_GESTURE_S:
            return False
        self.after, self.at = other.after, other.at
        return True

    def undo(self) -> None:
        self.restore(self.before)

    def redo(self) -> None:
        """Do it again; the first time it was done by the person."""
        if self._done:
            self._done = False
        else:
            self.restore(self.after)
