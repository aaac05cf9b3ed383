"""Check whether a script may start processes, since one that does so on import would never end.

A new process imports the script that started it. Without ``if __name__ == "__main__":`` around
the call it would start processes itself; Python stops this with a traceback in every process.
"""

from __future__ import annotations

import ast
import multiprocessing
import sys
from pathlib import Path
from types import FrameType

from napari_ulm3d.errors import BackendError

__all__ = ["refuse_unguarded_main"]

#: Names in a condition that distinguishes the first process from the others.
_GUARDS = {"__name__", "parent_process", "current_process"}


def refuse_unguarded_main() -> None:
    """Refuse to start workers from the top level of a script that has no main guard.

    Raises
    ------
    BackendError
        The call is not inside ``if __name__ == "__main__":``, or this process is itself starting
        up.
    """
    script = _unguarded_script()
    if script is None and not getattr(multiprocessing.current_process(), "_inheriting", False):
        return
    raise BackendError(
        f"{script or sys.argv[0]}: every worker imports this script when it starts, so "
        "the script must not run its work on import. Put its work under: if __name__ == "
        '"__main__":'
    )


def _unguarded_script() -> str | None:
    """The file of the main module, if it runs at its top level outside a guard."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    spec = getattr(main, "__spec__", None)
    if main is None or not path or (spec is not None and spec.name.endswith("__main__")):
        return None  # interactive, a notebook, or the __main__ of a package
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is vars(main) and frame.f_code.co_name == "<module>":
            return None if _is_guarded(Path(path), frame.f_lineno) else str(path)
        frame = frame.f_back
    return None


def _is_guarded(path: Path, line: int) -> bool:
    """Whether a line of a script lies inside a guard."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True  # not a script that a process could import
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and node.lineno <= line <= (node.end_lineno or line):
            names = {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}
            names |= {n.attr for n in ast.walk(node.test) if isinstance(n, ast.Attribute)}
            if names & _GUARDS:
                return True
    return False
