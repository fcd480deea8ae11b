from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aptarchive import Signer, yaml

from harness import defaults
from harness.errors import ConfigError, VerificationError
from harness.packages.signature import KEYS_FILE, load_keyrings


def keys(directory: Path, name: str, file: str, fingerprint: str, sha256: str = "") -> Path:
    directory.mkdir(exist_ok=True)
    text = f"""
        keyrings:
          {name}:
            file: {file}
            source: a test
            sha256: "{sha256}"
            fingerprints:
              {fingerprint}: somebody
        """
    (directory / KEYS_FILE).write_text(yaml(text))
    return directory


def test_the_packaged_keys_are_what_they_say() -> None:
    keyring = load_keyrings([defaults.directory("kernels") / "keys"])["debian"]
    assert "04B54C3CDCA79751B16BC6B5225629DF75B188BD" in keyring.fingerprints
    assert len(keyring.fingerprints) == 9


def test_a_users_keys_extend_the_packaged_ones(tmp_path: Path, signer: Signer) -> None:
    mine = keys(tmp_path / "mine", "mine", "mine.pgp", signer.fingerprint)
    shutil.copy(signer.public, mine / "mine.pgp")
    keyrings = load_keyrings([defaults.directory("kernels") / "keys", mine, tmp_path / "none"])
    assert {"debian", "mine"} <= set(keyrings)
    assert keyrings["mine"].fingerprints == {signer.fingerprint}


def test_a_missing_keyring_file_is_said_with_its_line(tmp_path: Path, signer: Signer) -> None:
    mine = keys(tmp_path / "mine", "mine", "mine.pgp", signer.fingerprint)
    with pytest.raises(ConfigError, match=r"keys\.yaml:3: keyrings\.mine\.file: there is no file"):
        load_keyrings([mine])


def test_a_keyring_file_that_was_changed_is_refused(tmp_path: Path, signer: Signer) -> None:
    mine = keys(tmp_path / "mine", "mine", "mine.pgp", signer.fingerprint, sha256="0" * 64)
    shutil.copy(signer.public, mine / "mine.pgp")
    with pytest.raises(VerificationError, match=r"mine\.pgp is not the keyring"):
        load_keyrings([mine])


def test_a_wrong_fingerprint_or_key_is_said_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keys\.yaml:\d+: "):
        load_keyrings([keys(tmp_path / "a", "mine", "mine.pgp", "04B54C")])
    (tmp_path / "a" / KEYS_FILE).write_text("keyring: {}\n")
    with pytest.raises(ConfigError, match=r"keys\.yaml:1: .*did you mean 'keyrings'"):
        load_keyrings([tmp_path / "a"])
