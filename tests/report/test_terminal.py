from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observations import KERNELS, failure, observation, redis_broken, unavailable

from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Known as Entry
from harness.report.matrix import build
from harness.report.terminal import render
from harness.verdicts.known import Judgement, judge

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def default_cells() -> list[Observation]:
    tmpfiles = [
        observation(kernel, failures=(failure(),) if kernel in ("5.10", "6.1") else ())
        for kernel in KERNELS[:3]
    ]
    redis = [
        redis_broken(),
        observation("6.1", "bgsave", "redis", Verdict.DIED, file="scenarios/redis.yaml"),
        observation("6.12", "bgsave", "redis", Verdict.TIMED_OUT, file="scenarios/redis.yaml"),
        observation("5.10", "limits", "redis"),
        observation(
            "6.1", "limits", "redis", Verdict.UNSUPPORTED, reason="needs cgroup v1, here is v2"
        ),
        observation("6.12", "limits", "redis", Verdict.SKIPPED, reason="not today"),
    ]
    missing = [
        unavailable("latest", "the mirror is down", scenario="tmpfiles"),
        unavailable("latest", "the mirror is down", scenario="limits", image="redis"),
    ]
    return [*tmpfiles, *redis, *missing]


GOLDEN_80 = """\
                 5.10           6.1            6.12           latest
                 5.10.0-35-     6.1.0-40-      6.12.48+
                 cloud-amd64    cloud-amd64    deb13-cloud-
image, scenario                                amd64
───────────────────────────────────────────────────────────────────────────
systemd-tools
  tmpfiles       ✓ passed +1    ✓ passed +1    ✓ passed       ? unavailable
redis
  bgsave         ✗ failed +1    † guest died   ◔ timed out    ·
  limits         ✓ passed       ⊘ unsupported  ○ skipped      ? unavailable

11 cells: ✓ 2 passed, ✓ 2 passed with ENOSYS, ✗ 1 failed with ENOSYS,
  † 1 guest died, ◔ 1 timed out, ⊘ 1 unsupported by this kernel,
  ? 2 unavailable, ○ 1 skipped
+N: N different ENOSYS (by system call, program and origin); ·: not run

systemd-tools, tmpfiles
  ENOSYS  fchmodat2 (452)  systemd-tmpfiles  on 5.10, 6.1  from kernel  coped

redis, bgsave
  ENOSYS  epoll_pwait2 (441)  redis-cli  on 5.10  from kernel  its process
      failed

  unavailable on latest (2 cells): the mirror is down
  unsupported on 6.1 (1 cell): needs cgroup v1, here is v2
  skipped on 6.12 (1 cell): not today
  accelerator: TCG, as /dev/kvm hangs
"""

GOLDEN_120 = """\
                         5.10                    6.1                     6.12
image          scenario  5.10.0-35-cloud-amd64   6.1.0-40-cloud-amd64    6.12.48+deb13-cloud-amd64
──────────────────────────────────────────────────────────────────────────────────────────────────
systemd-tools  tmpfiles  ✓ passed with 1 ENOSYS  ✓ passed with 1 ENOSYS  ✓ passed
redis          bgsave    ✗ failed with 1 ENOSYS  ·                       ·

4 cells: ✓ 1 passed, ✓ 2 passed with ENOSYS, ✗ 1 failed with ENOSYS
·: not run

systemd-tools, tmpfiles
  ENOSYS  fchmodat2 (452)  systemd-tmpfiles  on 5.10, 6.1  from kernel  coped

redis, bgsave
  ENOSYS  epoll_pwait2 (441)  redis-cli  on 5.10  from kernel  its process failed
"""


def test_four_kernels_stand_side_by_side_in_80_columns() -> None:
    text = render(
        build(default_cells(), kernels=KERNELS, accelerator="accelerator: TCG, as /dev/kvm hangs"),
        width=80,
        colour=False,
    )
    assert text == GOLDEN_80


def test_more_columns_have_room_for_the_images_and_the_whole_words() -> None:
    text = render(build(default_cells()[:4], kernels=KERNELS[:3]), width=120, colour=False)
    assert text == GOLDEN_120


