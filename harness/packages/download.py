"""Downloads: resumed, retried and limited in time; nothing is kept that was not verified.

A :class:`Fetcher` belongs to one run. It remembers which hosts are out of reach, so that a
mirror that is down costs its time limit once and not once a file.
"""

from __future__ import annotations

import hashlib
import os
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import tenacity

from harness import ending
from harness.errors import HarnessError, UnavailableError, UsageError, VerificationError
from harness.packages.hosts import Hosts, said
from harness.progress import Progress, Silent
from harness.store import Store

BLOB = "blob"
"""Name of the file in a store entry of the kind ``blobs``."""

_CHUNK = 1 << 16
_METADATA_LIMIT = 64 << 20
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_GONE_STATUS = frozenset({404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times in seconds; a stall is a time without a single byte, not a slow transfer."""

    connect: float = 10.0
    stall: float = 20.0
    attempts: int = 4
    backoff: float = 0.5
    redirects: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A file as a verified index promises it."""

    sha256: str
    size: int


class NotThereError(UnavailableError):
    """The server answered, and does not have the file."""


class _TransientError(Exception):
    """Worth another attempt; the text says what happened."""


def mirrors_from_text(text: str) -> dict[str, str]:
    """Parse ``FROM=TO,FROM=TO``, the form of ``HARNESS_MIRRORS``.

    Raises:
        UsageError: a part is not of that form.
    """
    mirrors = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        source, equals, target = part.partition("=")
        if not equals or "://" not in source or "://" not in target:
            raise UsageError(
                f"HARNESS_MIRRORS: {part!r} is not FROM=TO with two base URLs, such as "
                "http://deb.debian.org/debian=http://mirror.example/debian"
            )
        mirrors[source.rstrip("/")] = target.rstrip("/")
    return mirrors


class Fetcher:
    """Fetches files for one run, from any thread; close it, or use it as a context manager."""

    def __init__(
        self,
        store: Store,
        *,
        progress: Progress | None = None,
        mirrors: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.store = store
        self.progress = progress or Silent()
        self.mirrors = {
            **(mirrors or {}),
            **mirrors_from_text(os.environ.get("HARNESS_MIRRORS", "")),
        }
        self.limits = limits or Limits()
        self._client = httpx.Client(
            follow_redirects=True,
            max_redirects=self.limits.redirects,
            timeout=httpx.Timeout(self.limits.stall, connect=self.limits.connect),
            headers={"Accept-Encoding": "identity", "User-Agent": "pytest-kernels"},
        )
        self._hosts = Hosts(self._client, self.limits.connect)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def mirrored(self, url: str) -> str:
        """Return ``url`` with the longest mirrored prefix replaced."""
        for prefix in sorted(self.mirrors, key=len, reverse=True):
            if url == prefix or url.startswith(f"{prefix}/"):
                return self.mirrors[prefix] + url[len(prefix) :]
        return url

    def greet(self, url: str) -> None:
        """Find out, once a run, whether the host of ``url`` answers at all.

        Raises:
            UnavailableError: it does not.
        """
        parts = urllib.parse.urlsplit(self.mirrored(url))
        if parts.scheme in ("http", "https") and parts.hostname:
            self._hosts.greet(f"{parts.scheme}://{parts.netloc}")

    def read(self, url: str) -> bytes:
        """Return a small file whole; what it says is not verified.

        Raises:
            NotThereError: the server does not have it.
            UnavailableError: it cannot be had: out of reach, refused, stalled.
        """
        with self.store.scratch() as scratch:
            file = scratch / BLOB
            self._fetch(self.mirrored(url), file, None)
            return file.read_bytes()

    def blob(self, urls: Sequence[str], expected: Expected, *, name: str, remedy: str = "") -> Path:
        """Return the file from the store, fetched from the first of ``urls`` that has it.

        Raises:
            EndedError: this thread was told to end.
            VerificationError: a server gave something else than ``expected``.
            UnavailableError: none of ``urls`` has it; ``remedy`` ends the text where a server
                answered that it does not.
        """
        entry = self.store.make(
            "blobs",
            expected.sha256,
            name,
            lambda into: self._first(urls, into / BLOB, expected, name, remedy),
        )
        return entry / BLOB

    def _first(
        self, urls: Sequence[str], file: Path, expected: Expected, name: str, remedy: str
    ) -> None:
        problems: list[UnavailableError] = []
        for url in dict.fromkeys(self.mirrored(url) for url in urls):
            try:
                self._fetch(url, file, expected)
            except UnavailableError as error:
                problems.append(error)
                continue
            return
        gone = any(isinstance(problem, NotThereError) for problem in problems)
        advice = f"; {remedy}" if remedy and gone else ""
        raise UnavailableError(f"{name} cannot be had: {'; '.join(map(str, problems))}{advice}")

    def _fetch(self, url: str, file: Path, expected: Expected | None) -> None:
        file.unlink(missing_ok=True)
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "file":
            self._copy(url, Path(urllib.request.url2pathname(parts.path)), file, expected)
            return
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url}: only http, https and file URLs can be fetched")
        host = f"{parts.scheme}://{parts.netloc}"
        self._hosts.greet(host)
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.limits.attempts),
            wait=tenacity.wait_exponential(multiplier=self.limits.backoff, max=10)
            + tenacity.wait_random(0, self.limits.backoff),
            retry=tenacity.retry_if_exception_type(_TransientError),
            reraise=True,
        )
        try:
            retrying(self._attempt, url, file, expected)
        except _TransientError as error:
            self._hosts.give_up(host, str(error))
            raise UnavailableError(f"{url}: {error}, {self.limits.attempts} times over") from error

    def _attempt(self, url: str, file: Path, expected: Expected | None) -> None:
        ending.heed()
        have = file.stat().st_size if file.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with (
            _translated(url, self.limits),
            self._client.stream("GET", url, headers=headers) as reply,
        ):
            if reply.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                file.unlink()
                raise _TransientError("the server would not resume")
            _check_status(url, reply)
            resumed = reply.status_code == httpx.codes.PARTIAL_CONTENT and have > 0
            if resumed and not reply.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                file.unlink()
                raise _TransientError("the server resumed somewhere else")
            self._save(reply, url, file, have if resumed else 0, expected)
        try:
            _check(url, file, expected)
        except VerificationError as error:
            file.unlink()
            if resumed:  # two halves of different files: once more, whole
                raise _TransientError(str(error)) from error
            raise

    def _save(
        self, reply: httpx.Response, url: str, file: Path, done: int, expected: Expected | None
    ) -> None:
        length = reply.headers.get("Content-Length", "")
        total = expected.size if expected else int(length) + done if length.isdigit() else None
        limit = expected.size if expected else _METADATA_LIMIT
        what = url.rpartition("/")[2]
        with file.open("ab" if done else "wb") as out:
            for chunk in reply.iter_raw(_CHUNK):
                ending.heed()
                done += len(chunk)
                if done > limit:
                    raise VerificationError(
                        f"{url}: larger than the {limit} bytes that it may have"
                    )
                out.write(chunk)
                self.progress.update(what, done, total)

    def _copy(self, url: str, source: Path, file: Path, expected: Expected | None) -> None:
        try:
            with source.open("rb") as reader, file.open("wb") as writer:
                while chunk := reader.read(_CHUNK):
                    writer.write(chunk)
        except FileNotFoundError as error:
            raise NotThereError(f"{url}: there is no such file") from error
        except (PermissionError, IsADirectoryError) as error:
            raise UnavailableError(f"{url}: {error.strerror}") from error
        _check(url, file, expected)


