"""The tests do not depend on how fast the machine is: they wait for events, not for a time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(path for path in HERE.rglob("*.py") if path != Path(__file__))

#: Waits of a fixed length for the viewer, and limits of its waits that are shorter than patience.
HURRIED = re.compile(r"qtbot\.wait\(|qtbot\.wait\w+\(.*\btimeout=|idle\(.*\btimeout=|qWait\(")
#: A sleep longer than a look at whether something has happened.
SLEEPS = re.compile(r"time\.sleep\((?!0\.0)")
TIMED = re.compile(r"assert .*(?:perf_counter|monotonic|time\.time)\(\)")

#: What must sleep to be what it is: a worker that holds memory, a viewer whose turns are slow.
ALLOWED = {
    ("test_cluster.py", "time.sleep(60)"),
    ("test_plugin_drop.py", "qtest.QTest.qWait(1000)"),
    ("test_cli.py", "assert time.monotonic() < give_up"),
}


@pytest.mark.parametrize("rule", [HURRIED, SLEEPS, TIMED], ids=["viewer", "sleep", "assert"])
def test_nothing_waits_for_a_time(rule: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(HERE)}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if rule.search(line)
        and not any(path.name == name and words in line for name, words in ALLOWED)
    ]
    assert found == []


def test_the_rules_see_what_they_forbid() -> None:
    assert HURRIED.search("    qtbot.wait(300)")
    assert HURRIED.search("    qtbot.waitUntil(lambda: done, timeout=5000)")
    assert not HURRIED.search("    qtbot.waitUntil(lambda: done)")
    assert SLEEPS.search("time.sleep(1)")
    assert not SLEEPS.search("time.sleep(0.01)")
    assert TIMED.search("    assert time.perf_counter() - began < 5")