def test_long_names_are_folded_before_kernels_go_to_another_table() -> None:
    name = "subprocess-threads-asyncio-tempfile"
    text = render(
        build([observation(kernel, name) for kernel in KERNELS], kernels=KERNELS),
        width=80,
        colour=False,
    )
    assert text.count("image, scenario") == 1
    assert "  subprocess-threads  ✓ passed " in text
    assert "\n  -asyncio-tempfile\n" in text


def test_kernels_that_do_not_fit_stand_in_a_table_below() -> None:
    kernels = tuple(f"el{number}" for number in range(12))
    cells = [observation(kernel) for kernel in kernels]
    text = render(build(cells, kernels=kernels), width=80, colour=False)
    assert text.count("image, scenario") > 1
    assert [word for word in text.split() if word in kernels] == list(kernels)
    assert text.count("✓ passed") == len(kernels)


@pytest.mark.parametrize("width", [20, 60, 80, 120, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int, unicode: bool) -> None:
    text = render(
        build(default_cells(), kernels=KERNELS), width=width, colour=False, unicode=unicode
    )
    assert max(map(len, text.splitlines())) <= max(width, 40)
    assert unicode or text.isascii()


def test_colour_adds_nothing_but_colour() -> None:
    matrix = build(default_cells(), kernels=KERNELS)
    plain = render(matrix, width=100, colour=False)
    coloured = render(matrix, width=100, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    stripped = [line.rstrip() for line in ESCAPE.sub("", coloured).splitlines()]
    assert stripped == plain.splitlines()


def test_every_verdict_has_its_own_symbol_and_its_own_words() -> None:
    for unicode in (True, False):
        words = set()
        for verdict in Verdict:
            matrix = build([observation(verdict=verdict)], kernels=KERNELS[:1])
            lines = render(matrix, width=80, colour=False, unicode=unicode).splitlines()
            row = next(line for line in lines if "tmpfiles" in line)
            words.add(tuple(row.split("tmpfiles")[1].split(maxsplit=1)))
        assert len({symbol for symbol, _ in words}) == len(Verdict)
        assert len({text for _, text in words}) == len(Verdict)


def test_a_known_failure_says_that_it_is_known() -> None:
    def known(cell: Observation) -> Judgement:
        return judge(cell, [Entry(kernels="", reason="bug 7")], lambda _: True)

    matrix = build([redis_broken()], kernels=KERNELS, judge=known)
    assert "✗ failed +1, known" in render(matrix, width=60, colour=False)


HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\u202ered [/][bold]x[/bold] :smile:\n\u2028{0}"


@pytest.mark.parametrize("colour", [True, False])
def test_nothing_of_an_observation_reaches_the_terminal_unescaped(colour: bool) -> None:
    cells = [
        observation(
            HOSTILE,
            HOSTILE,
            HOSTILE,
            file=HOSTILE,
            failures=(failure(HOSTILE, program=HOSTILE, remark=HOSTILE),),
            notes=(HOSTILE,),
        ),
        unavailable("x", HOSTILE),
    ]
    text = render(build(cells, kernels=(), accelerator=HOSTILE), width=100, colour=colour)
    plain = ESCAPE.sub("", text)
    assert not [c for c in plain if c != "\n" and not c.isprintable()]
    assert r"\x1b]0;owned\x07\x1b[2J\r\u202ered" in plain
    assert "[bold]x[/bold]" in plain
    assert ":smile:" in plain


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(), max_size=60), st.integers(40, 200))
def test_any_name_is_shown_and_leaves_the_terminal_alone(name: str, width: int) -> None:
    cells = [observation(name, name, name, failures=(failure(program=name),))]
    text = render(build(cells, kernels=()), width=width, colour=False)
    assert not [c for c in text if c != "\n" and not c.isprintable()]


def test_without_a_cell_only_the_notes_are_there() -> None:
    assert render(build([], kernels=("5.10",), accelerator="TCG"), width=80, colour=False) == (
        "  TCG\n"
    )