def _check_status(url: str, reply: httpx.Response) -> None:
    status = reply.status_code
    if reply.is_success:
        return
    words = f"{status} {reply.reason_phrase}".strip()
    if status in _GONE_STATUS:
        raise NotThereError(f"{url}: {words}")
    if status in _TRANSIENT_STATUS:
        raise _TransientError(f"the server answered {words}")
    raise UnavailableError(f"{url}: the server answered {words}")


def _check(url: str, file: Path, expected: Expected | None) -> None:
    if expected is None:
        return
    size = file.stat().st_size
    if size != expected.size:
        raise VerificationError(
            f"{url}: {size} bytes instead of {expected.size}: not the file that the index "
            "or lock promises; nothing of it was kept"
        )
    with file.open("rb") as reader:
        actual = hashlib.file_digest(reader, "sha256").hexdigest()
    if actual != expected.sha256:
        raise VerificationError(
            f"{url}: its sha256 is {actual} instead of {expected.sha256}: not the file that "
            "the index or lock promises; nothing of it was kept"
        )


@contextmanager
def _translated(url: str, limits: Limits) -> Iterator[None]:
    try:
        yield
    except (HarnessError, _TransientError):
        raise
    except httpx.TooManyRedirects as error:
        raise UnavailableError(f"{url}: more than {limits.redirects} redirects") from error
    except httpx.UnsupportedProtocol as error:
        raise UnavailableError(f"{url}: redirected to something that is not http") from error
    except httpx.ReadTimeout as error:
        raise _TransientError(f"no byte came for {limits.stall:g} s") from error
    except httpx.TransportError as error:
        raise _TransientError(said(error)) from error
    except httpx.InvalidURL as error:
        raise UsageError(f"{url}: {error}") from error
