"""What is left to a process in a jail, told by that process and by the kernel."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.guest import handover, jail, supervise
from harness.model.hosts import Accelerator

Start = Callable[..., "subprocess.Popen[str]"]

needs_landlock = pytest.mark.skipif(
    jail.landlock_version() == 0, reason="this kernel has no Landlock"
)
NAMESPACED = ["unshare", *(() if os.geteuid() == 0 else ("--user",)), "--net", "true"]
needs_namespaces = pytest.mark.skipif(
    subprocess.run(NAMESPACED, check=False, capture_output=True).returncode != 0,
    reason="this user may have no network namespace",
)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that every user may enter.

    Those of pytest are no such: whenever the user starts it, it closes their parent to others.
    """
    with tempfile.TemporaryDirectory(prefix="jail-") as name:
        made = Path(name)
        made.chmod(0o711)
        yield made


@pytest.fixture
def directory(reachable: Path) -> Path:
    """Where the jailed may write."""
    made = reachable / "own"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def start(directory: Path) -> Start:
    user = handover.user_for(Path("/bin/sh").resolve(), Accelerator.TCG, directory)

    def started(
        *words: str, read: Sequence[int] = (), write: Sequence[int] = (), data: int = 1 << 30
    ) -> subprocess.Popen[str]:
        confined = jail.words(
            data=data, directory=str(directory), user=user, read=read, write=write
        )
        return subprocess.Popen(
            [sys.executable, "-I", "-S", supervise.__file__, "/nowhere", *confined, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(*read, *write),
        )

    return started


def said(child: subprocess.Popen[str]) -> str:
    """Return what a jailed program said, and check that nothing went wrong in it."""
    with child:
        assert child.stdout is not None
        assert child.stderr is not None
        out, wrong = child.stdout.read(), child.stderr.read()
        assert (child.wait(60), wrong) == (0, "")
    return out.strip()


def refused(child: subprocess.Popen[str]) -> str:
    with child:
        assert child.stderr is not None
        wrong = child.stderr.read()
        assert child.wait(60) != 0
    return wrong.strip()


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def running(start: Start) -> Iterator[int]:
    """Run a jailed program that waits, and give its pid."""
    with start("/bin/sh", "-c", "echo ready; sleep 1000") as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()[0])
        child.stdin.close()


def test_root_and_every_capability_are_given_up(start: Start) -> None:
    with running(start) as pid:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    user = str(os.geteuid() or 65534)
    assert status["Uid"] == [user] * 4
    assert {status[name][0] for name in ("CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == ["1"]
    if os.geteuid() == 0:
        assert status["Groups"] == []
        assert status["CapBnd"] == ["0" * 16]


@needs_namespaces
def test_no_network_is_left_but_a_loopback_that_is_down(start: Start) -> None:
    with running(start) as pid:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()
    assert [line.split(":")[0].strip() for line in lines if ":" in line] == ["lo"]


def test_a_server_of_this_machine_cannot_be_reached(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = f": </dev/tcp/127.0.0.1/{server.getsockname()[1]}"
        assert "/dev/tcp" in refused(start("/bin/bash", "-c", script))


@needs_landlock
def test_files_of_the_user_cannot_be_opened_and_its_own_directory_can(
    start: Start, directory: Path, reachable: Path
) -> None:
    secret = reachable / "secret"
    secret.write_text("secret")
    secret.chmod(0o666)
    for script in (
        f"cat {secret}",
        f"echo >{secret}",
        "ls /",
        "cat /etc/passwd",
        "cat /proc/1/comm",
    ):
        assert "Permission denied" in refused(start("/bin/sh", "-c", script))
    assert secret.read_text() == "secret"
    script = f"echo mine >{directory}/file; cat {directory}/file; rm {directory}/file"
    assert said(start("/bin/sh", "-c", script)) == "mine"


@needs_landlock
def test_a_file_handed_over_is_opened_again_as_it_was_meant(start: Start, reachable: Path) -> None:
    closed = reachable / "closed"
    closed.mkdir(mode=0o700)
    file = closed / "file"
    file.write_text("content")
    file.chmod(0o666)
    with opened(file, os.O_RDONLY) as descriptor:
        path = f"/proc/self/fd/{descriptor}"
        assert said(start("/bin/cat", path, read=[descriptor])) == "content"
        script = f"echo more >>{path}"
        assert "Permission denied" in refused(start("/bin/sh", "-c", script, read=[descriptor]))
        assert said(start("/bin/sh", "-c", script, write=[descriptor])) == ""
    assert file.read_text() == "contentmore\n"


@needs_landlock
def test_processes_outside_cannot_be_signalled(start: Start) -> None:
    if jail.landlock_version() < 6 and os.geteuid() != 0:
        pytest.skip("Landlock keeps signals in from version 6 on")
    assert "not permitted" in refused(start("/bin/sh", "-c", f"kill -0 {os.getpid()}"))


def test_more_memory_than_was_granted_cannot_be_had(start: Start) -> None:
    words = ("/usr/bin/perl", "-e", 'my $text = "x" x (200 << 20)')
    assert said(start(*words)) == ""
    assert "Out of memory" in refused(start(*words, data=100 << 20))
