from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from observations import DOCS, KERNELS, check, observation, redis_broken

from harness.errors import StoreError
from harness.model.hosts import LockedPackage
from harness.model.observations import Verdict
from harness.results.codec import encode, observation_schema
from harness.results.files import sweep
from harness.results.meta import ImageFacts, KernelFacts, RunMeta
from harness.results.runs import RunDir, cell_name, find_runs, load_run, new_run_id

KERNEL = KernelFacts(
    name="5.10",
    release="5.10.0-35-cloud-amd64",
    digest="5" * 64,
    origin="bullseye",
    packages=(
        LockedPackage(
            name="linux-image-cloud-amd64",
            version="5.10.237-1",
            path="pool/main/l/linux/linux.deb",
            sha256="e" * 64,
            size=30 << 20,
        ),
    ),
    ad_hoc=True,
)
META = RunMeta(
    command=("pytest", "--kernels=all"),
    rootdir="/home/me/project",
    harness="0.1.0",
    python="3.13.5",
    qemu="10.0.2",
    skopeo="1.18.0",
    accelerator="tcg",
    accelerator_why="/dev/kvm does not exist",
    kernels=(KERNEL, KernelFacts(name="latest", unavailable="the mirror is down")),
    images=(ImageFacts(name="redis", ref="recipe:redis", digest="sha256:" + "a" * 64),),
)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "results", META)


def test_a_run_holds_its_record_its_cells_and_its_consoles(run: RunDir) -> None:
    cell = redis_broken()
    written = run.write_cell(cell)
    log = run.write_console(cell.id, b"[    0.000000] Linux\xff\r\n")
    check(written, "observation")
    record = check(run.path / "run.json", "run")
    assert record["kernels"][0]["packages"][0]["version"] == "5.10.237-1"
    assert log.read_bytes().endswith(b"\xff\r\n")
    assert written.stem == log.stem
    loaded = load_run(run.path)
    assert loaded.observations == (cell,)
    assert loaded.problems == ()
    assert loaded.meta == run.read_meta()
    assert loaded.meta.id == run.path.name


def test_run_ids_sort_by_time() -> None:
    first = new_run_id(datetime(2026, 11, 24, 20, 30, 15, tzinfo=UTC))
    later = new_run_id(datetime(2026, 11, 24, 20, 30, 16, tzinfo=UTC))
    assert first == "20261124T203015Z-0000"
    assert first < later


def test_run_ids_sort_by_time_within_a_second_too() -> None:
    moments = [datetime(2026, 11, 24, 20, 30, 15, part, tzinfo=UTC) for part in range(0, 10**6, 16)]
    ids = [new_run_id(moment) for moment in (*moments, moments[-1].replace(microsecond=999_999))]
    assert ids == sorted(set(ids))
    assert ids[-1] == "20261124T203015Z-ffff"


def test_latest_points_to_the_newest_run(run: RunDir) -> None:
    results = run.path.parent
    assert (results / "latest").readlink() == Path(run.path.name)
    second = RunDir.create(results, META)
    assert (results / "latest").resolve() == second.path.resolve()
    assert load_run(results / "latest").meta.id == second.path.name


def test_a_directory_in_the_place_of_latest_is_left_alone_and_named(tmp_path: Path) -> None:
    (tmp_path / "latest" / "mine").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"latest is a directory, not a link: move it away"):
        RunDir.create(tmp_path, META)
    assert (tmp_path / "latest" / "mine").is_dir()


def test_results_made_in_somebodys_repository_are_not_for_their_version_control(
    run: RunDir, tmp_path: Path
) -> None:
    assert (run.path.parent / ".gitignore").read_text() == "*\n"
    (tmp_path / "theirs").mkdir()
    RunDir.create(tmp_path / "theirs", META)
    assert not (tmp_path / "theirs" / ".gitignore").exists()


def test_several_processes_write_cells_of_one_run(run: RunDir) -> None:
    code = """if True:
        import pathlib, sys
        from harness.model.observations import Observation
        from harness.results.codec import decode
        from harness.results.runs import RunDir
        run = RunDir(pathlib.Path(sys.argv[1]))
        for line in sys.stdin.buffer.read().split(b"\\0"):
            run.write_cell(decode(Observation, line))
    """
    cells = [observation(kernel) for kernel in KERNELS]
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(run.path)], stdin=subprocess.PIPE)
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"\0".join(map(encode, cells)))
        worker.stdin.close()
    assert [worker.wait() for worker in workers] == [0, 0]
    loaded = load_run(run.path)
    assert sorted(cell.kernel for cell in loaded.observations) == sorted(KERNELS)
    assert loaded.problems == ()
    assert not [file for file in run.path.rglob("*") if file.name.startswith(".")]


def test_a_cell_that_is_run_again_takes_the_place_of_the_earlier(run: RunDir) -> None:
    run.write_cell(observation(verdict=Verdict.TIMED_OUT))
    run.write_cell(observation())
    assert [cell.verdict for cell in load_run(run.path).observations] == [Verdict.PASSED]


def test_a_corrupt_cell_is_a_problem_and_costs_no_other(run: RunDir) -> None:
    good = run.write_cell(observation("6.1"))
    cut = run.write_cell(observation("5.10"))
    cut.write_bytes(cut.read_bytes()[:200])
    (run.path / "cells" / "empty.json").touch()
    (run.path / "cells" / "folder.json").mkdir()
    loaded = load_run(run.path)
    assert [cell.kernel for cell in loaded.observations] == ["6.1"]
    assert {problem.path for problem in loaded.problems} == {
        cut,
        run.path / "cells" / "empty.json",
        run.path / "cells" / "folder.json",
    }
    assert all(str(problem.path) in problem.text for problem in loaded.problems)
    assert good.exists()


