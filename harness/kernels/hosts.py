"""Hosts: a catalog entry and its kernel, with every default filled in."""

from __future__ import annotations

from dataclasses import asdict

from harness.model import Host
from harness.store import digest_of


def identity(host: Host) -> str:
    """Return a key of everything that makes a host but its name; part of every cache key."""
    facts = asdict(host)
    del facts["name"]
    facts["kernel"] = host.kernel.digest
    return digest_of(facts)
