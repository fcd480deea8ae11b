"""What differs between two sides besides what was asked to be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from harness.model.observations import Environment, Observation


class Asked(StrEnum):
    """Which difference is the question; everything else should be alike."""

    KERNEL = "kernel"
    """Two kernels, that is two hosts, in one session."""
    IMAGE = "image"
    """Two images on one kernel."""
    TIME = "time"
    """The same cell in two runs: its kernel and its image may have been renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """The sentences, and those among them that make the comparison worthless."""

    sentences: tuple[str, ...] = ()
    worthless: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether to compare only on demand."""
        return bool(self.worthless)


_Read = Callable[[Environment], str]
_ALIKE: tuple[tuple[str, _Read], ...] = (
    ("CPU model", lambda one: one.cpu),
    ("engine", lambda one: one.engine.value),
    ("runtime", lambda one: one.runtime),
    ("seccomp profile", lambda one: one.seccomp),
    ("control groups", lambda one: one.cgroup),
    ("kernel command line", lambda one: one.cmdline),
    ("QEMU", lambda one: one.qemu),
    ("guest tools", lambda one: one.tools[:12]),
    ("drill", lambda one: one.drill),
)
_KERNEL: tuple[tuple[str, _Read], ...] = (
    ("kernel", lambda one: one.kernel),
    ("kernel release", lambda one: one.release),
    ("kernel package", lambda one: one.kernel_digest[:19]),
)
_IMAGE: tuple[tuple[str, _Read], ...] = (
    ("image", lambda one: one.image),
    ("image digest", lambda one: one.image_digest[:19]),
)


def unlike(before: Observation, after: Observation, asked: Asked) -> Unlike:
    """Say what else differs; another scenario text or accelerator makes an answer worthless."""
    worthless, sentences = [], []
    if before.scenario_digest != after.scenario_digest:
        worthless.append("the scenario's text is not the same on both sides")
    one, two = before.environment, after.environment
    if one is None or two is None:
        return Unlike(sentences=tuple(worthless), worthless=tuple(worthless))
    if one.accelerator is not two.accelerator:
        worthless.append(_sentence("accelerator", one.accelerator.value, two.accelerator.value))
    for title, read in (*_also(asked), *_ALIKE):
        if read(one) != read(two):
            sentences.append(_sentence(title, read(one), read(two)))
    if before.traced != after.traced:
        sentences.append(
            _sentence("tracing", *("on" if t.traced else "off" for t in (before, after)))
        )
    return Unlike(sentences=(*worthless, *sentences), worthless=tuple(worthless))


def _also(asked: Asked) -> tuple[tuple[str, _Read], ...]:
    """Return what else must be alike, by what is asked for."""
    match asked:
        case Asked.KERNEL:
            return _IMAGE
        case Asked.IMAGE:
            return _KERNEL
        case Asked.TIME:
            return ()


def _sentence(title: str, before: str, after: str) -> str:
    return f"{title}: {before or 'none'} before, {after or 'none'} after"