def test_cells_outlive_a_lost_record(run: RunDir) -> None:
    run.write_cell(observation())
    (run.path / "run.json").unlink()
    loaded = load_run(run.path)
    assert len(loaded.observations) == 1
    assert loaded.meta.id == run.path.name
    assert "run.json" in loaded.problems[0].text


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no run at"):
        load_run(tmp_path / "20261124T203015Z-ab12")


def test_a_run_is_completed_only_once_it_was_finished(run: RunDir) -> None:
    results = run.path.parent
    assert [ref.completed for ref in find_runs(results)] == [False]
    done = run.finish(run.read_meta(), {"passed": 3}, 0)
    check(run.path / "run.json", "run")
    assert [(ref.completed, ref.meta) for ref in find_runs(results)] == [(True, done)]
    assert done.counts == {"passed": 3}


def test_runs_are_found_oldest_first_and_nothing_else_is(run: RunDir) -> None:
    results = run.path.parent
    old = results / "20200101T000000Z-0000"
    old.mkdir()
    (results / "notes").mkdir()
    (results / "README.md").touch()
    assert [ref.path for ref in find_runs(results)] == [old, run.path]
    assert find_runs(results)[0].meta is None
    assert find_runs(results / "nowhere") == ()


def test_half_written_files_of_dead_processes_are_swept_and_of_live_ones_are_not(
    run: RunDir,
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    cells = run.path / "cells"
    litter = cells / f".a.json.{dead.pid}.00000000.part"
    busy = cells / f".a.json.{os.getpid()}.00000000.part"
    litter.touch()
    busy.touch()
    assert load_run(run.path).problems == ()
    sweep(cells)
    assert [litter.exists(), busy.exists()] == [False, True]


def test_a_writer_that_is_killed_leaves_the_earlier_file(run: RunDir) -> None:
    kept = run.write_cell(observation())
    before = kept.read_bytes()
    code = (
        "import os, sys, pathlib; from harness.results import files\n"
        "pathlib.Path.replace = lambda *a: os.kill(os.getpid(), 9)\n"
        "files.write_whole(pathlib.Path(sys.argv[1]), b'half')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(kept)], check=False)
    assert kept.read_bytes() == before
    run.finish(run.read_meta(), {}, 0)
    assert [file.name for file in kept.parent.iterdir()] == [kept.name]


def in_small_file_system(directory: Path, options: str, code: str) -> str:
    """Run Python in a tmpfs of 64 KiB with these mount options, and return its last line."""
    mounted = f'mount -t tmpfs -o size=64k,{options} tmpfs "$1"; exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-ec", mounted, "sh", str(directory), sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"this machine lets no user mount: {done.stderr.strip()}")
    return (done.stdout + done.stderr).strip().splitlines()[-1]


def test_no_room_is_one_clear_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    code = """if True:
        import pathlib, sys
        from harness.errors import StoreError
        from harness.results.files import write_whole
        file = pathlib.Path(sys.argv[1], "cell.json")
        write_whole(file, b"x" * 9000)
        try:
            write_whole(file, b"y" * 90000)
        except StoreError as error:
            print(error, file.read_bytes() == b"x" * 9000, len(list(file.parent.iterdir())))
    """
    assert in_small_file_system(tmp_path, "rw", code) == (
        f"no space left for {tmp_path}/cell.json: free some room, or choose another results "
        "directory True 1"
    )


def test_a_read_only_results_directory_is_one_clear_line(tmp_path: Path) -> None:
    code = """if True:
        import pathlib, sys
        from harness.errors import StoreError
        from harness.results.meta import RunMeta
        from harness.results.runs import RunDir
        try:
            RunDir.create(pathlib.Path(sys.argv[1]), RunMeta())
        except StoreError as error:
            print(error)
    """
    said = in_small_file_system(tmp_path, "ro", code)
    assert said.startswith(f"{tmp_path}/2")
    assert said.endswith("is not writable: choose a results directory of your own")


def test_file_names_are_readable_safe_and_distinct() -> None:
    name = cell_name("scenarios/redis.yaml::set-get[redis-6.12]")
    assert name.startswith("redis-set-get-redis-6.12-")
    assert name != cell_name("other/redis.yaml::set-get[redis-6.12]")


@given(st.text(st.characters()))
def test_no_node_id_leaves_the_directory_or_is_too_long(node_id: str) -> None:
    name = cell_name(node_id)
    assert "/" not in name
    assert not name.startswith(".")
    assert name.isascii()
    assert len(name) < 100


def test_a_meta_is_replaced_as_a_whole(run: RunDir) -> None:
    run.write_meta(replace(run.read_meta(), qemu="11.0"))
    assert run.read_meta().qemu == "11.0"
    assert run.read_meta().kernels == META.kernels


def test_the_example_of_the_page_runs(run: RunDir) -> None:
    page = (DOCS / "results.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
    run.write_cell(observation())
    (run.path / "cells" / "cut.json").write_text("{")
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=run.path.parent.parent,
        env={"PYTHONPATH": str(DOCS.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, problem = done.stdout.splitlines()
    assert first == "5.10 tmpfiles passed"
    assert "cut.json" in problem


def test_the_page_names_what_a_cell_holds() -> None:
    page = (DOCS / "results.md").read_text()
    assert [name for name in observation_schema()["properties"] if f"`{name}`" not in page] == []
