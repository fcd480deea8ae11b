from __future__ import annotations

import re
from pathlib import Path

from observations import DOCS

PAGE, *_ = (DOCS / "reliability.md").read_text().split("\n## ")
ROOT = DOCS.parent


def test_every_promise_names_a_test_that_exists() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "promise" not in line]
    named = [re.search(r"`(tests/\S+\.py)::(test_\w+)` \|$", row) for row in rows]
    assert len(rows) > 20
    assert [row for row, found in zip(rows, named, strict=True) if found is None] == []
    missing = [
        found[0]
        for found in named
        if found and f"def {found[2]}(" not in Path(ROOT, found[1]).read_text()
    ]
    assert missing == []
