from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from observations import environment, failure, observation, redis_broken, step, unavailable
from recorded import NASTY, compared, nasty, record

from harness.model.observations import Verdict
from harness.report import contents, files, html
from harness.report.explained import paragraph
from harness.report.files import Format
from harness.report.html import render

LIMIT = 2_000_000
VOID = {"meta", "link", "img", "input", "br", "circle", "polyline"}


class Page(HTMLParser):
    """The elements of a page, those with a start and an end in their right nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.inside[self._open[-1]] = data
        else:
            self.text += data

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)


def page(path: Path) -> Page:
    return Page(render(contents.load(path)))


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    loaded: dict[str, Any] = json.loads(found[1])
    return loaded


@pytest.fixture
def compared_run(tmp_path: Path) -> Path:
    good, bad = redis_broken("latest", verdict=Verdict.PASSED), redis_broken()
    cells = [good, bad, observation("5.10"), unavailable("latest", "mirror is down")]
    return record(tmp_path, cells, compared(good, bad))


def test_the_matrix_and_what_stands_beneath_can_be_read_without_a_script(
    compared_run: Path,
) -> None:
    words = " ".join(page(compared_run).text.split())
    assert "✗ failed +1 ✗ broken" in words
    assert "? unavailable" in words
    assert "Differences: latest against 5.10" in words
    assert "redis-cli gets ENOSYS from kernel for epoll_pwait2" in words
    assert "unavailable on latest (1 cell): mirror is down" in words
    assert "landlock_create_ruleset, fchmodat2" in words
    assert "passed with ENOSYS" in words


def test_a_cell_is_explained_and_known_cases_are_linked_to_their_pages(tmp_path: Path) -> None:
    cell = observation(failures=(failure("statx", 332), failure()))
    report = contents.load(record(tmp_path, [cell, observation("latest")]))
    data = data_of(render(report))
    plain, first = data["cells"]
    assert data["texts"][first["why"]] == paragraph(report.explanations[cell.id])
    assert [(name, pages[:1]) for name, *pages in first["cases"]] == [
        ("no-fchmodat2", ["https://github.com/systemd/systemd/issues/31469"]),
        ("no-statx", ["https://github.com/rust-lang/rust/pull/65094"]),
    ]
    assert "why" not in plain
    assert "cases" not in plain


def test_the_page_names_nothing_outside_itself_but_the_runs_own_files(compared_run: Path) -> None:
    made = page(compared_run)
    for tag, attributes in made.elements:
        assert "src" not in attributes, tag
        assert "style" not in attributes, tag
        href = attributes.get("href") or "#"
        assert href.startswith("#") or href == "data:,"
    assert "url(" not in made.inside["style"]
    assert "@import" not in made.inside["style"]


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(
    compared_run: Path,
) -> None:
    made = page(compared_run)
    policy = next(meta["content"] or "" for meta in made.all("meta") if "http-equiv" in meta)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag in ("style", "script"):
        digest = hashlib.sha256(made.inside[tag].encode()).digest()
        assert rules[f"{tag}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"


def test_nothing_of_a_hostile_run_becomes_markup_or_moves_text(tmp_path: Path) -> None:
    good, bad = nasty()
    text = render(contents.load(record(tmp_path, (good, bad), compared(bad, good))))
    made = Page(text)
    assert not list(made.all("img"))
    assert "<b>image" not in text
    assert sum(1 for _ in made.all("script")) == 2
    for character in ("\x1b", "\u202e", "]]>", "<!--"):
        assert character not in text
    assert "\\x1b[31m\\u202etxt" in made.text
    data = data_of(text)
    assert any(NASTY[:20] in kept for kept in data["texts"])
    assert data["cells"][0]["title"].startswith(NASTY[:20])


def test_outputs_are_bounded_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    long = "".join(f"line {number}\n" for number in range(50_000))
    cell = observation(steps=(step(stdout=long, stdout_dropped=7),))
    text = render(contents.load(record(tmp_path, [cell])))
    assert len(text) < 100_000
    data = data_of(text)
    [shown] = (kept for kept in data["texts"] if kept.startswith("line 0\n"))
    assert shown.endswith("line 49999")
    assert re.search(r"\n\[\.\.\. \d+ characters left out \.\.\.\]\n", shown)
    assert data["cells"][0]["steps"][0]["stdout_dropped"] == 7
    assert "outputs are cut to 8000 characters" in Page(text).text


def test_a_thousand_cells_fit_into_two_megabytes(thousand: Path) -> None:
    text = files.place(thousand, Format.HTML).read_text()
    assert len(text.encode()) < LIMIT
    made = Page(text)
    assert sum(1 for button in made.all("button") if "data-cell" in button) == 1000
    assert "outputs are cut to" in made.text
    cells = data_of(text)["cells"]
    assert len(cells) == 1000
    refused = [cell for cell in cells if "ENOSYS" in cell["outcome"]]
    assert refused
    calls = data_of(text)["calls"]
    assert all(calls[cell["calls"]["rows"][0][0]][1] == "ENOSYS" for cell in refused)


def test_a_small_run_is_shown_whole(compared_run: Path) -> None:
    text = render(contents.load(compared_run))
    assert "outputs are cut" not in text
    assert len(text) < 100_000


def test_where_even_the_least_is_too_much_the_page_is_made_all_the_same(
    compared_run: Path,
) -> None:
    assert "</html>" in html.render(contents.load(compared_run), budget=1)


def test_a_drill_is_marked_where_its_kernel_is_named(tmp_path: Path) -> None:
    cell = observation(environment=environment(drill="lacks what Linux 3.10 lacks"))
    heads = [" ".join(head.split()) for head in render_heads(record(tmp_path, [cell]))]
    assert heads[1:] == ["latest", "5.10 5.10.0-35-cloud-amd64 a drill"]


def render_heads(path: Path) -> list[str]:
    """Return the text of the matrix's column heads."""
    [head] = re.findall(r"<thead>(.*?)</thead>", render(contents.load(path)), re.DOTALL)[:1]
    return [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<th.*?</th>", head, re.DOTALL)]


def test_a_run_without_cells_and_one_that_was_cut_off_are_said_to_be(tmp_path: Path) -> None:
    assert "No cell was recorded" in page(record(tmp_path, [])).text
    text = page(record(tmp_path, [observation()], finished=False)).text
    assert "did not come to its end" in text
