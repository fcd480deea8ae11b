from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aptarchive import Handler, Server

from harness.ending import Ending
from harness.errors import EndedError, UnavailableError, UsageError, VerificationError
from harness.packages.download import (
    Expected,
    Fetcher,
    Limits,
    NotThereError,
    mirrors_from_text,
)
from harness.store import Store

CONTENT = bytes(range(256)) * 1024
EXPECTED = Expected(sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT))


@pytest.fixture
def root(server: Server, tmp_path: Path) -> Path:
    (tmp_path / "archive/file.bin").write_bytes(CONTENT)
    return tmp_path / "archive"


def blob(fetcher: Fetcher, *urls: str, remedy: str = "") -> bytes:
    return fetcher.blob(urls, EXPECTED, name="the file", remedy=remedy).read_bytes()


def nothing_kept(store: Store) -> bool:
    return not list(store.root.glob("blobs/*")) and not list(store.root.glob("tmp/*"))


def once(first: Callable[[Handler], None], server: Server, path: str) -> Callable[[Handler], None]:
    """Misbehave at the first request only."""

    def act(handler: Handler) -> None:
        del server.misbehaviours[path]
        first(handler)

    return act


def half(handler: Handler) -> None:
    """Send half of the file and cut the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])
    handler.close_connection = True


def rest(handler: Handler) -> None:
    """Answer a request with Range as a server that can resume."""
    start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
    handler.send_header("Content-Length", str(len(CONTENT) - start))
    handler.end_headers()
    handler.wfile.write(CONTENT[start:])


def whole(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT)


def stalled(handler: Handler) -> None:
    """Send a little, and then nothing until the test is over."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[:100])
    handler.wfile.flush()
    handler.server.finished.wait(30)
    handler.close_connection = True


def status(number: int) -> Callable[[Handler], None]:
    def act(handler: Handler) -> None:
        handler.send_response(number)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return act


def test_a_file_is_fetched_once_and_then_served_by_the_store(
    root: Path, server: Server, fetcher: Fetcher
) -> None:
    url = f"{server.base}/file.bin"
    assert blob(fetcher, url) == CONTENT
    assert blob(fetcher, url) == CONTENT
    assert server.asked == ["/file.bin"]


def test_a_file_url_is_copied_and_verified(root: Path, fetcher: Fetcher) -> None:
    assert blob(fetcher, (root / "file.bin").as_uri()) == CONTENT
    with pytest.raises(NotThereError, match="there is no such file"):
        fetcher.read((root / "missing").as_uri())


def test_a_cut_transfer_is_resumed_where_it_ended(
    root: Path, server: Server, fetcher: Fetcher
) -> None:
    def first_then_rest(handler: Handler) -> None:
        server.misbehaviours["/file.bin"] = rest
        half(handler)

    server.misbehaviours["/file.bin"] = first_then_rest
    assert blob(fetcher, f"{server.base}/file.bin") == CONTENT
    assert server.asked == ["/file.bin", "/file.bin"]


def test_a_cut_transfer_starts_anew_where_the_server_cannot_resume(
    root: Path, server: Server, fetcher: Fetcher
) -> None:
    server.misbehaviours["/file.bin"] = once(half, server, "/file.bin")
    assert blob(fetcher, f"{server.base}/file.bin") == CONTENT


def test_two_halves_of_different_files_are_thrown_away_and_fetched_whole(
    root: Path, server: Server, store: Store
) -> None:
    def wrong_half(handler: Handler) -> None:
        server.misbehaviours["/file.bin"] = once(rest, server, "/file.bin")
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(b"x" * 1000)
        handler.close_connection = True

    server.misbehaviours["/file.bin"] = wrong_half
    with Fetcher(store, limits=Limits(attempts=3, backoff=0.0)) as fetcher:
        assert blob(fetcher, f"{server.base}/file.bin") == CONTENT
    assert len(server.asked) == 3


def test_a_busy_server_is_asked_again(root: Path, server: Server, fetcher: Fetcher) -> None:
    server.misbehaviours["/file.bin"] = once(status(503), server, "/file.bin")
    assert blob(fetcher, f"{server.base}/file.bin") == CONTENT


def test_a_missing_file_is_not_asked_for_twice(
    root: Path, server: Server, fetcher: Fetcher, store: Store
) -> None:
    with pytest.raises(UnavailableError, match=r"the file cannot be had: .*/missing: 404.*; do X"):
        blob(fetcher, f"{server.base}/missing", remedy="do X")
    assert server.asked == ["/missing"]
    assert nothing_kept(store)


def test_a_flipped_byte_is_an_error_that_names_the_url_and_keeps_nothing(
    root: Path, server: Server, fetcher: Fetcher, store: Store
) -> None:
    (root / "file.bin").write_bytes(b"?" + CONTENT[1:])
    with pytest.raises(VerificationError, match=r"/file\.bin: its sha256 is [0-9a-f]{64} instead"):
        blob(fetcher, f"{server.base}/file.bin")
    assert nothing_kept(store)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x"], ids=["short", "long"])
