from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import createrepo_c
import pytest
from aptarchive import Server, Signer, command
from hypothesis import given, settings
from hypothesis import strategies as st
from rpmrepository import Repository, flip, require_programs, sign_package

from harness.errors import HarnessError, ToolError, UnavailableError, VerificationError
from harness.packages import pubkeys, rpm, rpmrepo
from harness.packages.download import Fetcher
from harness.packages.evr import Evr, compare
from harness.packages.pubkeys import PublicKeys

FILES = {"boot/vmlinuz": b"kernel" * 1000, "lib/modules/x/a.ko": b"a", "etc/b": b"b"}
VERSIONS = (
    *("1.0", "1.0.1", "1.0~rc1", "1.0^git", "1.0^", "1.0^git1~pre", "1.0a", "1.0.a", "1.0~~"),
    *("1160.el7", "1160.el7_9", "1160.119.1.el7", "553.el8_10", "553.8.1.el8_10", "553.16.el8"),
    *("010", "10", "9", "a", "A", "a1", "1a", "1.1a", "1.1.a", "2_0", "2.0", "1..0", "+1"),
)


@pytest.fixture
def keys(signer: Signer, tmp_path: Path) -> PublicKeys:
    into = tmp_path / "keys"
    into.mkdir()
    return pubkeys.extract([signer.keyring()], into)


@pytest.fixture
def repository(tmp_path: Path, signer: Signer) -> Repository:
    return Repository(tmp_path / "archive/repo", signer)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Path:
    repository = Repository(tmp_path_factory.mktemp("built") / "repo", signer)
    return repository.add("kernel", "1.0", "1", FILES)


@pytest.fixture
def package(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(built, tmp_path / "kernel.rpm"))


@pytest.fixture
def verifier(keys: PublicKeys, tmp_path: Path) -> rpm.Verifier:
    return rpm.Verifier(keys, tmp_path)


def test_versions_are_ordered_as_rpm_orders_them() -> None:
    require_programs()
    pairs = list(itertools.product(VERSIONS, VERSIONS))
    calls = "".join(f'print(rpm.vercmp("{one}", "{other}") .. " ")' for one, other in pairs)
    told = command("rpm", "--eval", f"%{{lua:{calls}}}").split()
    assert [compare(one, other) for one, other in pairs] == [int(word) for word in told]


NUMBERS = st.from_regex(r"0{0,3}[0-9]{1,25}", fullmatch=True)


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_numbers_are_ordered_by_what_they_count(one: str, other: str) -> None:
    assert compare(one, other) == (int(one) > int(other)) - (int(one) < int(other))
    assert compare(one, f"00{one}") == 0


def test_numbers_may_be_longer_than_python_makes_ints_of() -> None:
    low, high = "1" * 5000, "2" * 5000
    assert (compare(low, high), compare(high, low), compare(low, f"0{low}")) == (-1, 1, 0)
    assert (compare("9", low), compare(low, "9")) == (-1, 1)
    assert Evr(0, low, "1") < Evr(0, high, "1")


def test_an_epoch_goes_before_everything() -> None:
    assert Evr(1, "1.0", "1") > Evr(0, "2.0", "1")
    assert Evr(0, "1.0", "2") > Evr(0, "1.0", "1")
    assert str(Evr(0, "1.0", "2")) == "1.0-2"
    assert str(Evr(1, "1.0", "2")) == "1:1.0-2"


def test_a_package_signed_by_the_key_passes(package: Path, verifier: rpm.Verifier) -> None:
    verifier.check(package, "kernel")


def test_an_unsigned_package_does_not_pass(package: Path, verifier: rpm.Verifier) -> None:
    command("rpmsign", "--delsign", package)
    with pytest.raises(VerificationError, match="kernel: no valid signature"):
        verifier.check(package, "kernel")


def test_a_strangers_package_does_not_pass(
    package: Path, verifier: rpm.Verifier, stranger: Signer
) -> None:
    command("rpmsign", "--delsign", package)
    sign_package(package, stranger)
    with pytest.raises(VerificationError, match=r"kernel: no valid signature .*NOKEY"):
        verifier.check(package, "kernel")


@pytest.mark.parametrize("part", ["header", "payload"])
@pytest.mark.parametrize("where", [0.05, 0.5, 0.95])
def test_a_flipped_byte_does_not_pass(
    part: str, where: float, package: Path, verifier: rpm.Verifier
) -> None:
    known = createrepo_c.package_from_rpm(str(package))
    start, end = known.rpm_header_start, known.rpm_header_end
    if part == "payload":
        start, end = end, package.stat().st_size
    flip(package, (start + where * (end - start)) / package.stat().st_size)
    with pytest.raises(VerificationError) as caught:
        verifier.check(package, "kernel")
    assert "\n" not in str(caught.value)


def test_without_rpm_the_package_to_install_is_named(
    keys: PublicKeys, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="rpmkeys is not installed: install the package rpm"):
        rpm.Verifier(keys, tmp_path)
    with pytest.raises(ToolError, match=r"rpm2archive is not installed: .*rpm2cpio"):
        unpacked(package, tmp_path)


