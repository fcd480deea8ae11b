from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from observations import environment, observation
from pastnights import run_id

from harness.results.history import Counted, History, State
from harness.results.meta import RunMeta
from harness.results.timeline import (
    Past,
    Renewed,
    absent,
    flapping,
    pasts,
    renewed,
)

STATES = {
    "+": State.OK,
    "x": State.BROKEN,
    "k": State.KNOWN,
    "!": State.LOST,
    "?": State.UNAVAILABLE,
    "-": State.NONE,
}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path) as history:
        yield history


def live(history: History, **cells: str) -> str:
    """Let cells go through nights, a letter each (a space: it was not run); return the last."""
    for night in range(max(map(len, cells.values()))):
        take_in(history, night, {name: states[night] for name, states in cells.items()})
    return run_id(night)


def take_in(history: History, night: int, states: dict[str, str], *, is_night: bool = True) -> None:
    counted = [
        Counted(
            observation=observation("5.10", name),
            state=STATES[state],
            kind=STATES[state].value,
            enosys=0,
        )
        for name, state in states.items()
        if state != " "
    ]
    meta = RunMeta(id=run_id(night), started="s", finished="f", night=is_night, exit_status=0)
    history.take_in(meta, counted)


def past(history: History, run: str) -> Past:
    (found,) = pasts(history, run)
    return found


@pytest.mark.parametrize(
    ("states", "was", "previous", "since"),
    [
        ("x", None, None, None),
        ("+x", State.OK, 0, None),
        ("xx", State.BROKEN, 0, 0),
        ("+xxxx", State.BROKEN, 3, 1),
        ("x+xxx", State.BROKEN, 3, 2),
        ("xx+", State.BROKEN, 1, 0),
        ("xx++", State.OK, 2, None),
        # Nothing learnt neither ends a breakage nor begins one.
        ("+x?!-x", State.BROKEN, 1, 1),
        ("+?x", State.OK, 0, None),
        ("x! x", State.BROKEN, 0, 0),
        ("x!!", State.BROKEN, 0, 0),
        # What was accepted is broken all the same.
        ("+xkkx", State.KNOWN, 3, 1),
    ],
)
def test_a_breakage_dates_from_the_first_night_of_an_unbroken_row(
    history: History, states: str, was: State | None, previous: int | None, since: int | None
) -> None:
    found = past(history, live(history, cell=states))
    assert found.now is STATES[states[-1]]
    assert found.was is was
    assert found.previous == ("" if previous is None else run_id(previous))
    assert found.since == ("" if since is None else run_id(since))


def test_runs_by_hand_are_no_nights(history: History) -> None:
    take_in(history, 0, {"cell": "x"})
    take_in(history, 1, {"cell": "+"}, is_night=False)
    take_in(history, 2, {"cell": "x"})
    found = past(history, run_id(2))
    assert (found.was, found.since) == (State.BROKEN, run_id(0))


def test_later_nights_say_nothing_of_an_earlier_one(history: History) -> None:
    live(history, cell="+xx+x")
    found = past(history, run_id(2))
    assert (found.was, found.previous, found.since) == (State.BROKEN, run_id(1), run_id(1))


@pytest.mark.parametrize(
    ("states", "turns"),
    [
        ("+x+", (1, 2)),
        ("x+x", (1, 2)),
        ("x+k", (1, 2)),
        ("+++x", None),
        ("xx++", None),
        ("+x??+", (1, 4)),
        ("+?+!+", None),
        ("xkxk", None),
    ],
)
def test_a_cell_flaps_when_it_changed_both_ways(
    history: History, states: str, turns: tuple[int, ...] | None
) -> None:
    run = live(history, cell=states)
    expected = {observation("5.10", "cell").id: tuple(map(run_id, turns))} if turns else {}
    assert flapping(history, run, nights=9) == expected


def test_flapping_is_looked_for_in_the_last_nights_only(history: History) -> None:
    run = live(history, cell="+x++++")
    assert flapping(history, run, nights=6)
    assert not flapping(history, run, nights=5)
    assert not flapping(history, run_id(1), nights=6)


def test_cells_of_the_night_before_that_were_not_run_are_named(history: History) -> None:
    live(history, one="++", two="+ ", three=" +")
    assert absent(history, run_id(1), run_id(0)) == (observation("5.10", "two").id,)


def test_newer_builds_of_kernels_and_images_are_named_once(history: History) -> None:
    def on(night: int, release: str, kernel_digest: str, image_digest: str) -> None:
        here = environment(
            release=release, kernel_digest=kernel_digest, image_digest=image_digest, image="redis"
        )
        cells = [
            Counted(
                observation=observation("5.10", name, "redis", environment=here),
                state=State.OK,
                kind="passed",
                enosys=0,
            )
            for name in ("one", "two")
        ]
        meta = RunMeta(id=run_id(night), finished="f", night=True, exit_status=0)
        history.take_in(meta, cells)

    on(0, "5.10.0-32", "sha256:1", "sha256:a")
    on(1, "5.10.0-33", "sha256:2", "sha256:a")
    on(2, "5.10.0-33", "sha256:2", "sha256:b")
    kernel = Renewed(what="kernel", name="5.10", before="5.10.0-32", after="5.10.0-33")
    image = Renewed(what="image", name="redis", before="sha256:a", after="sha256:b")
    assert renewed(history, run_id(1), run_id(0)) == (kernel,)
    assert renewed(history, run_id(2), run_id(1)) == (image,)


def test_what_a_night_asks_does_not_grow_with_the_history(tmp_path: Path) -> None:
    def asked(nights: int) -> int:
        """Return how many steps of SQLite's machine a night's questions take."""
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        with History.open(tmp_path / str(nights)) as history:
            run = live(history, one="+" * nights, two="x" * (nights - 9) + "+x+++++++")
            history.connection.set_progress_handler(count, 10)
            pasts(history, run)
            flapping(history, run, nights=14)
            absent(history, run, run_id(nights - 2))
            renewed(history, run, run_id(nights - 2))
        return steps

    assert asked(400) < 1.5 * asked(20)
