from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from observations import environment, failure, observation, redis_broken, step

from harness.findings import Comparison
from harness.model.hosts import Engine
from harness.model.observations import Observation, Verdict
from harness.model.scenarios import Known
from harness.report.differences import render
from harness.verdicts.compare import Terms
from harness.verdicts.sides import compare_sides
from harness.verdicts.views import Recorded

KNOWN = Known(kernels="5.10", reason="falls back", syscall="fchmodat2")
STALE = Known(kernels="5.10", reason="older wording", field="stderr")


def comparison(
    before: Sequence[Observation], after: Sequence[Observation], *known: Known
) -> Comparison:
    return compare_sides(
        "5.10 against latest",
        [Recorded(observation=one) for one in before],
        [Recorded(observation=one) for one in after],
        Terms(known=lambda one: [e for e in known if e.kernels == one.kernel]),
    )


def shown(found: Comparison, **how: Any) -> str:
    return render(found, **({"width": 100, "colour": False} | how))


def broken() -> tuple[Observation, Observation]:
    fine = redis_broken("latest", verdict=Verdict.PASSED, reason="", failures=(), ends=())
    return fine, redis_broken("5.10")


def test_the_worst_stands_first_with_its_cause_and_the_count_last() -> None:
    fine, bad = broken()
    found = comparison(
        [observation("latest"), fine], [observation("5.10", failures=(failure(),)), bad]
    )
    text = shown(found)
    lines = text.splitlines()
    assert lines[0] == "BROKEN  redis, bgsave on 5.10"
    assert "  cause, suspected: redis-cli gets ENOSYS from kernel for epoll_pwait2" in lines
    assert "      stderr: epoll: not implemented" in lines
    assert "DEGRADED  systemd-tools, tmpfiles on 5.10" in lines
    call = "fchmodat2 in systemd-tmpfiles, step 1, not implemented by this kernel, coped"
    assert f"no failure -> ENOSYS: {call}" in " ".join(text.split())
    assert lines[-1] == "2 cells compared: 1 broken, 1 degraded"


def test_an_output_is_shown_as_the_lines_that_differ_bounded() -> None:
    before, after = (
        observation(kernel, steps=(step(stdout="".join(f"{word} {n}\n" for n in range(30))),))
        for kernel, word in (("latest", "old"), ("5.10", "new"))
    )
    lines = shown(comparison([before], [after])).splitlines()
    assert "  stdout of step 1:" in lines
    assert "      -old 0" in lines
    assert "      ... and 52 lines more" in lines


def test_what_is_unlike_stands_at_the_top_once() -> None:
    docker = environment("5.10", engine=Engine.DOCKER)
    rows = ("a", "b")
    found = comparison(
        [observation("latest", row) for row in rows],
        [observation("5.10", row, environment=docker) for row in rows],
    )
    assert shown(found).startswith(
        "Not the same on both sides, besides what is compared:\n"
        "  engine: podman before, docker after (2 cells)\n"
    )


def test_an_output_that_is_gone_has_no_line_in_its_place() -> None:
    before = observation("latest", steps=(step(stdout="here\n"),))
    lines = shown(comparison([before], [observation("5.10")])).splitlines()
    place = lines.index("  stdout of step 1:")
    assert lines[place + 1 : place + 3] == ["      -here", ""]


def test_a_note_that_several_cells_have_is_said_once() -> None:
    rows = ("a", "b")
    found = comparison(
        [observation("latest", row, steps=(step(stdout="x"),)) for row in rows],
        [observation("5.10", row, steps=(step(peak_memory_way="rusage"),)) for row in rows],
    )
    text = shown(found)
    assert text.count("peak memory was not compared") == 1
    assert "measured in two ways (2 cells)" in text


def test_known_stale_noise_and_what_was_not_compared_are_said() -> None:
    noisy = [observation("latest", "noisy", steps=(step(stdout=word),)) for word in "ab"]
    found = compare_sides(
        "t",
        [
            Recorded(observation=observation("latest")),
            Recorded(observation=noisy[0], repeats=(noisy[1],)),
        ],
        [
            Recorded(observation=observation("5.10", failures=(failure(),))),
            Recorded(observation=observation("5.10", "noisy")),
            Recorded(observation=observation("5.10", "alone")),
        ],
        Terms(known=lambda one: [KNOWN, STALE] if one.id == observation("5.10").id else []),
    )
    text = shown(found)
    assert "known: systemd-tools, tmpfiles on 5.10: fchmodat2: falls back" in text
    assert "known difference is stale: systemd-tools, tmpfiles on 5.10: older wording" in text
    assert (
        "noise, not the same in every run: systemd-tools, noisy on 5.10: stdout of step 1" in text
    )
    assert "systemd-tools, alone on 5.10: there is nothing to compare it with" in text
    assert "2 cells compared: 2 same" in text


def test_nothing_that_a_program_says_reaches_the_terminal_raw() -> None:
    evil = "\x1b[2J\u202e]]>"
    after = observation("5.10", steps=(step(stdout=evil, stderr=evil),), messages=(evil,))
    text = shown(comparison([observation("latest")], [after]))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\x1b[33mCHANGED" in shown(comparison([observation("latest")], [after]), colour=True)


def test_a_stream_of_ascii_gets_ascii_and_lines_fit() -> None:
    after = observation("5.10", steps=(step(stdout="ä" * 300),))
    text = shown(comparison([observation("latest")], [after]), width=60, unicode=False)
    assert text.isascii()


def test_a_comparison_of_nothing_says_so() -> None:
    assert shown(comparison([], [])) == "0 cells compared\n"