def unpacked(package: Path, tmp_path: Path) -> dict[str, bytes]:
    into, scratch = tmp_path / "into", tmp_path / "scratch"
    into.mkdir()
    scratch.mkdir()
    wanted = PurePosixPath("etc")
    rpm.unpack(
        package,
        into,
        move=lambda path: path,
        keep=lambda path: not path.is_relative_to(wanted),
        scratch=scratch,
    )
    files = [path for path in into.rglob("*") if path.is_file()]
    return {str(path.relative_to(into)): path.read_bytes() for path in files}


@pytest.mark.parametrize("payload", ["w6.gzdio", "w2.xzdio", "w3.zstdio", "w.ufdio"])
def test_payloads_of_any_compression_are_unpacked(
    payload: str, repository: Repository, tmp_path: Path
) -> None:
    package = repository.add("kernel", "1.0", "1", FILES, payload=payload)
    wanted = {path: content for path, content in FILES.items() if path != "etc/b"}
    assert unpacked(package, tmp_path) == wanted


@pytest.mark.parametrize("content", [b"", b"text\n" * 100])
def test_what_is_no_package_is_said(content: bytes, tmp_path: Path) -> None:
    package = tmp_path / "kernel.rpm"
    package.write_bytes(content)
    with pytest.raises(VerificationError, match="not an rpm package") as caught:
        unpacked(package, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_package_that_is_cut_short_is_said(package: Path, tmp_path: Path) -> None:
    rpm.check_digests(package, "kernel.rpm", tmp_path)
    package.write_bytes(package.read_bytes()[:-40])
    with pytest.raises(VerificationError, match=r"kernel\.rpm is broken") as caught:
        rpm.check_digests(package, "kernel.rpm", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def published(repository: Repository) -> Repository:
    repository.add("kernel", "1.0", "1", FILES, extra="Epoch: 2")
    repository.publish("--general-compress-type=gz")
    return repository


@pytest.fixture
def base(server: Server) -> Iterator[str]:
    yield f"{server.base}/repo"


def read(base: str, fetcher: Fetcher) -> list[rpmrepo.RpmPackage]:
    return rpmrepo.open_repository(base, ["kernel"], fetcher=fetcher, keyring=None)


def test_metadata_says_what_is_there(published: Repository, base: str, fetcher: Fetcher) -> None:
    (found,) = read(base, fetcher)
    assert found.evr == Evr(2, "1.0", "1")
    assert found.release == "1.0-1.x86_64"
    assert (found.locked.version, found.locked.architecture) == ("2:1.0-1", "x86_64")
    assert found.locked.path == "Packages/kernel-1.0-1.x86_64.rpm"
    assert rpmrepo.together([found], ["kernel"], "here") == [found]
    with pytest.raises(UnavailableError, match="here: there is no package kernel-core"):
        rpmrepo.together([found], ["kernel", "kernel-core"], "here")


def rewrite(published: Repository, old: str, new: str) -> None:
    file = published.repodata / "repomd.xml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('type="primary"', 'type="other"', "names no primary metadata"),
        ('checksum type="sha256"', 'checksum type="sha1"', "its checksum is a sha1, not a sha256"),
        ("<size>", "<size>-", "gives its primary metadata no size"),
        ("</repomd>", "", "cannot be read"),
        ("<repomd ", '<!DOCTYPE x [<!ENTITY a "b">]><repomd ', ""),
    ],
)
def test_metadata_that_is_malformed_is_said(
    old: str, new: str, said: str, published: Repository, base: str, fetcher: Fetcher
) -> None:
    rewrite(published, old, new)
    if not said:
        assert read(base, fetcher)
        return
    with pytest.raises(VerificationError, match=said) as caught:
        read(base, fetcher)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("algorithm", ["sha512"])
def test_packages_without_a_sha256_are_refused(
    algorithm: str, published: Repository, base: str, fetcher: Fetcher
) -> None:
    published.publish(f"--checksum={algorithm}")
    with pytest.raises(VerificationError, match=f"its checksum is a {algorithm}, not a sha256"):
        read(base, fetcher)


@pytest.mark.parametrize(
    "content",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><metadata>&b;</metadata>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><metadata>&a;</metadata>',
        "not xml",
        "",
    ],
)
def test_primary_metadata_that_is_malformed_or_expands_is_refused(
    content: str, tmp_path: Path, server: Server, base: str, fetcher: Fetcher
) -> None:
    repodata = tmp_path / "archive/repo/repodata"
    repodata.mkdir(parents=True)
    primary = repodata / "primary.xml"
    primary.write_text(content)
    record = createrepo_c.RepomdRecord("primary", str(primary))
    record.fill(createrepo_c.SHA256)
    repomd = createrepo_c.Repomd()
    repomd.set_record(record)
    (repodata / "repomd.xml").write_text(repomd.xml_dump())
    with pytest.raises(HarnessError) as caught:
        read(base, fetcher)
    assert isinstance(caught.value, VerificationError)
    assert "\n" not in str(caught.value)
