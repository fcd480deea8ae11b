from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from observations import observation

from harness.errors import UsageError
from harness.results import resuming
from harness.results.meta import RunMeta
from harness.results.resuming import claimed, complete, find, forget, left, take_up, taking_part
from harness.results.runs import RunDir, load_run


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    cells = (observation("5.10").id, observation("6.1").id)
    return RunDir.create(tmp_path / "results", RunMeta(cells=cells))


def test_a_run_is_complete_once_it_ended_by_itself_and_has_all_its_cells(run: RunDir) -> None:
    run.write_cell(observation("5.10"))
    assert left(run, run.read_meta()) == (observation("6.1").id,)
    ended = run.finish(run.read_meta(), {}, 0)
    assert not complete(run, ended)
    run.write_cell(observation("6.1"))
    assert complete(run, ended)
    assert not complete(run, replace(ended, exit_status=2))
    assert not complete(run, replace(ended, stopped=True))
    assert not complete(run, replace(ended, finished=""))


def test_a_cell_that_cannot_be_read_is_missing(run: RunDir) -> None:
    run.write_cell(observation("5.10")).write_text("{")
    assert observation("5.10").id in left(run, run.read_meta())


def test_a_resumed_run_keeps_its_cells_and_is_interrupted_until_it_ends(run: RunDir) -> None:
    run.write_cell(observation("5.10"))
    run.finish(run.read_meta(), {}, 2)
    again = take_up(run.path.parent / "latest")
    again.write_cell(observation("6.1"))
    loaded = load_run(run.path)
    assert len(loaded.observations) == 2
    assert loaded.meta.finished == ""
    assert len(loaded.meta.resumed) == 1
    assert loaded.meta.started == run.read_meta().started


def test_a_run_whose_record_is_lost_can_be_taken_up(run: RunDir) -> None:
    run.write_cell(observation("5.10"))
    (run.path / "run.json").write_text("{")
    taken = take_up(run.path)
    assert taken.read_meta().id == run.path.name
    assert len(load_run(run.path).observations) == 1


def test_runs_are_found_by_id_by_its_beginning_and_as_the_latest(run: RunDir) -> None:
    results = run.path.parent
    other = RunDir.create(results, RunMeta())
    assert find(results, "latest") == other.path
    assert find(results, run.path.name) == run.path
    with pytest.raises(UsageError, match=r"may be .*, .*: give more of the id"):
        find(results, "2")
    with pytest.raises(UsageError) as caught:
        find(results, "nothing")
    assert str(caught.value) == (
        f"--resume=nothing: no such run in {results}; the runs there: "
        f"{', '.join(sorted((run.path.name, other.path.name), reverse=True))}"
    )
    with pytest.raises(UsageError, match="there is none yet"):
        find(results / "elsewhere", "latest")


def test_a_run_that_goes_on_is_refused_until_its_process_has_ended(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """if True:
        import pathlib, sys
        from harness.results.resuming import taking_part
        with taking_part(pathlib.Path(sys.argv[1])):
            print("up", flush=True)
            sys.stdin.read()
    """
    monkeypatch.setattr(resuming, "PATIENCE", 0.3)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n"
        with pytest.raises(UsageError, match="goes on in another process"), claimed(run.path):
            pass
        holder.kill()
        holder.wait()
        with claimed(run.path), taking_part(run.path):  # its own workers
            pass


def test_a_run_is_over_though_a_process_that_its_session_forked_lives_on(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "PATIENCE", 0.3)
    with taking_part(run.path):
        fork = os.fork()
        if fork == 0:
            signal.alarm(60)
            signal.pause()
    try:
        with claimed(run.path):
            pass
    finally:
        os.kill(fork, signal.SIGKILL)
        os.waitpid(fork, 0)


def test_what_is_forgotten_of_a_cell_is_all_of_it_and_nothing_else(run: RunDir) -> None:
    cell, other = observation("5.10"), observation("6.1")
    for one in (cell, other):
        run.write_cell(one)
        run.write_cell(replace(one, repeat=1))
        run.write_console(one.id, b"said")
    forget(run, cell.id)
    assert [one.kernel for one in load_run(run.path).observations] == ["6.1"]
    assert [one.kernel for one in load_run(run.path).repeats] == ["6.1"]
    assert len(list((run.path / "consoles").iterdir())) == 1
