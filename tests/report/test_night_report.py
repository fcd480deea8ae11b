from __future__ import annotations

from typing import Any

from markdown_it import MarkdownIt
from pastnights import run_id

from harness.findings import Cause, Difference, Field, Finding, Kind, Side
from harness.model.observations import Origin
from harness.nights import Change, Night, Standing, Unlearnt
from harness.report.nights import date_of, markdown, text
from harness.results.timeline import Renewed

CELL = "scenarios/redis.yaml::bgsave[redis-5.10]"


def finding(kind: Kind, **other: Any) -> Finding:
    side = Side(run=run_id(1), cell=CELL, kernel="5.10")
    facts: dict[str, Any] = {"scenario": "bgsave", "file": "scenarios/redis.yaml"}
    return Finding(image="redis", kind=kind, before=side, after=side, **(facts | other))


def night(**other: Any) -> Night:
    facts: dict[str, Any] = {"run": run_id(2), "against": run_id(1), "cells": 200}
    return Night(**(facts | other))


def change(standing: Standing = Standing.NEW, **other: Any) -> Change:
    facts: dict[str, Any] = {"cell": CELL, "kind": "failed", "reason": "step 2: exit status is 1"}
    return Change(standing=standing, **(facts | other))


def test_a_quiet_night_is_a_few_lines() -> None:
    assert text(night()) == (
        f"Night of 2026-11-03 02:30 ({run_id(2)})\n"
        f"against the night of 2026-11-02 02:30 ({run_id(1)})\n"
        "200 cells: 0 new, 0 still broken, 0 flaps, 0 gone\n"
    )


def test_a_date_is_read_off_a_runs_id() -> None:
    assert date_of("20261124T203015Z-ab12") == "2026-11-24 20:30"


def test_a_new_breakage_comes_first_with_its_cause() -> None:
    cause = Cause(
        syscall="epoll_pwait2",
        errno="ENOSYS",
        program="redis-cli",
        origin=Origin.KERNEL,
        since="5.11",
        evidence=("stderr: epoll: not implemented",),
    )
    said = text(
        night(
            changes=(
                change(finding=finding(Kind.BROKEN, cause=cause)),
                change(Standing.GONE, kind="passed", reason="", since=run_id(0)),
            )
        )
    )
    lines = said.splitlines()
    assert lines[4] == "new: 1"
    assert lines[5] == f"  {CELL}  failed"
    assert lines[6] == "      step 2: exit status is 1"
    assert lines[7].startswith("      cause, suspected: redis-cli gets ENOSYS from kernel")
    assert lines[8] == "      stderr: epoll: not implemented"
    assert f"  {CELL}  passed, was broken since 2026-11-01 02:30" in lines


def test_what_is_still_broken_and_what_flaps_have_their_dates() -> None:
    said = text(
        night(
            changes=(
                change(Standing.STILL, since=run_id(0)),
                change(Standing.FLAPS, kind="passed", turns=(run_id(0), run_id(1))),
            )
        )
    )
    assert "failed, still broken since 2026-11-01 02:30\n" in said
    assert "flaps: changed on 2026-11-01 02:30, 2026-11-02 02:30\n" in said


def test_differences_newer_builds_and_what_was_not_learnt_are_said() -> None:
    call = Difference(
        field=Field.ENOSYS,
        step=0,
        after="ENOSYS",
        syscall="fchmodat2",
        errno="ENOSYS",
        program="tar",
        origin=Origin.KERNEL,
        coped=True,
    )
    said = text(
        night(
            renewed=(Renewed(what="kernel", name="5.10", before="5.10.0-32", after="5.10.0-33"),),
            differences=(
                finding(Kind.DEGRADED, differences=(call,), unlike=("QEMU: 7.2 before, 10 after",)),
            ),
            lost=(Unlearnt(cell=CELL, reason="the guest panicked"),),
            unavailable=(Unlearnt(cell=CELL, reason="the mirror is down"),),
            uncompared=(Unlearnt(cell=CELL, reason="no longer kept"),),
            absent=(CELL,),
        )
    )
    assert "newer kernel: 5.10: 5.10.0-32 -> 5.10.0-33\n" in said
    assert "not the same besides: QEMU: 7.2 before, 10 after\n" in said
    for title in (
        "degraded",
        "guest lost: nothing was learnt",
        "unavailable",
        "compared by their verdict alone",
        "not run this time",
    ):
        assert f"\n\n{title}: 1\n  {CELL}\n" in said
    assert "      fchmodat2 in tar, step 1" in said


def test_many_differences_of_a_cell_are_counted() -> None:
    many = tuple(Difference(field=Field.STDOUT, step=number) for number in range(12))
    said = text(night(differences=(finding(Kind.CHANGED, differences=many),)))
    assert "      stdout, step 8\n      and 4 more\n" in said


def test_the_first_night_says_that_it_is_the_first() -> None:
    assert "there is nothing to compare it with" in text(night(against=""))


def test_nothing_of_an_observation_reaches_a_terminal_or_markdown_raw() -> None:
    nasty = "\x1b[31mred\u202e <script> | `x` [a](b) *b*"
    told = night(changes=(change(reason=nasty),), lost=(Unlearnt(cell=nasty, reason=nasty),))
    assert "\x1b" not in text(told)
    assert "\u202e" not in text(told)
    html = MarkdownIt("commonmark").render(markdown(told))
    assert "<script>" not in html
    assert "&lt;script&gt; | `x` [a](b) *b*" in html
    assert "<a " not in html
    assert "<em>b</em>" not in html


def test_markdown_says_the_same_as_the_text() -> None:
    told = night(changes=(change(), change(Standing.STILL, since=run_id(0))), absent=(CELL,))
    html = MarkdownIt("commonmark").render(markdown(told))
    assert "<h3>new: 1</h3>" in html
    assert "<h3>still broken: 1</h3>" in html
    assert f"<strong>{CELL}</strong>: failed, still broken since 2026-11-01 02:30" in html
