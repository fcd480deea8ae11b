"""A shell in a container, on the kernel on which a cell failed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace

from harness.container import process
from harness.container.bundle import sleeper_argv
from harness.container.runtime import NAME, mount_image
from harness.guest.apparatus import Apparatus
from harness.guest.terminal import attach
from harness.scenarios.cell import confined, setting_of
from harness.scenarios.request import Instruments, Request
from harness.scenarios.sitting import Sitting, sitting
from harness.trace.recorder import Recording

_PROCESS = "/run/harness/shell.json"
_SHELLS = ("sh", "-c", "command -v bash >/dev/null && exec bash -l; exec sh -l")


def container_shell(
    request: Request,
    apparatus: Apparatus,
    instruments: Instruments,
    command: Sequence[str] | None,
    *,
    terminal: bool,
) -> int:
    """Run a command (a shell by default) in a container on this process's terminal.

    Returns its exit status.

    Raises:
        HarnessError: the container does not start.
    """
    request = replace(request, traced=False)
    with apparatus.started(request.machine, request.snapshot, say=lambda text: None) as guest:
        found = confined(request, instruments)
        setting = setting_of(request, found)
        recording = Recording.idle(guest)
        files = mount_image(guest)
        with sitting(guest, recording, setting, files, sleeper_argv(), waits=True) as at:
            at.start(None, sleeper_argv(), request.scale)
            described = _described(at, command, terminal=terminal)
            guest.put({_PROCESS: json.dumps(described).encode()})
            program = setting.runtime.program
            words = (
                program,
                "exec",
                *(("--tty",) if terminal else ()),
                "--process",
                _PROCESS,
                NAME,
            )
            return attach(guest.transport, f"exec {shlex.join(words)}")


def _described(at: Sitting, command: Sequence[str] | None, *, terminal: bool) -> dict[str, object]:
    return dict(process.to_oci(at.shared, tuple(command or _SHELLS), tty=terminal))
