"""Read scenario files into plain data."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from harness import yamlfile
from harness.errors import ConfigError
from harness.model.hosts import Engine
from harness.model.scenarios import (
    ContainerSpec,
    Expect,
    Known,
    Mount,
    Scenario,
    Service,
    Step,
    TextExpect,
)
from harness.scenarios import schema
from harness.yamlfile import Document
from harness.yamlvalues import Key

STEP_TIMEOUT = 60.0
SCENARIO_TIMEOUT = 300.0
"""Limits in seconds where a scenario names none; a scenario's never cuts its steps' short."""

SHM_SIZE = 64 << 20
"""What container engines give /dev/shm."""

KNOWN = "known"
"""Tag of a scenario that shows a documented breakage: it runs when it is asked for alone."""

SUFFIXES = (".yaml", ".yml")

_SCENARIOS = "scenarios"


def yaml_files(directory: Path) -> list[Path]:
    """Return the YAML files below a directory, by path."""
    return [path for path in sorted(directory.rglob("*")) if path.suffix in SUFFIXES]


def load_file(path: Path, rootdir: Path) -> list[Scenario]:
    """Return the scenarios of a file, in its order; ``rootdir`` is pytest's.

    Raises:
        ConfigError: the file is wrong, or names a file that is missing or outside ``rootdir``.
    """
    return scenarios_of(yamlfile.load(path, once=True), rootdir)


def scenarios_of(document: Document, rootdir: Path) -> list[Scenario]:
    """Like :func:`load_file`, of a document already read.

    Raises:
        ConfigError: as for :func:`load_file`.
    """
    return scenarios_from(document, keys_of(document), rootdir)


def keys_of(document: Document) -> schema.ScenarioFile:
    """Return the keys of a scenario file.

    Raises:
        ConfigError: the file is wrong.
    """
    if isinstance(document.data, dict) and _SCENARIOS not in document.data:
        raise ConfigError(document.path, 1, f"no key {_SCENARIOS!r} at the top level")
    return yamlfile.validate(document, schema.ScenarioFile)


def scenarios_from(document: Document, keys: schema.ScenarioFile, rootdir: Path) -> list[Scenario]:
    """Like :func:`scenarios_of`, of ``keys`` already checked.

    Raises:
        ConfigError: it names a file that is missing or outside ``rootdir``.
    """
    loader = _Loader(document, rootdir.resolve())
    found = [loader.scenario(name, each) for name, each in keys.scenarios.items()]
    if keys.case is None:
        return found
    return [replace(scenario, tags=(KNOWN, *scenario.tags)) for scenario in found]


def relative_name(path: Path, rootdir: Path) -> str:
    """Return the path below ``rootdir`` with forward slashes; as it is where it lies elsewhere."""
    full, root = path.absolute(), rootdir.absolute()
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else full.as_posix()


class _Loader:
    """Turns a file's keys into the model, with the document at hand for errors' lines."""

    def __init__(self, document: Document, rootdir: Path) -> None:
        self.document = document
        self.rootdir = rootdir

    def scenario(self, name: str, keys: schema.ScenarioKeys) -> Scenario:
        place = (_SCENARIOS, name)
        steps = self._steps(keys, place)
        service = _service(keys.service)
        needed = sum(step.timeout for step in steps)
        needed += service.timeout + service.watch if service else 0
        # In a scenario of one step the key belongs to the step.
        own = keys.timeout if keys.steps is not None or keys.watched_only else None
        return Scenario(
            name=name,
            file=relative_name(self.document.path, self.rootdir),
            line=self.document.line_of(*place),
            images=self._images(keys, place),
            steps=steps,
            why=keys.why.strip(),
            container=self._container(keys, place),
            service=service,
            kernels=keys.kernels,
            requires=dict(keys.requires),
            known=tuple(Known(**known.model_dump()) for known in keys.known),
            normalise=tuple((each.pattern, each.replacement) for each in keys.normalise),
            tags=keys.tags,
            timeout=own or max(SCENARIO_TIMEOUT, needed),
        )

    def _images(self, keys: schema.ScenarioKeys, place: tuple[Key, ...]) -> tuple[str, ...]:
        if keys.image is not None:
            return (keys.image,)
        images = keys.images or ()
        if len(set(images)) != len(images):
            raise self.document.error((*place, "images"), "names an image twice")
        return images

    def _steps(self, keys: schema.ScenarioKeys, place: tuple[Key, ...]) -> tuple[Step, ...]:
        if keys.watched_only:
            return ()
        if keys.steps is None:
            return (_step(keys, "step 1"),)
        steps = [
            _step(step, step.name or f"step {number}")
            for number, step in enumerate(keys.steps, start=1)
        ]
        seen: set[str] = set()
        for index, step in enumerate(steps):
            if step.name in seen:
                where = (*place, "steps", index, "name")
                raise self.document.error(where, f"duplicate step name {step.name!r}")
            seen.add(step.name)
        return tuple(steps)

    def _container(self, keys: schema.ScenarioKeys, place: tuple[Key, ...]) -> ContainerSpec:
        return ContainerSpec(
            env=dict(keys.env),
            user=keys.user,
            workdir=keys.workdir,
            mounts=tuple(
                self._mount(mount, (*place, "mounts", index))
                for index, mount in enumerate(keys.mounts)
            ),
            read_only=keys.read_only,
            memory=keys.memory,
            cpus=keys.cpus,
            pids=keys.pids,
            ulimits=dict(keys.ulimits),
            cap_add=keys.cap_add,
            cap_drop=keys.cap_drop,
            userns=keys.userns,
            sysctls=dict(keys.sysctls),
            shm_size=SHM_SIZE if keys.shm_size is None else keys.shm_size,
            hostname=keys.hostname,
            entrypoint=keys.entrypoint,
            seccomp=self._seccomp(keys.seccomp, (*place, "seccomp")),
            engine=None if keys.engine is None else Engine(keys.engine),
        )

    def _mount(self, keys: schema.MountKeys, place: tuple[Key, ...]) -> Mount:
        source = None
        mode = 0o1777 if keys.tmpfs else 0o644
        if keys.source is not None:
            source = self._file(keys.source, (*place, "source"))
            mode = stat.S_IMODE(source.stat().st_mode)
        return Mount(
            target=keys.target,
            tmpfs=keys.tmpfs,
            content=keys.content,
            source=source,
            mode=mode if keys.mode is None else keys.mode,
            size=keys.size,
            read_only=keys.read_only,
        )

    def _seccomp(self, named: str, place: tuple[Key, ...]) -> str:
        if "/" in named or named.endswith(".json"):
            return str(self._file(named, place))
        return named

    def _file(self, named: str, place: tuple[Key, ...]) -> Path:
        """Return the full path of a file of the repository; symbolic links are followed first."""
        try:
            found = (self.document.path.parent / named).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise self.document.error(place, f"not a usable path: {error}") from error
        if not found.is_relative_to(self.rootdir):
            problem = f"{named} leads out of {self.rootdir}, which nothing of is shared"
            raise self.document.error(place, f"{problem}; copy it into the repository")
        if not found.exists():
            raise self.document.error(place, f"{found} does not exist")
        if not os.access(found, os.R_OK):
            raise self.document.error(place, f"{found} cannot be read")
        return found


def _step(keys: schema.CommandKeys, name: str) -> Step:
    return Step(
        name=name,
        run=keys.run,
        args=keys.args,
        stdin=keys.stdin or "",
        timeout=keys.timeout or STEP_TIMEOUT,
        expect=_expect(keys.expect),
    )


def _service(keys: schema.ServiceKeys | None) -> Service | None:
    if keys is None:
        return None
    return Service(
        run=keys.run,
        args=keys.args,
        ready=keys.ready or (),
        timeout=keys.timeout or STEP_TIMEOUT,
        watch=keys.watch or 0.0,
    )


def _expect(keys: schema.Expectation | None) -> Expect:
    if keys is None:
        return Expect()
    status: int | None = keys.exit if isinstance(keys.exit, int) else None
    if keys.exit is None and keys.signal is None:
        status = 0
    return Expect(
        exit=status,
        signal=keys.signal,
        stdout=_output(keys.stdout),
        stderr=_output(keys.stderr),
    )


def _output(keys: schema.TextExpectation | None) -> TextExpect:
    if keys is None:
        return TextExpect()
    return TextExpect(equals=keys.equals, contains=keys.contains, matches=keys.matches)
