"""Users, resolved against an image's own files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.container.users import User, passwd_for, resolve
from harness.errors import ImageError

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
# app:x:5:5::/nowhere:/bin/sh
app:x:1000:1001:App:/home/app:/bin/sh
broken line
12:x:77:78::/twelve:
bad:x:-1:0::/:/bin/sh
"""
GROUP = """\
root:x:0:
wheel:x:10:root,app
app:x:1001:
extra:x:2000:other,app
nonsense
"""


def found(wanted: str) -> User:
    return resolve(wanted, PASSWD, GROUP, seed="cell")


def test_an_empty_user_is_root() -> None:
    assert found("") == User(uid=0, gid=0, groups=(10,), home="/root")


def test_a_name_brings_its_group_memberships_and_home() -> None:
    assert found("app") == User(uid=1000, gid=1001, groups=(10, 2000), home="/home/app")


def test_a_known_number_is_the_same_as_its_name() -> None:
    assert found("1000") == found("app")


def test_a_name_made_of_digits_comes_before_the_number() -> None:
    assert found("12").uid == 77


def test_an_unknown_number_gets_the_root_group_and_no_home() -> None:
    assert found("4242") == User(uid=4242, gid=0, home="/", named=False)


def test_a_named_group_replaces_all_memberships() -> None:
    assert found("app:wheel") == User(uid=1000, gid=10, home="/home/app")
    assert found("4242:99").gid == 99


def test_random_is_a_large_uid_that_the_seed_alone_decides() -> None:
    first, again = found("random"), found("random")
    assert first == again
    assert first.uid >= 1_000_000_000
    assert first.gid == 0
    assert resolve("random", PASSWD, GROUP, seed="other").uid != first.uid


@pytest.mark.parametrize(
    "wanted", ["nobody", "app:nogroup", "bad", "-1", "99999999999", "1_0", "٣"]
)
def test_what_the_image_does_not_know_is_an_error_that_names_it(wanted: str) -> None:
    with pytest.raises(ImageError, match="the image has no"):
        found(wanted)


def test_podman_adds_a_line_for_a_uid_that_the_image_lacks() -> None:
    text = passwd_for(found("4242"), PASSWD.rstrip("\n"), "/srv")
    assert text is not None
    assert text.startswith(PASSWD)
    assert text.endswith("\n4242:*:4242:0:container user:/srv:/bin/sh\n")
    assert passwd_for(found("app"), PASSWD, "/srv") is None


@given(passwd=st.text(), group=st.text(), wanted=st.text())
def test_no_file_of_an_image_makes_it_fail_otherwise(passwd: str, group: str, wanted: str) -> None:
    try:
        user = resolve(wanted, passwd, group)
    except ImageError:
        return
    assert 0 <= user.uid < 1 << 31
    assert 0 <= user.gid < 1 << 31