def test_a_file_of_another_size_is_refused(
    root: Path, server: Server, fetcher: Fetcher, store: Store, content: bytes
) -> None:
    (root / "file.bin").write_bytes(content)
    with pytest.raises(VerificationError, match=r"/file\.bin: .*bytes"):
        blob(fetcher, f"{server.base}/file.bin")
    assert nothing_kept(store)


def test_a_stalled_transfer_ends_after_the_limit_and_the_host_is_given_up(
    root: Path, server: Server, store: Store
) -> None:
    server.misbehaviours["/file.bin"] = stalled
    limits = Limits(stall=0.3, attempts=2, backoff=0.0)
    with Fetcher(store, limits=limits) as fetcher:
        with pytest.raises(UnavailableError, match=r"no byte came for 0\.3 s, 2 times over"):
            blob(fetcher, f"{server.base}/file.bin")
        assert server.asked == ["/file.bin", "/file.bin"]
        with pytest.raises(UnavailableError, match="out of reach"):
            fetcher.read(f"{server.base}/other")
    assert "/other" not in server.asked
    assert nothing_kept(store)


@pytest.mark.parametrize(
    "answer", [whole, status(503)], ids=["while it goes on", "before it is tried again"]
)
def test_a_transfer_is_given_up_when_its_thread_is_told_to_end(
    root: Path,
    server: Server,
    fetcher: Fetcher,
    store: Store,
    answer: Callable[[Handler], None],
) -> None:
    asked, told = threading.Event(), threading.Event()

    def wait(handler: Handler) -> None:
        asked.set()
        assert told.wait(30)
        answer(handler)

    server.misbehaviours["/file.bin"] = once(wait, server, "/file.bin")
    ending = Ending()
    with ThreadPoolExecutor(initializer=ending.join) as pool:
        fetched = pool.submit(blob, fetcher, f"{server.base}/file.bin")
        assert asked.wait(30)
        ending.tell()
        told.set()
        with pytest.raises(EndedError):
            fetched.result()
    assert server.asked == ["/file.bin"]
    assert nothing_kept(store)


def test_redirects_are_followed_to_a_limit(root: Path, server: Server, fetcher: Fetcher) -> None:
    def redirect(handler: Handler) -> None:
        target = "/file.bin" if handler.path == "/moved" else "/loop"
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.misbehaviours |= {"/moved": redirect, "/loop": redirect}
    assert blob(fetcher, f"{server.base}/moved") == CONTENT
    with pytest.raises(UnavailableError, match="/loop: more than 5 redirects"):
        fetcher.read(f"{server.base}/loop")


def test_an_unreachable_mirror_costs_one_knock_and_the_next_base_serves(
    root: Path, server: Server, fetcher: Fetcher
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refuses connections
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert blob(fetcher, f"{dead}/file.bin", f"{server.base}/file.bin") == CONTENT
    with pytest.raises(UnavailableError, match=f"{dead} is out of reach: .*refused"):
        fetcher.read(f"{dead}/file.bin")


def test_a_silent_host_is_found_out_within_the_connect_limit(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Fetcher(store, limits=Limits(connect=0.3, stall=1.0)) as fetcher:
            started = time.monotonic()
            for _ in range(20):
                with pytest.raises(UnavailableError, match=r"no answer within 0\.3 s"):
                    fetcher.read(f"{base}/file.bin")
            assert time.monotonic() - started < 5  # twenty knocks would take six


def test_mirrors_replace_the_longest_prefix_on_a_path_boundary(store: Store) -> None:
    mirrors = {"http://a/debian": "http://b/x", "http://a/debian/dists": "file:///d"}
    with Fetcher(store, mirrors=mirrors) as fetcher:
        assert fetcher.mirrored("http://a/debian/pool/p.deb") == "http://b/x/pool/p.deb"
        assert fetcher.mirrored("http://a/debian/dists/s") == "file:///d/s"
        assert fetcher.mirrored("http://a/debian-security/p") == "http://a/debian-security/p"


def test_the_environment_names_mirrors(
    root: Path, server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_MIRRORS", f"http://nowhere.invalid/debian={server.base}")
    with Fetcher(store) as fetcher:
        assert blob(fetcher, "http://nowhere.invalid/debian/file.bin") == CONTENT


def test_a_malformed_mirror_is_said() -> None:
    assert mirrors_from_text("") == {}
    with pytest.raises(UsageError, match="HARNESS_MIRRORS: 'http://a' is not FROM=TO"):
        mirrors_from_text("http://a")


def test_other_schemes_are_refused(fetcher: Fetcher) -> None:
    with pytest.raises(UsageError, match="only http, https and file"):
        fetcher.read("ftp://example.org/file")


def test_progress_is_told_in_bytes(root: Path, server: Server, store: Store) -> None:
    class Recording:
        def __init__(self) -> None:
            self.updates: list[tuple[str, int, int | None]] = []

        def say(self, text: str) -> None:
            raise AssertionError(text)

        def update(self, what: str, done: int, total: int | None) -> None:
            self.updates.append((what, done, total))

    progress = Recording()
    with Fetcher(store, progress=progress) as fetcher:
        blob(fetcher, f"{server.base}/file.bin")
    assert progress.updates[-1] == ("file.bin", len(CONTENT), len(CONTENT))
