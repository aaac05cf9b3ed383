"""The undo stack for settings, filters, regions and runs removed from the history."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QUndoCommand, QUndoStack

if TYPE_CHECKING:
    from napari_ulm3d.plugin.session import Session

__all__ = ["UndoStack"]

_MOST_STEPS = 200
# Changes of the same thing in such quick succession are one step, as when a slider is dragged.
_ONE_GESTURE_S = 0.8
_KIND = 1


class UndoStack(QObject):
    """Undo and redo; each step has its two states and a function to restore them.

    A step whose states take time to restore is undone when that has succeeded. Until then nothing
    else is undone, and new steps wait.

    Signals
    -------
    changed()
        The next step to undo or redo is another one.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._config = session.config
        self._stack = QUndoStack(self)
        self._stack.setUndoLimit(_MOST_STEPS)
        self._stack.indexChanged.connect(self.changed)
        self._moving = self._waiting = False
        self._queued: list[_Step] = []
        session.config_changed.connect(self._on_config)

    @property
    def next_undo(self) -> str:
        """The step to undo, in words; empty if there is none."""
        return str(self._stack.undoText()) if self._stack.canUndo() else ""

    @property
    def next_redo(self) -> str:
        """The step to redo, in words; empty if there is none."""
        return str(self._stack.redoText()) if self._stack.canRedo() else ""

    @property
    def moving(self) -> bool:
        """Whether a step is being undone or redone, so that changes now are not new steps."""
        return self._moving

    def undo(self) -> None:
        """Undo one step."""
        self._move(self._stack.undo, self._stack.index() - 1, "before")

    def redo(self) -> None:
        """Redo one step."""
        self._move(self._stack.redo, self._stack.index(), "after")

    def push(
        self,
        text: str,
        before: Any,
        after: Any,
        restore: Callable[..., None],
        key: Any = None,
        later: bool = False,
    ) -> None:
        """Record a step that was just made.

        Parameters
        ----------
        text
            Description, such as "filter" or "Frame rate".
        before, after
            The state before and after.
        restore
            Function that restores one of them.
        key
            Steps with the same key in quick succession are merged; None: never.
        later
            Restoring takes time: `restore` starts it, and calls its second argument at the end
            with whether it succeeded.
        """
        if self._moving or before == after:
            return
        step = _Step(text, before, after, restore, key, later)
        if self._waiting:
            self._queued.append(step)
        else:
            self._stack.push(step)

    def _move(self, way: Callable[[], None], at: int, state: str) -> None:
        step: Any = self._stack.command(at)
        if step is None or self._waiting:
            return
        if step.later:
            self._waiting = True
            step.restore(getattr(step, state), partial(self._settle, way))
            return
        self._moving = True
        try:
            way()
        finally:
            self._moving = False

    def _settle(self, way: Callable[[], None], succeeded: bool) -> None:
        if succeeded:
            way()
        self._waiting = False
        queued, self._queued = self._queued, []
        for other in queued:
            self._stack.push(other)

    def _on_config(self, section: str) -> None:
        before, after = self._config, self._session.config
        self._config = after
        # Settings for reading a file belong to that file and are kept with it.
        names = [name for name in after.differences(before) if not name.startswith("load.")]
        if names:
            text = names[0] if len(names) == 1 else f"{len(names)} settings"
            self.push(text, before, after, self._restore_config, tuple(names))

    def _restore_config(self, config: Any) -> None:
        load = self._session.config.load
        self._session.set_config(config.model_copy(update={"load": load}))


class _Step(QUndoCommand):
    def __init__(
        self, text: str, before: Any, after: Any, restore: Any, key: Any, later: bool
    ) -> None:
        super().__init__(text)
        self.before, self.after, self.restore, self.key = before, after, restore, key
        self.later = later
        self.at = time.monotonic()
        self._done = True

    def id(self) -> int:
        return -1 if self.key is None else _KIND

    def mergeWith(self, other: Any) -> bool:
        """Merge with a step of the same kind in quick succession."""
        if other.key != self.key or other.at - self.at > _ONE_GESTURE_S:
            return False
        self.after, self.at = other.after, other.at
        return True

    def undo(self) -> None:
        """Undo the step; what takes time has been done before."""
        if not self.later:
            self.restore(self.before)

    def redo(self) -> None:
        """Redo the step; the first time, the user has already done it."""
        if self._done:
            self._done = False
        elif not self.later:
            self.restore(self.after)
