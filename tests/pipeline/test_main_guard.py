"""Workers are not started by a script that would start them again in each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CALL = "from napari_ulm3d.pipeline.dask.main_guard import refuse_unguarded_main as call\n"


def said(tmp_path: Path, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(CALL + body)
    command = [sys.executable, *(arguments or ("script.py",))]
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(tmp_path))))
    return subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "body",
    [
        "call()\n",
        "def work():\n    call()\nwork()\n",
        "if len(__doc__ or '') == 0:\n    call()\n",
        "with open(__file__):\n    call()\n",
    ],
)
def test_unguarded(tmp_path: Path, body: str) -> None:
    done = said(tmp_path, body)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr.strip().splitlines()[-1]
    assert len(done.stderr.splitlines()) < 20


@pytest.mark.parametrize(
    "body",
    [
        'if __name__ == "__main__":\n    call()\n',
        'def main():\n    call()\nif "__main__" == __name__:\n    main()\n',
        "import multiprocessing as m\nif m.parent_process() is None:\n    call()\n",
        "import threading\nt = threading.Thread(target=call)\nif __name__ == '__main__':\n    t.start()\n",
    ],
)
def test_guarded(tmp_path: Path, body: str) -> None:
    done = said(tmp_path, body)
    assert done.returncode == 0, done.stderr


def test_unguarded_module(tmp_path: Path) -> None:
    done = said(tmp_path, "call()\n", "-m", "script")
    assert 'if __name__ == "__main__":' in done.stderr.strip().splitlines()[-1]


def test_modules_and_commands_have_no_script(tmp_path: Path) -> None:
    assert said(tmp_path, "call()\n", "-c", CALL + "call()").returncode == 0
    assert (
        said(tmp_path, "def f():\n    call()\n", "-c", "import script; script.f()").returncode == 0
    )
