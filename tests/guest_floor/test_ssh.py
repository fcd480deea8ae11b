"""The connection to a guest, held against a real SSH server in this process."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import paramiko
import pytest

from harness.errors import GuestError, GuestTimeout
from harness.guest import ssh, terminal

PATIENCE = 20.0


class Served(paramiko.ServerInterface):
    """A server at ``path`` for one host, in a guest's place: its commands say "done" and end well.

    One that has a number in it says so many bytes. A command that gets no input ends a little
    later, one that does, or sleeps, when that is over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listening.bind(str(path))
        self.listening.listen()
        self.connections: list[socket.socket] = []
        self.channels: list[paramiko.Channel] = []
        """Kept, or they would be closed at once."""
        self.over = threading.Event()
        self.inputs_ended: list[bool] = []
        """Of each command, whether the end of its input was sent before it ended."""

    def serve(self) -> None:
        connection, _ = self.listening.accept()
        self.connections.append(connection)
        with connection.makefile("rb", buffering=0) as greeting:
            assert greeting.readline() == b"\n"
            assert greeting.readline().startswith(b"harness ")
        server = paramiko.Transport(connection)
        server.add_server_key(paramiko.ECDSAKey.generate())
        server.start_server(threading.Event(), self)  # the connection may be cut before it is heard

    def get_allowed_auths(self, username: str) -> str:
        return "none"

    def check_auth_none(self, username: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.channels.append(channel)
        if b"stand still" in command:
            self.over.wait(PATIENCE)
        if b"read nothing" in command:
            packets = channel.get_transport().packetizer
            vars(packets)["read_message"] = lambda: self.over.wait(PATIENCE)
        if b"break" in command:
            time.sleep(0.5)  # what wakes a guest lies unread by then
            self.connections[0].shutdown(socket.SHUT_RDWR)
            self.connections[0].close()

        def run() -> None:
            short = b"/dev/null" in command and b"sleep" not in command
            until = time.monotonic() + (0.2 if short else PATIENCE)
            while not channel.eof_received and time.monotonic() < until:
                time.sleep(0.01)
            self.inputs_ended.append(bool(channel.eof_received))
            number = re.search(rb"[0-9]+", command)
            with suppress(OSError):  # the host may end the session before
                channel.sendall(b"." * int(number[0]) if number else b"done")
                channel.send_exit_status(0)
                channel.shutdown_write()

        threading.Thread(target=run, daemon=True).start()
        return True


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path / "channel")
    with closing(server.listening):
        serving = threading.Thread(target=server.serve, daemon=True)
        serving.start()
        yield server
        server.over.set()
        serving.join(PATIENCE)
    for connection in server.connections:
        connection.close()


@pytest.mark.parametrize("ours", [True, False])
def test_a_connection_may_break_or_be_closed_while_a_session_is_opened(
    served: Served, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    tie = vars(paramiko.Channel)["_set_transport"]

    def cut(session: paramiko.Channel, transport: paramiko.Transport) -> None:
        if ours:
            transport.close()
        else:
            served.connections[0].shutdown(socket.SHUT_RDWR)
        transport.join(PATIENCE)  # it looks through its sessions, and this one is not tied yet
        tie(session, transport)

    with closing(ssh.connect(served.path, PATIENCE)) as transport:
        monkeypatch.setattr(paramiko.Channel, "_set_transport", cut)
        with pytest.raises(GuestError, match="the connection to the guest broke"):
            ssh.run(transport, "true", b"", PATIENCE)
        assert not transport.is_active()


def test_a_connection_that_breaks_once_a_command_has_ended_leaves_its_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    status_of = ssh._status

    def broken(data: bytes) -> None:
        raise EOFError  # what paramiko makes of a socket that takes nothing

    def cut(channel: paramiko.Channel, limit: float, command: str) -> int:
        status = status_of(channel, limit, command)
        monkeypatch.setattr(channel.get_transport().packetizer, "write_all", broken)
        return status

    monkeypatch.setattr(ssh, "_status", cut)
    with closing(ssh.connect(served.path, PATIENCE)) as transport:
        reply = ssh.run(transport, "true", b"", PATIENCE)
        assert (reply.status, reply.stdout) == (0, b"done")
        with pytest.raises(GuestError, match="the connection to the guest broke"):
            ssh.run(transport, "true", b"", PATIENCE)


@pytest.mark.parametrize("stdin", [b"", b"some"])
def test_the_end_of_a_commands_input_is_sent_only_where_there_is_input(
    served: Served, stdin: bytes
) -> None:
    with closing(ssh.connect(served.path, PATIENCE)) as transport:
        assert ssh.run(transport, "true", stdin, PATIENCE).stdout == b"done"
    assert served.inputs_ended == [bool(stdin)]


def test_nothing_is_asked_for_that_could_arrive_after_the_end_of_a_command(
    served: Served,
) -> None:
    size = 12_000_000
    with closing(ssh.connect(served.path, PATIENCE)) as transport:
        assert len(ssh.run(transport, f"cat {size}", b"", PATIENCE).stdout) == size
        [session] = served.channels
        assert session.out_window_size == ssh._WINDOW - size


@pytest.mark.parametrize("does", ["stand still", "sleep and read nothing"])
def test_a_guest_that_takes_nothing_any_more_is_given_up_soon_after_a_commands_limit(
    served: Served, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.setattr(ssh, "STUCK", 1.0)
    monkeypatch.setattr(ssh, "KEEPALIVE", 0.001)  # fills the way to it before the limit
    begin = time.monotonic()
    with closing(ssh.connect(served.path, PATIENCE)) as transport:
        with pytest.raises(GuestTimeout, match=r"nothing gets through|did not end"):
            ssh.run(transport, does, b"", 2.0)
        with pytest.raises(GuestError, match="broke"):
            ssh.run(transport, "true", b"", 2.0)
    assert time.monotonic() - begin < PATIENCE - 5


def test_a_command_that_does_not_end_is_told_so_by_a_host_that_is_late_itself(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(transport: object, readers: list[threading.Thread], deadline: float) -> None:
        time.sleep(max(0.0, deadline - time.monotonic()) + 0.5)

    monkeypatch.setattr(ssh, "_await", late)
    with closing(ssh.connect(served.path, PATIENCE)) as transport:
        with pytest.raises(GuestTimeout, match="did not end"):
            ssh.run(transport, "sleep", b"", 0.5)
        # What reads its output ends with its session.
        deadline = time.monotonic() + PATIENCE
        while any("_drain" in thread.name for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_connection_that_is_reset_while_a_command_starts_is_a_guest_that_was_lost(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "KEEPALIVE", 0.01)
    with (
        closing(ssh.connect(served.path, PATIENCE)) as transport,
        pytest.raises(GuestError, match="broke"),
    ):
        ssh.run(transport, "break", b"", PATIENCE)


def test_an_output_without_end_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_MOST", 1 << 20)
    with closing(ssh.connect(served.path, PATIENCE)) as transport:
        with pytest.raises(GuestError, match="'cat 60000000' wrote more than 1 MiB"):
            ssh.run(transport, "cat 60000000", b"", PATIENCE)
        assert ssh.run(transport, "true", b"", PATIENCE).stdout == b"done"


def test_a_terminal_whose_connection_broke_says_so(served: Served) -> None:
    with closing(ssh.connect(served.path, PATIENCE)) as transport:
        served.connections[0].shutdown(socket.SHUT_RDWR)
        with pytest.raises(GuestError, match="broke: the guest has ended"):
            terminal.attach(transport, "sh")
