"""Realistic observations for tests: plain factory functions, every field can be overridden."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema

from harness.model.hosts import Accelerator, Engine
from harness.model.observations import (
    Environment,
    Failure,
    Observation,
    Origin,
    ProcessEnd,
    StepResult,
    Verdict,
)

DOCS = Path(__file__).parent.parent / "docs"

RELEASES = {
    "5.10": "5.10.0-35-cloud-amd64",
    "6.1": "6.1.0-40-cloud-amd64",
    "6.12": "6.12.48+deb13-cloud-amd64",
    "latest": "7.3.4+deb13-cloud-amd64",
}
KERNELS = tuple(RELEASES)


def environment(kernel: str = "5.10", image: str = "systemd-tools", **other: Any) -> Environment:
    facts: dict[str, Any] = {
        "kernel": kernel,
        "release": RELEASES.get(kernel, f"{kernel}.0-test"),
        "kernel_digest": "sha256:" + "5" * 64,
        "kernel_origin": "linux-image-cloud-amd64 of bullseye",
        "qemu": "7.2.19",
        "accelerator": Accelerator.TCG,
        "cpu": "Haswell-noTSX,-pcid",
        "engine": Engine.PODMAN,
        "runtime": "crun version 1.21",
        "runtime_why": "the newest that starts on this kernel",
        "seccomp": "podman-trixie",
        "cgroup": "v2",
        "cmdline": "console=ttyS0 panic=-1",
        "image": image,
        "image_ref": f"recipe:{image}",
        "image_digest": "sha256:" + "a" * 64,
        "tools": "c" * 32,
        "ways": {"peak_memory": "memory.peak"},
    }
    return Environment(**(facts | other))


def failure(name: str = "fchmodat2", number: int = 452, **other: Any) -> Failure:
    facts: dict[str, Any] = {
        "abi": "x86_64",
        "errno": "ENOSYS",
        "program": "systemd-tmpfiles",
        "origin": Origin.KERNEL,
        "reached": True,
        "implemented": False,
        "count": 3,
        "pid": 211,
        "path": "/usr/bin/systemd-tmpfiles",
        "offset": 0.41,
        "arguments": (0xFFFFFFFFFFFFFF9C, 140721, 0o755, 256),
        "steps": (0,),
    }
    return Failure(name=name, number=number, **(facts | other))


def end(pid: int = 211, **other: Any) -> ProcessEnd:
    facts: dict[str, Any] = {
        "parent": 200,
        "program": "systemd-tmpfiles",
        "path": "/usr/bin/systemd-tmpfiles",
        "offset": 0.52,
        "exit": 0,
    }
    return ProcessEnd(pid=pid, **(facts | other))


def step(**other: Any) -> StepResult:
    facts: dict[str, Any] = {
        "name": "create",
        "argv": ("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/app.conf"),
        "exit": 0,
        "signal": None,
        "stdout": "",
        "stderr": "",
        "seconds": 0.53,
        "peak_memory": 5 << 20,
        "peak_memory_way": "memory.peak",
    }
    return StepResult(**(facts | other))


def observation(
    kernel: str = "5.10",
    scenario: str = "tmpfiles",
    image: str = "systemd-tools",
    verdict: Verdict = Verdict.PASSED,
    **other: Any,
) -> Observation:
    """Return a passed cell with one step and no failing call, unless told otherwise."""
    file = other.get("file", "scenarios/systemd.yaml")
    facts: dict[str, Any] = {
        "id": f"{file}::{scenario}[{image}-{kernel}]",
        "file": file,
        "steps": (step(),),
        "ends": (end(),),
        "durations": {"boot": 1.9, "start": 0.24, "steps": 0.53},
        "environment": environment(kernel, image),
        "scenario_digest": "d" * 32,
        "started": "2026-11-24T20:30:15+00:00",
    }
    return Observation(
        scenario=scenario, image=image, kernel=kernel, verdict=verdict, **(facts | other)
    )


def unavailable(kernel: str, reason: str, **other: Any) -> Observation:
    nothing: dict[str, Any] = {"steps": (), "ends": (), "environment": None, "reason": reason}
    return observation(kernel, verdict=Verdict.UNAVAILABLE, **(nothing | other))


def redis_broken(kernel: str = "5.10", **other: Any) -> Observation:
    """Return a failed cell: redis-cli met a call that the kernel lacks, and ended with 1."""
    facts: dict[str, Any] = {
        "file": "scenarios/redis.yaml",
        "verdict": Verdict.FAILED,
        "reason": "step 2 (bgsave): exit status is 1, expected 0",
        "steps": (
            step(name="set", argv=("redis-cli", "set", "a", "1"), stdout="OK\n"),
            step(
                name="bgsave",
                argv=("sh", "-c", "redis-cli bgsave && sleep 1"),
                exit=1,
                stdout="Background saving started\n",
                stderr="".join(f"warning {n}\n" for n in range(20)) + "epoll: not implemented\n",
                unmet=("exit status is 1, expected 0", "stdout does not contain 'done'"),
            ),
            step(name="get", argv=("redis-cli", "get", "a"), unmet=("stdout is empty",)),
        ),
        "failures": (
            failure(
                "openat",
                257,
                errno="ENOENT",
                program="redis-cli",
                path="/usr/bin/redis-cli",
                pid=310,
                offset=0.90,
                count=4,
                origin=Origin.OTHER,
                implemented=True,
                arguments=None,
                steps=(1,),
            ),
            failure(
                "epoll_pwait2",
                441,
                program="redis-cli",
                path="/usr/bin/redis-cli",
                pid=310,
                offset=0.95,
                count=1,
                steps=(1,),
            ),
        ),
        "ends": (
            end(300, program="sh", path="/bin/sh", offset=1.05, exit=1, parent=1),
            end(
                310,
                program="redis-cli",
                path="/usr/bin/redis-cli",
                offset=1.0,
                exit=1,
                parent=300,
                last_failure="epoll_pwait2 ENOSYS",
            ),
        ),
    }
    return observation(kernel, "bgsave", "redis", **(facts | other))


def schema(name: str) -> dict[str, Any]:
    """Return a schema as it is committed under docs/."""
    loaded: dict[str, Any] = json.loads((DOCS / f"{name}.schema.json").read_text())
    return loaded


def check(file: Path, name: str) -> Mapping[str, Any]:
    """Return what a written file holds, once it fits the committed schema."""
    loaded: dict[str, Any] = json.loads(file.read_bytes())
    jsonschema.Draft202012Validator(schema(name)).validate(loaded)
    return loaded
