"""The report of a run: whole, self-contained, and true to its folder."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tube_tracks import tube_results

from napari_ulm3d.cli import main
from napari_ulm3d.report.criteria import Criterion, criteria_of, grade_of


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tube_results(
        tmp_path_factory.mktemp("run") / "results",
        n_tracks=60,
        acquisition={
            "name": "<b>mouse & co</b>",
            "wavelength_um": 100.0,
            "files": ["a b.mat"],
        },
        result={"verdict": "Hardly any bubbles were found."},
    )


def test_the_page(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "report.html"
    assert main(["report", str(results), "--to", str(target)]) == 0
    page = target.read_text(encoding="utf-8")
    assert "&lt;b&gt;mouse &amp; co&lt;/b&gt;" in page
    assert "Hardly any bubbles were found." in page
    assert "maps.resolution_factor" in page
    assert "napari-ulm3d run 'a b.mat' --config" in unescape(page)
    assert "wavelength µm" in page
    assert not re.search(r"\bum\b", re.sub(r'src="[^"]*"', "", page))
    # Nothing is fetched: every address is data.
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(addresses) >= 5
    assert all(a.startswith("data:image/png;base64,") for a in addresses)
    assert "url(" not in page
    open_tags: list[str] = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "img"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Balanced().feed(page)
    assert not open_tags
    assert main(["report", str(results), "--to", str(target)]) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert main(["report", str(results), "--to", str(tmp_path / "report.pdf")]) != 0
    assert ".html" in capsys.readouterr().err


def test_the_grade_follows_from_the_criteria() -> None:
    good = {
        "complete": True,
        "n_tracks": 5000,
        "saturation": 0.8,
        "chance_share": 0.01,
        "resolution_um": 20.0,
    }
    assert grade_of(criteria_of(good, 100.0)) == "good"
    assert grade_of(criteria_of(good | {"saturation": 0.3}, 100.0)) == "fair"
    few = criteria_of(good | {"n_tracks": 90}, 100.0)
    assert "too few tracks to measure" in {c.name: c.found for c in few}["resolution (FSC)"]
    bad = good | {"saturation": 0.01, "chance_share": 0.5}
    assert grade_of(criteria_of(bad, 100.0)) == "poor"
    assert grade_of([Criterion("a", "", "", None), Criterion("b", "", "", 2)]) == "not graded"
