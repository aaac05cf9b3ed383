"""The script for a GPU runs small on the CPU, all its parts, and says what is wrong."""

from __future__ import annotations

import pytest

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.report import Part, run_parts


@pytest.mark.long
@pytest.mark.slow
def test_it_runs_without_a_gpu(tmp_path, capsys) -> None:
    out = tmp_path / "gpu.md"
    assert main(["--minutes", "4", "--device", "cpu", "--out", str(out)]) == 0, (
        capsys.readouterr().out
    )
    text = out.read_text()
    assert text.count("### ") == 9
    assert "FAILED" not in text
    assert "Nothing was measured" not in text
    assert "no GPU was used" in text


def test_a_part_that_fails_or_lasts_does_not_end_the_report(tmp_path) -> None:
    def broken():
        yield ["1"]
        raise ValueError("no kernel")

    def endless():
        while True:
            yield ["2"]

    parts = [Part(name, ["n"], 1, rows) for name, rows in (("a", broken), ("b", endless))]
    parts.append(Part("c", ["n"], 1, lambda: iter([["FAILED"]])))
    out = tmp_path / "gpu.md"
    assert not run_parts(parts, 0.001, out, "here")
    text = out.read_text()
    assert "FAILED: ValueError: no kernel" in text
    assert "Stopped when its time was over" in text
    assert text.index("### a") < text.index("### b") < text.index("### c")
    assert run_parts(parts[1:2], 0.001, out, "here")
