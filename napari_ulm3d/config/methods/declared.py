"""What source files declare about themselves, read without importing them.

Compiled kernels and PyTorch take seconds to import, and the settings only need the names of the
methods.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["declared"]


def declared(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Read the literals that a Python file assigns to `names` at its top level.

    Raises
    ------
    ValueError
        One of the values is not a literal.
    """
    found: dict[str, Any] = {}
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in names:
                found[name] = ast.literal_eval(statement.value)
    return found
