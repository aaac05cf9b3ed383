"""Input and output. `open_acquisition` reads any known format; `describe` summarizes a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ulm3d.io.open.acquisition import describe, open_acquisition

__all__ = ["describe", "open_acquisition"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from napari_ulm3d.io.open import acquisition as module

        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
