"""Cases of documented breakage: where each is known to show, and by what it is to be told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.scenarios import Scenario


class Effect(StrEnum):
    """What a host does to the program of a case."""

    BREAKS = "breaks"
    """Its scenario fails there."""
    DEGRADES = "degrades"
    """Its scenario passes, by another way or with less."""
    WORKS = "works"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What an observation must show for the case to be found; empty fields match anything."""

    syscall: str = ""
    errno: str = ""
    origin: str = ""
    output: str = ""
    """A regular expression, searched for in what the steps and the service wrote."""
    message: str = ""
    """One searched for in the kernel's new messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a case does on some hosts, and which cause is to be named there."""

    hosts: tuple[str, ...]
    effect: Effect
    cause: str = ""
    """A name of causes.yaml; empty where it works."""
    names: tuple[str, ...] = ()
    """What the explanation must say: a sysctl, a word of the command line, a profile."""
    sign: Sign = Sign()
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One documented breakage."""

    name: str
    """The file's name without its suffix."""
    kind: str
    references: tuple[str, ...]
    scenario: Scenario
    image: str
    expected: tuple[Expected, ...]
    file: str
    """As pytest names it: below its rootdir, with forward slashes."""
    line: int
