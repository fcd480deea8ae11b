import pytest

from harness.trace.operations import Operations, operation_arguments


@pytest.fixture(scope="module")
def operations() -> Operations:
    return Operations()


@pytest.mark.parametrize(
    ("call", "operation", "name"),
    [
        ("prctl", (38,), "PR_SET_NO_NEW_PRIVS"),
        ("prctl", (0x53564D41,), "PR_SET_VMA"),
        ("fcntl", (1030,), "F_DUPFD_CLOEXEC"),
        ("ioctl", (0x5401,), "TCGETS"),
        ("ioctl", (0x40049409,), "FICLONE"),
        ("ioctl", (0xDEAD,), "0xdead"),
        ("bpf", (5,), "BPF_PROG_LOAD"),
        ("seccomp", (1,), "SECCOMP_SET_MODE_FILTER"),
        ("keyctl", (0,), "KEYCTL_GET_KEYRING_ID"),
        ("keyctl", (999,), "999"),
        ("setsockopt", (1, 15), "SOL_SOCKET/SO_REUSEPORT"),
        ("getsockopt", (6, 11), "IPPROTO_TCP/TCP_INFO"),
        ("setsockopt", (41, 26), "IPPROTO_IPV6/IPV6_V6ONLY"),
        ("setsockopt", (0, 1), "IPPROTO_IP/IP_TOS"),
        ("setsockopt", (300, 7), "300/7"),
        ("openat", (), ""),
    ],
)
def test_an_operation_has_the_name_that_the_headers_give_it(
    operations: Operations, call: str, operation: tuple[int, ...], name: str
) -> None:
    assert operations.name(call, operation) == name


def test_an_operation_is_read_from_the_argument_that_holds_it_as_an_int() -> None:
    assert operation_arguments(157, (0xFFFFFFFF00000026, 1, 0, 0, 0, 0)) == (0x26,)
    assert operation_arguments(54, (3, 1, 15, 0, 4, 0)) == (1, 15)


def test_other_calls_and_calls_without_arguments_have_no_operation() -> None:
    assert operation_arguments(257, (1, 2, 3)) == ()
    assert operation_arguments(16, None) == ()
    assert operation_arguments(54, (3, 1)) == ()
