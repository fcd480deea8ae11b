from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.findings import Difference, Field, Finding, Kind, Side
from harness.verdicts.upgrade import (
    NOT_MODELLED,
    Advice,
    Answer,
    Status,
    advise,
    answer_of,
    exit_status,
)

PAGE = Path(__file__).parents[2] / "docs" / "upgrade.md"

NEW = Difference(field=Field.ENOSYS, syscall="openat2", errno="ENOSYS", after="ENOSYS", coped=True)
GONE = Difference(field=Field.ENOSYS, syscall="openat2", errno="ENOSYS", before="ENOSYS")
FAILS = Difference(field=Field.ERRNO, syscall="ioctl", errno="EINVAL", after="EINVAL")
NOT_NOW = Difference(field=Field.ERRNO, syscall="ioctl", errno="EINVAL", before="EINVAL")
OUTPUT = Difference(field=Field.STDOUT, step=0, before="a", after="b")


def finding(kind: Kind, *differences: Difference) -> Finding:
    side = Side(run="r", cell="c", kernel="k")
    return Finding(
        scenario="s",
        file="f",
        image="i",
        kind=kind,
        before=side,
        after=side,
        differences=differences,
    )


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (finding(Kind.BROKEN, NEW), Answer.BROKEN),
        (finding(Kind.UNKNOWN), Answer.UNKNOWN),
        (finding(Kind.SAME), Answer.SAFE),
        (finding(Kind.FIXED, OUTPUT), Answer.SAFE),
        (finding(Kind.DEGRADED, NEW), Answer.FALLBACKS),
        (finding(Kind.DEGRADED, FAILS, GONE), Answer.FALLBACKS),
        (finding(Kind.DEGRADED, NEW, OUTPUT), Answer.CHANGED),
        (finding(Kind.CHANGED, OUTPUT), Answer.CHANGED),
        (finding(Kind.CHANGED, NOT_NOW), Answer.CHANGED),
        (finding(Kind.CHANGED, GONE), Answer.SAFE),
    ],
)
def test_each_finding_has_its_answer(found: Finding, answer: Answer) -> None:
    assert answer_of(found) is answer


def test_an_images_answer_is_the_worst_of_its_findings() -> None:
    all_kinds = [
        finding(Kind.SAME),
        finding(Kind.DEGRADED, NEW),
        finding(Kind.UNKNOWN),
        finding(Kind.CHANGED, OUTPUT),
        finding(Kind.BROKEN),
    ]
    answers = [advise("i", all_kinds[: n + 1]).answer for n in range(len(all_kinds))]
    assert answers == [
        Answer.SAFE,
        Answer.FALLBACKS,
        Answer.UNKNOWN,
        Answer.CHANGED,
        Answer.BROKEN,
    ]


def test_an_image_of_which_nothing_was_exercised_is_unknown() -> None:
    assert advise("i", [], not_exercised=["s: it is for kernels 6.1"]).answer is Answer.UNKNOWN


SAFE = advise("safe", [finding(Kind.SAME)])
BROKEN = advise("broken", [finding(Kind.BROKEN)])
CHANGED = advise("changed", [finding(Kind.CHANGED, OUTPUT)])
UNKNOWN = advise("unknown", [])
ABSENT = advise("absent", [finding(Kind.SAME)], could_not_run=["no such kernel"])


@pytest.mark.parametrize(
    ("advices", "plain", "strict"),
    [
        ([SAFE], 0, 0),
        ([SAFE, UNKNOWN], 3, 3),
        ([SAFE, UNKNOWN, CHANGED], 3, 4),
        ([SAFE, CHANGED], 0, 4),
        ([UNKNOWN, CHANGED, BROKEN], 1, 1),
        ([BROKEN, ABSENT], 2, 2),
    ],
)
def test_the_exit_status_is_the_first_that_applies(
    advices: list[Advice], plain: int, strict: int
) -> None:
    assert exit_status(advices, fail_on_changed=False) == plain
    assert exit_status(advices, fail_on_changed=True) == strict


def test_the_page_has_every_answer_every_status_and_what_no_answer_covers() -> None:
    text = PAGE.read_text()
    assert re.findall(r"^\| `([A-Z ]+)` \|", text, re.MULTILINE) == [
        a.value for a in reversed(Answer)
    ]
    assert [int(n) for n in re.findall(r"^\| (\d) \|", text, re.MULTILINE)] == list(Status)
    words = " ".join(text.split())
    assert all(part.partition(" (")[0] in words for part in NOT_MODELLED)
