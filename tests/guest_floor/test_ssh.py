"""The connection to a guest, held against a real SSH server in this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import paramiko
import pytest

from harness.errors import GuestError
from harness.guest import ssh, terminal


class Anybody(paramiko.ServerInterface):
    """Who lets everybody in, and whose commands say "done" and end well."""

    def __init__(self) -> None:
        self.channels: list[paramiko.Channel] = []
        """Kept, or they would be closed at once."""

    def get_allowed_auths(self, username: str) -> str:
        return "none"

    def check_auth_none(self, username: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.channels.append(channel)

        def done() -> None:
            channel.sendall(b"done")
            channel.send_exit_status(0)
            channel.shutdown_write()

        threading.Timer(0.1, done).start()  # behind the answer to the request
        return True


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, list[socket.socket]]]:
    """Return the socket of a server that waits for one guest's greeting, and its connections."""
    path, taken = tmp_path / "channel", []
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            taken.append(connection)
            with connection.makefile("rb", buffering=0) as greeting:
                assert greeting.readline() == b"\n"
                assert greeting.readline().startswith(b"harness ")
            server = paramiko.Transport(connection)
            server.add_server_key(paramiko.ECDSAKey.generate())
            server.start_server(server=anybody)

        anybody = Anybody()
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield path, taken
        serving.join(10)
    for connection in taken:
        connection.close()


def test_a_connection_that_breaks_while_a_session_is_opened_is_closed(
    served: tuple[Path, list[socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, taken = served
    tie = vars(paramiko.Channel)["_set_transport"]

    def cut(session: paramiko.Channel, transport: paramiko.Transport) -> None:
        taken[0].shutdown(socket.SHUT_RDWR)
        transport.join(10)  # it looks through its sessions, and this one is not tied to it yet
        tie(session, transport)

    with closing(ssh.connect(path, 10)) as transport:
        monkeypatch.setattr(paramiko.Channel, "_set_transport", cut)
        with pytest.raises(GuestError, match="the connection to the guest broke"):
            ssh.run(transport, "true", b"", 20)
        assert not transport.is_active()


def test_a_connection_that_breaks_once_a_command_has_ended_leaves_its_answer(
    served: tuple[Path, list[socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = served
    status_of = ssh._status

    def broken(data: bytes) -> None:
        raise EOFError  # what paramiko makes of a socket that takes nothing

    def cut(channel: paramiko.Channel, limit: float, command: str) -> int:
        status = status_of(channel, limit, command)
        monkeypatch.setattr(channel.get_transport().packetizer, "write_all", broken)
        return status

    monkeypatch.setattr(ssh, "_status", cut)
    with closing(ssh.connect(path, 10)) as transport:
        reply = ssh.run(transport, "true", b"", 20)
        assert (reply.status, reply.stdout) == (0, b"done")
        with pytest.raises(GuestError, match="the connection to the guest broke"):
            ssh.run(transport, "true", b"", 20)


def test_a_terminal_whose_connection_broke_says_so(
    served: tuple[Path, list[socket.socket]],
) -> None:
    path, taken = served
    with closing(ssh.connect(path, 10)) as transport:
        taken[0].shutdown(socket.SHUT_RDWR)
        with pytest.raises(GuestError, match="broke: the guest has ended"):
            terminal.attach(transport, "sh")
