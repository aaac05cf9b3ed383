"""The number of threads of the filters, set where they ask for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from napari_ulm3d.filtering import _chunks, correlation


@pytest.fixture
def use_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many threads the filters use.

    Not by NUMBA_NUM_THREADS: numba reads it at every compilation, and refuses another number than
    that of the threads it has.
    """

    def use(number: int) -> None:
        for module in (_chunks, correlation):
            monkeypatch.setattr(module, "n_threads", lambda: number)

    return use
