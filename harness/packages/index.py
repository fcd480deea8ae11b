"""A package index of an apt archive: 60,000 paragraphs, of which a few are wanted.

The paragraphs are cut apart here; those asked for are parsed by python-debian, and its
``Version`` orders them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from debian import deb822
from debian.debian_support import Version

from harness.errors import UnavailableError, VerificationError
from harness.model.hosts import LockedPackage


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """One package of a dependency: ``operator`` (``>=``, ``=``, ...) is empty without version."""

    name: str
    operator: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One paragraph of an index. ``depends`` holds groups of alternatives."""

    locked: LockedPackage
    depends: tuple[tuple[Relation, ...], ...]


class Index:
    """A package index. 60,000 paragraphs are cut apart; only those asked for are parsed."""

    def __init__(self, text: bytes, where: str) -> None:
        self.where = where
        self._paragraphs: dict[str, list[bytes]] = {}
        for piece in text.split(b"\n\n"):
            paragraph = piece.strip(b"\n")
            name = _name(paragraph)
            if name:
                self._paragraphs.setdefault(name, []).append(paragraph)

    @cached_property
    def _provides(self) -> dict[str, list[str]]:
        providers: dict[str, list[str]] = {}
        for name, paragraphs in self._paragraphs.items():
            for paragraph in paragraphs:
                match = re.search(rb"^Provides:(.*)$", paragraph, re.MULTILINE)
                for item in match[1].decode(errors="replace").split(",") if match else ():
                    virtual = item.split("(")[0].strip().partition(":")[0]
                    providers.setdefault(virtual, []).append(name)
        return providers

    def names(self) -> list[str]:
        """Return every package's name, in the index's order."""
        return list(self._paragraphs)

    def find(self, relation: Relation) -> Package | None:
        """Return the newest package that meets ``relation``, real ones before providers."""
        real = self._newest(relation.name, relation)
        if real is not None or relation.operator:
            return real
        for provider in sorted(set(self._provides.get(relation.name, ()))):
            found = self._newest(provider, Relation(name=provider))
            if found is not None:
                return found
        return None

    def get(self, name: str) -> Package:
        """Return the newest package named ``name``.

        Raises:
            UnavailableError: the index has none.
        """
        found = self._newest(name, Relation(name=name))
        if found is None:
            raise UnavailableError(f"{self.where}: there is no package {name}")
        return found

    def _newest(self, name: str, relation: Relation) -> Package | None:
        try:
            packages = [_parse(text) for text in self._paragraphs.get(name, ())]
            fitting = [package for package in packages if _meets(package.locked.version, relation)]
            return max(fitting, key=lambda package: Version(package.locked.version), default=None)
        except KeyError as error:
            raise VerificationError(
                f"{self.where}: the entry of {name} has no field {error.args[0]}"
            ) from error
        except (ValueError, TypeError) as error:  # a size, a version, text that is not UTF-8
            raise VerificationError(
                f"{self.where}: the entry of {name} cannot be read: {error}"
            ) from error


def _name(paragraph: bytes) -> str:
    if paragraph.startswith(b"Package:"):
        return paragraph[8:].split(b"\n", 1)[0].strip().decode(errors="replace")
    match = re.search(rb"^Package:(.*)$", paragraph, re.MULTILINE)
    return match[1].strip().decode(errors="replace") if match else ""


def _parse(paragraph: bytes) -> Package:
    fields = deb822.Packages(paragraph)
    relations = fields.relations
    groups = (relations["pre-depends"] or []) + (relations["depends"] or [])
    return Package(
        locked=LockedPackage(
            name=fields["Package"],
            version=fields["Version"],
            path=fields["Filename"],
            sha256=fields["SHA256"],
            size=int(fields["Size"]),
            architecture=fields["Architecture"],
        ),
        depends=tuple(tuple(_relation(item) for item in group) for group in groups),
    )


def _relation(item: deb822.PkgRelation.ParsedRelation) -> Relation:
    operator, version = item["version"] or ("", "")
    return Relation(name=item["name"], operator=operator, version=version)


def _meets(version: str, relation: Relation) -> bool:
    if not relation.operator:
        return True
    have, want = Version(version), Version(relation.version)
    match relation.operator:
        case "<<" | "<":
            return bool(have < want)
        case "<=":
            return bool(have <= want)
        case ">=":
            return bool(have >= want)
        case ">>" | ">":
            return bool(have > want)
        case _:
            return bool(have == want)
