from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from ruamel.yaml.nodes import MappingNode, ScalarNode

from harness import yamlfile, yamlvalues
from harness.errors import ConfigError


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: yamlfile.Text = ""
    memory: int = 1
    run: str | list[str] = ""
    flag: bool = False
    nested: Entry | None = None


class File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kernels: dict[str, Entry]
    order: list[Entry] = []


def read(text: str) -> yamlfile.Document:
    return yamlfile.parse(text.encode(), Path("file.yaml"))


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        yamlfile.validate(read(text), File)
    return str(caught.value)


def test_a_key_that_looks_like_a_number_stays_as_it_is_written() -> None:
    parsed = yamlfile.validate(read("kernels:\n  5.10: {version: 5.10, memory: 7}\n"), File)
    assert parsed.kernels["5.10"].version == "5.10"
    assert parsed.kernels["5.10"].memory == 7


def test_scalars_follow_yaml_1_2() -> None:
    data = read("[yes, on, true, null, ~, 0o17, 0644, 1_0, 1.5, .inf, 2020-01-01, 12:30]").data
    assert data[:2] == ["yes", "on"]
    assert data[2] is True
    assert data[3:5] == [None, None]
    assert data[5:7] == [15, 644]
    assert data[8:] == [1.5, float("inf"), "2020-01-01", "12:30"]


def test_a_character_in_the_two_halves_that_json_writes_is_one() -> None:
    assert read(r'{"\ud83d\ude00": "é\ud83d\ude00"}').data == {"😀": "é😀"}


def test_lines_are_known_for_keys_items_and_what_is_missing() -> None:
    document = read("# a\nkernels:\n  a:\n    run:\n      - one\n      - two\n")
    assert document.line_of("kernels", "a", "run", 1) == 6
    assert document.line_of("kernels", "a", "none", "deeper") == 3


def test_merge_keys_and_anchors_are_understood() -> None:
    data = read("base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\nmany: {<<: [*b, {z: 4}]}").data
    assert data["mine"] == {"x": 1, "y": 3}
    assert data["many"] == {"x": 1, "y": 2, "z": 4}


def test_the_first_mapping_that_is_merged_goes_before_and_its_keys_come_last() -> None:
    data = read("{z: 0, <<: [{a: 1, b: 1}, {c: 2, b: 2, z: 2}, {d: 3, a: 3}]}").data
    assert list(data.items()) == [("d", 3), ("a", 1), ("c", 2), ("b", 1), ("z", 0)]


def test_the_time_to_merge_mappings_grows_with_their_number_alone() -> None:
    root = yamlfile._composed.__wrapped__("<<: [{a: 1}]")
    assert root is not None
    [(_, listed)] = root.value
    [one] = listed.value
    [(key, value)] = one.value
    names = (ScalarNode(key.tag, f"k{n}", key.start_mark, key.end_mark) for n in range(30_000))
    listed.value = [
        MappingNode(one.tag, [(name, value)], one.start_mark, one.end_mark) for name in names
    ]
    started = time.process_time()
    assert len(yamlfile._Reader(Path("file.yaml")).value(root, ())) == 30_000
    assert time.process_time() - started < 5  # a twentieth is usual


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kernels:\n  a: [1\n", "file.yaml:3: not valid YAML: "),
        ("kernels:\n\ta: 1\n", "file.yaml:2: not valid YAML: found character '\\t'"),
        ("a: 1\n---\nb: 2\n", "file.yaml:2: not valid YAML: but found another document"),
        ("a: *none\n", "file.yaml:1: not valid YAML: found undefined alias 'none'"),
        ("a: 1\nb: \x01\n", "file.yaml:2: not valid YAML: special characters"),
        ("? [a, b]\n: c\n", "file.yaml:1: a key must be plain text"),
        ("a:\n  <<: text\n", "file.yaml:2: '<<' takes a mapping"),
        (
            'a: 1\nb: ["\\uD800"]\n',
            "file.yaml:2: text that UTF-8 cannot hold: '\\ud800' is half a character",
        ),
        ('a: 1\n"x\\uDC80": 1\n', "file.yaml:2: text that UTF-8 cannot hold: '\\udc80'"),
        ("a: 1\nb: 2\na: 3\n", "file.yaml:3: duplicate key 'a': it is already on line 1"),
    ],
)
def test_what_is_no_good_yaml_is_refused_with_its_line(text: str, said: str) -> None:
    assert refused(text).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "kernels:\n  a:\n    memroy: 5\n",
            "file.yaml:3: kernels.a.memroy: unknown key; did you mean 'memory'?",
        ),
        (
            "kernels:\n  a:\n    nested: {zzz: 5}\n",
            "file.yaml:3: kernels.a.nested.zzz: unknown key; known are: flag, memory,",
        ),
        (
            "kernels:\n  a:\n    memory: much\n",
            "file.yaml:3: kernels.a.memory: expected a whole number, got 'much'",
        ),
        ("kernels:\n  a:\n    flag: 1\n", "file.yaml:3: kernels.a.flag: expected true or false"),
        ("kernels:\n  a:\n    run: 1\n", "file.yaml:3: kernels.a.run: expected text or a list"),
        (
            "kernels: {}\norder:\n  -\n    run: [x,\n     1]",
            "file.yaml:5: order[0].run[1]: expected text, got the number 1",
        ),
        ("order: []\n", "file.yaml:1: kernels: is required"),
        ("", "file.yaml:1: kernels: is required"),
        ("[]", "file.yaml:1: expected a mapping (key: value), got an empty list"),
        ("kernels: 5", "file.yaml:1: kernels: expected a mapping (key: value), got the number 5"),
    ],
)
def test_what_does_not_fit_is_told_by_line_key_and_expectation(text: str, said: str) -> None:
    message = refused(text)
    assert message.startswith(said)
    assert "\n" not in message


