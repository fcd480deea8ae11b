from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from harness import held
from harness.guest import jail, supervise
from harness.guest.qemu import PREFIX

OLD = time.time() - 3600
HOLDER = """
import os, pathlib, subprocess, sys, tempfile
from harness import held
from harness.guest.qemu import PREFIX
with held.temporary(pathlib.Path(tempfile.gettempdir()), PREFIX) as directory:
    os.utime(directory, (0, 0))
    words = [sys.executable, "-I", "-S", sys.argv[1], str(directory), *sys.argv[2:]]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    print(child.pid, flush=True)
    child.wait()
"""
PROGRAM = (*jail.words(data=1 << 30, directory="/nonexistent"), "/bin/sh", "-c")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def left(where: Path) -> list[Path]:
    return list(where.glob(f"{PREFIX}*"))


def test_a_guests_directory_is_its_users_own_and_gone_after_it(temporary: Path) -> None:
    with held.temporary(temporary, PREFIX) as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "socket").touch()
    assert left(temporary) == []


def test_what_a_killed_harness_and_supervisor_left_is_removed_when_the_next_guest_starts(
    temporary: Path,
) -> None:
    words = [sys.executable, "-c", HOLDER, supervise.__file__, *PROGRAM, "echo; exec sleep 1000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as harness:
        assert harness.stdout is not None
        supervisor = int(harness.stdout.readline())
        held.sweep(temporary, PREFIX)
        [kept] = left(temporary)
        os.kill(harness.pid, signal.SIGSTOP)  # so that it removes nothing itself
        os.kill(supervisor, signal.SIGKILL)
        harness.kill()
    lock = os.open(kept, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as soon as the supervisor is really dead
    os.close(lock)
    os.utime(kept, (OLD, OLD))
    with held.temporary(temporary, PREFIX) as mine:
        assert left(temporary) == [mine]


def test_a_directory_whose_supervisor_lives_is_nobodys_to_remove(temporary: Path) -> None:
    directory = temporary / "harness-guest-other"
    directory.mkdir()
    words = [sys.executable, "-I", "-S", supervise.__file__, str(directory), *PROGRAM]
    with subprocess.Popen(
        [*words, "sleep 1; echo; exec sleep 1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        os.utime(directory, (OLD, OLD))
        held.sweep(temporary, PREFIX)
        assert directory.is_dir()
        assert child.stdin is not None
        child.stdin.close()
    assert not directory.exists()


def test_a_new_directory_and_a_link_are_left_alone(temporary: Path) -> None:
    (temporary / "harness-guest-new").mkdir()
    precious = temporary / "precious"
    precious.mkdir()
    os.utime(precious, (OLD, OLD))
    (temporary / "harness-guest-link").symlink_to(precious)
    held.sweep(temporary, PREFIX)
    assert len(left(temporary)) == 2
    assert precious.is_dir()
