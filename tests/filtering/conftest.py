"""Fixture that sets the number of threads of the filters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from napari_ulm3d.filtering import _chunks, correlation


@pytest.fixture
def use_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the number of threads of the filters.

    NUMBA_NUM_THREADS is not suitable: numba reads it at every compilation and refuses a number
    other than that of its running threads.
    """

    def use(number: int) -> None:
        for module in (_chunks, correlation):
            monkeypatch.setattr(module, "n_threads", lambda: number)

    return use
