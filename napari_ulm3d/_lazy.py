"""Lazy import of a package's public names, on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazily"]


def lazily(namespace: dict[str, Any], where: Mapping[str, str]) -> Callable[[str], Any]:
    """Build the module-level `__getattr__` of a package (PEP 562).

    Parameters
    ----------
    namespace
        The package's `globals()`; a loaded name is stored there.
    where
        Maps each public name to the module of the package that defines it.
    """
    package = namespace["__name__"]

    def load(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{where[name]}"), name)
        namespace[name] = value
        return value

    return load
