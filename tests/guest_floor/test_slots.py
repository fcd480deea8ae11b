from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest

from harness.errors import UsageError
from harness.guest import slots
from harness.model.hosts import Accelerator
from harness.store import Store


def at_once(wanted: str = "auto", *, memory: int = 1, cpus: int = 1, kvm: bool = False) -> int:
    accelerator = Accelerator.KVM if kvm else Accelerator.TCG
    return slots.guests_at_once(wanted, memory=memory, cpus=cpus, accelerator=accelerator)


def test_an_emulated_processor_takes_a_core_and_a_real_one_half() -> None:
    cores = len(os.sched_getaffinity(0))
    assert at_once() == cores
    assert at_once(kvm=True) == 2 * cores
    assert at_once(cpus=2 * cores) == 1


def test_memory_bounds_the_guests_and_one_is_always_allowed() -> None:
    assert at_once(memory=1 << 30) == 1


def test_a_number_is_taken_as_it_is() -> None:
    assert at_once("7", memory=1 << 30) == 7


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "", "1.5"])
def test_what_is_no_number_of_guests_is_refused(wanted: str) -> None:
    with pytest.raises(UsageError, match=f"--guests={wanted}: give auto, or a number from 1 on"):
        at_once(wanted)


def test_never_more_than_the_places_are_taken_at_once(store: Store) -> None:
    places = slots.Places(store)
    guard, barrier = threading.Lock(), threading.Barrier(2)
    now, most = 0, 0

    def guest() -> None:
        nonlocal now, most
        with places.taken(2):
            with guard:
                now += 1
                most = max(most, now)
            barrier.wait(20)  # two are inside, and the others wait outside
            with guard:
                now -= 1

    threads = [threading.Thread(target=guest) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 2


def test_who_came_first_gets_the_next_place(store: Store) -> None:
    places = slots.Places(store)
    came: list[int] = []

    def guest(number: int) -> None:
        with places.taken(1):
            came.append(number)

    threads = [threading.Thread(target=guest, args=[number]) for number in range(20)]
    with places.taken(1):
        for waiting, thread in enumerate(threads, 1):
            thread.start()
            while len(places._line) < waiting:
                thread.join(0.001)
    for thread in threads:
        thread.join(60)
    assert came == list(range(20))


def test_places_are_counted_over_processes_and_a_killed_one_gives_its_place_back(
    store: Store,
) -> None:
    code = """if True:
        import pathlib, sys
        from harness.guest import slots
        from harness.store import Store
        with slots.Places(Store(pathlib.Path(sys.argv[1]))).taken(1):
            print("taken", flush=True)
            sys.stdin.read()
    """
    words = [sys.executable, "-c", code, str(store.root)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"taken\n"
        took = threading.Event()

        def take() -> None:
            with slots.Places(store).taken(1):
                took.set()

        waiting = threading.Thread(target=take)
        waiting.start()
        assert not took.wait(0.2)
        other.kill()
        assert took.wait(20)
        waiting.join()


def test_a_place_is_free_again_after_an_error(store: Store) -> None:
    with pytest.raises(ValueError, match="no"), slots.Places(store).taken(1):
        raise ValueError("no")
    with ExitStack() as stack:
        stack.enter_context(slots.Places(store).taken(1))
