"""Names of workspaces: what is accepted is one directory and one address segment; what is not says why."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syla_jupyter.model.errors import BadInput
from syla_jupyter.workspaces.names import BYTES_MAX, LENGTH_MAX, check_name, same_name

LIKELY = st.text(st.sampled_from("aZ09-_. /é\u0301ß中नि\u202e\u200dıİſＣ\u0345ᾳ"), max_size=12)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "a",
            "my-project",
            "My Project_2.0",
            "übung",
            "数据分析",
            "проект",
            "मेरी परियोजना",
            "مشروع",
            "_x",
            "1",
            "x" * 63,
        ),
        *("a.b.c", "console", "com", "con1", "defaults", "0123456789abc", "0123456789ag"),
    ],
)
def test_names_that_people_use(name: str) -> None:
    """Letters of any script, digits, spaces and three signs are a name, and stay as they are."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        ("a/b", r"U\+002F \(SOLIDUS\)"),
        ("a\\b", "REVERSE SOLIDUS"),
        ("a\0b", r"U\+0000"),
        ("a\nb", r"U\+000A"),
        ("a\u202eb", "RIGHT-TO-LEFT OVERRIDE"),
        ("a\u2066b", "LEFT-TO-RIGHT ISOLATE"),
        ("a\u200db", "ZERO WIDTH JOINER"),
        ("a\u3164", "HANGUL FILLER"),
        ("a\ufe0f", "VARIATION SELECTOR"),
        ("a\u00a0b", "NO-BREAK SPACE"),
        ("a\ud800", r"U\+D800"),
        ("a\ue000", r"U\+E000"),
        ("a?b", "QUESTION MARK"),
        ("a%2fb", "PERCENT SIGN"),
        ("a#b", "NUMBER SIGN"),
        ("a:b", "COLON"),
        ("$(id)", "DOLLAR SIGN"),
        ("🚀", "ROCKET"),
        (".", "begins with '.'"),
        ("..", "begins with '.'"),
        (".hidden", "begins with '.'"),
        ("-rf", "begins with '-'"),
        (" a", "begins with ' '"),
        ("\u0301a", "begins with"),
        ("a.", "ends with '.'"),
        ("a ", "ends with ' '"),
        (" . ", "begins with ' '"),
        ("a..b", "holds '..'"),
        ("x" * 64, "64 characters, 63 at most"),
        ("x" * 100_000, "100000 characters"),
        ("中" * 63 + "中", "64 characters"),
        ("𠀀" * 51, "204 bytes, 200 at most"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason_and_the_right_form(name: str, why: str) -> None:
    """The refusal names the field, what is wrong, and what to write; and it is printable and short."""
    with pytest.raises(BadInput, match=why) as caught:
        check_name(name)
    assert caught.value.field == "name"
    assert "Use 1 to 63 letters" in caught.value.hint
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "name",
    [
        *("default", "Default", "ＤＥＦＡＵＬＴ", "workspaces", "Workspaces", "ephemeral", "EPHEMERAL"),
        *("con", "CON", "nul", "Aux", "prn", "com1", "LPT9", "com0", "nul.txt", "con.tar.gz", "con .x", "ｃｏｎ"),
    ],
)
def test_reserved_words_in_any_case_and_width(name: str) -> None:
    """Words of ours and device names are refused, with a name that would do."""
    with pytest.raises(BadInput, match="reserved.*such as 'my-"):
        check_name(name)


@pytest.mark.parametrize("name", ["0123456789ab", "ABCDEF012345", "202611220433"])
def test_what_looks_like_an_id_is_none(name: str) -> None:
    """A name and an id can stand in the same place, so no name may be read as an id."""
    with pytest.raises(BadInput, match="looks like the id"):
        check_name(name)


def test_default_is_given_to_the_default_workspace_only() -> None:
    """The flag opens this one word and no other."""
    assert check_name("default", default_allowed=True) == "default"
    for name in ("Default", "workspaces", "con"):
        with pytest.raises(BadInput):
            check_name(name, default_allowed=True)


def test_names_are_composed() -> None:
    """Typed composed or decomposed, a name is stored composed; and its length is counted then."""
    assert check_name("e\u0301te\u0301") == "été"
    assert check_name("e\u0301" * 63) == "é" * 63
    with pytest.raises(BadInput, match="64 characters"):
        check_name("e\u0301" * 64)


def test_the_same_name_in_another_case_and_a_look_alike() -> None:
    """Case and composition make no other name; a letter of another script does, also one that looks the same."""
    assert same_name("Straße") == same_name("STRASSE")
    assert same_name("ÉTÉ") == same_name("e\u0301te\u0301")
    assert same_name("data") != same_name("dаta")  # the second has a Cyrillic а
    assert check_name("dаta") == "dаta"


@settings(deadline=None)
@given(st.one_of(LIKELY, st.text(max_size=80)))
@example("ᾳ\u0301")
@example("\u1fb3\u0345")
def test_a_name_is_one_directory_and_one_segment(text: str) -> None:
    """Whatever the text: it is refused as input, or what comes back is safe, composed, and checks as itself."""
    try:
        name = check_name(text)
    except BadInput:
        return
    assert check_name(name) == name == unicodedata.normalize("NFC", text)
    assert len(name) <= LENGTH_MAX
    assert len(name.encode()) <= BYTES_MAX
    assert name.isprintable()
    assert name == name.strip(" .")
    assert Path("/srv", name).parts == ("/", "srv", name)
    address = urlsplit(f"https://host/syla/v1/workspaces/{quote(name, safe='')}/suspend")
    assert [unquote(part) for part in address.path.split("/")][4] == name
    assert address.path == f"/syla/v1/workspaces/{quote(name)}/suspend"


@settings(deadline=None)
@given(st.one_of(LIKELY, st.text(max_size=20)))
def test_the_key_of_a_name_is_stable(a: str) -> None:
    """Under itself, under composition and under case."""
    key = same_name(a)
    assert same_name(key) == key
    assert same_name(unicodedata.normalize("NFD", a)) == key
    assert same_name(unicodedata.normalize("NFC", a)) == key
    assert same_name(unicodedata.normalize("NFC", a).casefold()) == key


def test_names_can_be_made_as_directories(tmp_path: Path) -> None:
    """The longest names of narrow and wide letters are directories, and are listed as they were named."""
    names = {check_name(n) for n in ("x" * 63, "数" * 63, "𠀀" * 50, "My Project_2.0")}
    for name in names:
        (tmp_path / name).mkdir()
    assert {entry.name for entry in tmp_path.iterdir()} == names