def test_several_problems_are_told_in_the_files_order() -> None:
    lines = refused("kernels:\n  a:\n    memory: x\n    flag: 3\n    rnu: x\n").splitlines()
    assert [line.split(":")[1] for line in lines] == ["3", "4", "5"]


def test_many_problems_are_cut_short() -> None:
    text = "kernels:\n" + "".join(f"  k{n}: {{memory: x}}\n" for n in range(30))
    assert refused(text).endswith("... and 20 more")


def test_of_very_many_problems_only_those_told_are_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words: list[str] = []

    def guess(word: str, known: list[str]) -> str:
        words.append(word)
        return known[0]

    monkeypatch.setattr(yamlvalues, "did_you_mean", guess)
    data = {"kernels": {f"k{n}": {"memory": "x", "rnu": 1} for n in range(10_000)}}
    started = time.process_time()
    with pytest.raises(ConfigError, match=r"\.\.\. and 19990 more"):
        yamlfile.validate(yamlfile.Document(Path("file.yaml"), data, {}), File)
    assert time.process_time() - started < 10  # a thirtieth is usual
    assert len(words) == 5


def test_a_small_file_that_means_an_enormous_one_is_refused_in_little_time() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()
    assert "aliases expanded" in refused("\n".join(levels))
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("text", ["&a [*a]", "a: &a\n  <<: *a", "[" * 1500, "{a: " * 1500])
def test_endless_and_deep_nesting_is_refused(text: str) -> None:
    assert "nested" in refused(text)


def test_of_several_documents_each_has_its_lines_in_the_whole_file() -> None:
    text = b"a: 1\n---\n# nothing\n---\nb:\n  - 2\n---\nc: [\n"
    documents = yamlfile.parse_all(text, Path("file.yaml"))
    first, empty, second = next(documents), next(documents), next(documents)
    assert [first.data, empty.data, second.data] == [{"a": 1}, None, {"b": [2]}]
    assert (first.line_of("a"), second.line_of("b", 0)) == (1, 6)
    with pytest.raises(ConfigError, match=r"^file\.yaml:9: not valid YAML"):
        next(documents)


def test_the_limit_of_values_holds_for_all_documents_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(yamlfile, "MAX_NODES", 5)
    documents = yamlfile.parse_all(b"[1, 2]\n--- [1, 2]\n", Path("file.yaml"))
    assert next(documents).data == [1, 2]
    with pytest.raises(ConfigError, match=r"^file\.yaml:2: more than 5 values"):
        next(documents)


def test_a_tag_constructs_nothing(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    assert read(f"a: !!python/object/apply:os.mkdir ['{proof}']").data == {"a": [str(proof)]}
    assert not proof.exists()


def test_files_that_cannot_be_read_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        yamlfile.load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        yamlfile.load(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: not UTF-8 text"):
        yamlfile.load(latin)


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(yamlfile.MAX_BYTES + 1)
    with pytest.raises(ConfigError, match="larger than"):
        yamlfile.load(large)


def test_an_alias_means_the_last_use_of_its_anchor_before_it() -> None:
    document = yamlfile.parse(b"{a: &x 1, b: *x, c: &x 2, d: *x}", Path("file.yaml"))
    assert document.data == {"a": 1, "b": 1, "c": 2, "d": 2}


_FRAGMENTS = st.sampled_from(
    ["a", ":", " ", "\n", "- ", "[", "]", "{", "}", "&a ", "*a", "<<: ", "!!int ", "!", "|", ">",
     '"', "'", "#", "%YAML 1.1\n", "---\n", "...\n", "? ", "\t", "0x", "1e", ".5", "\\x", "é", "\0",
     "kernels:", "\r\n", "@", "`", ",", "~", "-1", "%TAG ! tag:x\n", "\u2028"]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@example("&a :\u2028&a ")
@given(st.lists(_FRAGMENTS, max_size=25).map("".join) | st.text(max_size=40))
def test_any_text_is_read_or_refused_as_a_config_error(text: str) -> None:
    try:
        document = yamlfile.parse(text.encode("utf-8", "replace"), Path("file.yaml"))
        yamlfile.validate(document, File)
    except ConfigError as error:
        assert str(error).startswith("file.yaml")
    try:
        list(yamlfile.parse_all(text.encode("utf-8", "replace"), Path("file.yaml")))
    except ConfigError as error:
        assert str(error).startswith("file.yaml")


def test_what_is_read_once_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text("scenarios: {true: {image: debian, run: /bin/true}}")
    yamlfile._composed.cache_clear()
    assert yamlfile.load(path, once=True).data == yamlfile.load(path, once=True).data
    assert yamlfile._composed.cache_info().currsize == 0
    assert yamlfile.load(path).data == yamlfile.load(path).data
    assert yamlfile._composed.cache_info().currsize == 1
