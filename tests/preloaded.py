"""Run pytest or ``harness`` as a program of its own, forked off a process that has imported all.

Importing pytest, the plugin and what they use takes several times as long as a session of a few
scripted cells or most commands. :func:`preloading` starts the process that has done so, and gives
the words of a small program that hands what follows (``pytest`` or ``harness``, and arguments), its
directory, environment and standard streams to a fork of that process, passes on signals, and ends
with its status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ROOM = 1 << 20


def preloading(directory: Path) -> Iterator[tuple[str, ...]]:
    """Yield the words that programs are run by while the process behind them is there."""
    address = str(directory / "programs")
    words = [sys.executable, __file__, "serve", address]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        assert server.stdout.readline() == b"ready\n"
        yield (sys.executable, "-I", "-S", __file__, "ask", address)
        server.stdin.close()


def ask(address: str, words: list[str]) -> int:
    """Have a program run with these streams, this directory and this environment."""
    request = {"words": words, "cwd": os.getcwd(), "env": dict(os.environ)}  # noqa: PTH109
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        for number in _PASSED_ON:
            signal.signal(number, lambda number, _: server.send(bytes([number])) and None)
        data = json.dumps(request).encode()
        socket.send_fds(server, [len(data).to_bytes(4)], [0, 1, 2])
        server.sendall(data)
        said = server.recv(1)
    return said[0] if said else 1


def serve(address: str) -> int:
    """Import everything, then fork for each that asks, until standard input ends.

    Returns:
        The status of a program: it is a fork that returns from here, or the server at its end.
    """
    import httpcore  # noqa: F401 - which httpx imports when it is used

    import harness.cli
    import harness.plugin
    from harness import defaults, yamlfile

    for package in (harness.cli, harness.plugin):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for kind in ("kernels", "images", "scenarios"):
        for file in defaults.directory(kind).glob("*.yaml"):
            yamlfile.load(file)
    # pytest imports a plugin itself, and warns of one that is there already.
    for name in [one for one in sys.modules if one.startswith("harness.plugin")]:
        del sys.modules[name]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        os.write(1, b"ready\n")
        while True:
            ready, _, _ = select.select([0, listening.fileno()], [], [])
            if listening.fileno() not in ready:
                os._exit(0)
            asker, _ = listening.accept()
            if os.fork() == 0:
                break
            asker.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return _started(asker)


def _started(asker: socket.socket) -> int:
    size, streams, *_ = socket.recv_fds(asker, 4, 3)
    data = b""
    while len(data) < int.from_bytes(size):
        data += asker.recv(_ROOM)
    child = os.fork()
    if child == 0:
        asker.close()
        return _run(json.loads(data), streams)
    _attend(child, asker)
    os._exit(0)


def _attend(child: int, asker: socket.socket) -> None:
    """Pass signals on, and the status back; end a program that nobody waits for any more."""
    process = os.pidfd_open(child)
    while process not in select.select([process, asker.fileno()], [], [])[0]:
        number = asker.recv(1)
        os.kill(child, number[0] if number else signal.SIGKILL)
        if not number:
            return
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    asker.send(bytes([status if status >= 0 else 128 - status]))


def _run(request: dict[str, Any], streams: list[int]) -> int:
    import pytest

    from harness import cli

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    more = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [request["cwd"], *filter(None, more)]
    sys.argv = request["words"]
    return int((cli.main if sys.argv[0] == "harness" else pytest.main)() or 0)


if __name__ == "__main__":
    _, action, where, *rest = sys.argv
    sys.exit(serve(where) if action == "serve" else ask(where, rest))
