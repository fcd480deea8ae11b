"""What a guest answers, who may have been taken over by what runs in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import GuestError


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Give a guest up whose answer to ``what``, read in the block, is none.

    Raises:
        GuestError: the block could not read it.
    """
    try:
        yield
    except (ValueError, LookupError, RecursionError) as error:
        raise GuestError(f"the guest's answer to {what} makes no sense: {error!r:.100}") from error
