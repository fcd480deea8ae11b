"""Which hosts answer: found out once a run, so that a mirror that is down costs its limit once."""

from __future__ import annotations

import threading

import httpx

from harness.errors import UnavailableError


class Hosts:
    """Remembers for one run which hosts are out of reach; for any number of threads."""

    def __init__(self, client: httpx.Client, limit: float) -> None:
        """Knock with ``client``, and wait ``limit`` seconds for an answer."""
        self._client = client
        self._limit = limit
        self._lock = threading.Lock()
        self._greetings: dict[str, threading.Lock] = {}
        self._problems: dict[str, str] = {}

    def greet(self, host: str) -> None:
        """Make sure that ``host`` (``http://name:port``) answers anything at all.

        Raises:
            UnavailableError: it does not, now or earlier in this run.
        """
        with self._lock:
            greeting = self._greetings.setdefault(host, threading.Lock())
        with greeting:
            if host not in self._problems:
                self._problems[host] = self._knock(host)
        problem = self._problems[host]
        if problem:
            raise UnavailableError(f"{host} is out of reach: {problem}")

    def give_up(self, host: str, problem: str) -> None:
        """Do not try ``host`` again in this run."""
        self._problems[host] = problem

    def _knock(self, host: str) -> str:
        """Return why ``host`` is out of reach, or nothing.

        In a thread of its own because neither name resolution nor the way from one of a
        host's addresses to the next keeps to a limit of the whole.
        """
        answers: list[str] = []

        def knock() -> None:
            try:
                self._client.head(f"{host}/", follow_redirects=False)
            except httpx.HTTPError as error:
                answers.append(said(error))
            except Exception as error:  # a thread's error would be lost, and this is an answer
                answers.append(str(error) or type(error).__name__)
            else:
                answers.append("")

        thread = threading.Thread(target=knock, name=f"knock {host}", daemon=True)
        thread.start()
        thread.join(self._limit)
        return answers[0] if answers else f"no answer within {self._limit:g} s"


def said(error: httpx.HTTPError) -> str:
    """Return what httpx's error says; some of its classes come without words."""
    return str(error) or type(error).__name__
