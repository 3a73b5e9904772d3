"""What people write is read, or refused by name; what is printed obeys nobody."""

from __future__ import annotations

import dataclasses
from datetime import UTC
from pathlib import Path

import pytest

from syla_jupyter.cli import shown
from syla_jupyter.cli.clone import Said, checked_url, environment
from syla_jupyter.cli.words import (
    changed_limits,
    changed_policy,
    clock_time,
    coming,
    parse_labels,
    parse_seconds,
    printable,
    size,
)
from syla_jupyter.metadata.base import Page
from syla_jupyter.model.errors import BadInput
from syla_jupyter.model.policy import DEFAULT_POLICIES, HOUR, Policy
from syla_jupyter.model.record import State, WorkspaceRecord
from syla_jupyter.model.workspace import DEFAULT_LIMITS, Network, WorkspaceType

LIMITS = DEFAULT_LIMITS[WorkspaceType.SESSION]
NOW = 1_800_000_000.0


def record(**changes: object) -> WorkspaceRecord:
    made = WorkspaceRecord(
        id="0123456789ab",
        owner="me",
        name="demo",
        type=WorkspaceType.SESSION,
        state=State.ACTIVE,
        template="python",
        limits=LIMITS,
        network=Network.EGRESS,
        policy=DEFAULT_POLICIES[WorkspaceType.PERSISTENT],
        files=Path("/root/workspaces/demo"),
        created_at=NOW - 3 * HOUR,
        state_since=NOW - 2 * HOUR,
        last_activity_at=NOW - 18 * 60,
        execution="abcdef01",
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("30min", 1800), ("2h", 7200), ("1d12h", 129600), ("1.5H", 5400), (" 1w ", 604800)],
)
def test_durations(text: str, seconds: float) -> None:
    """Numbers with units, in any order of size."""
    assert parse_seconds("--idle", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5", "h", "-1h", "1h x", "1 h", "0s", "1e3s", "999999999w", "٣h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The error names the option."""
    with pytest.raises(BadInput, match=r"^--idle: "):
        parse_seconds("--idle", text)


def test_limits_are_changed_one_by_one() -> None:
    """What is not given stays."""
    changed = changed_limits(LIMITS, cpus="0.5", memory="1.5g", disk=None, pids="1024")
    assert changed == dataclasses.replace(LIMITS, cpus=0.5, memory_bytes=3 << 29, pids=1024)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("cpus", "many"), ("cpus", "0"), ("cpus", "nan"), ("cpus", "inf"), ("memory", "1k"), ("memory", "4x"),
        ("memory", "-1g"), ("disk", "1"), ("disk", "9999999999t"), ("pids", "31"), ("pids", "many"), ("pids", "-64"),
    ],
)  # fmt: skip
def test_impossible_limits_name_their_option(option: str, text: str) -> None:
    """Too little, too much, no number."""
    given = {"cpus": None, "memory": None, "disk": None, "pids": None, option: text}
    with pytest.raises(BadInput, match=f"^--{option}: "):
        changed_limits(LIMITS, **given)  # type: ignore[arg-type]


def test_policy_takes_durations_and_never() -> None:
    """An option that is not given changes nothing."""
    before = Policy(ttl_seconds=60, idle_seconds=60, archive_seconds=5)
    changed = changed_policy(before, {"--ttl": "2h", "--idle": "never", "--archive-after": None, "--retention": "1d"})
    assert changed == dataclasses.replace(before, ttl_seconds=7200, idle_seconds=None, retention_seconds=86400)


def test_labels() -> None:
    """The first `=` parts; a value may be empty or have more of them."""
    assert parse_labels("--label", ["a=b", "c=d=e", "f="]) == {"a": "b", "c": "d=e", "f": ""}
    for wrong in ("a", "=b"):
        with pytest.raises(BadInput, match=r"^--label: "):
            parse_labels("--label", [wrong])


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "a\rb", "\x9b31m", "\u202eevil", "\x00", "\udc80"])
def test_nothing_is_printed_that_a_terminal_obeys(text: str) -> None:
    """Control characters are made visible, text in any script stays."""
    assert printable(f"grün {text} 日本").isprintable()
    assert "grün" in printable(text + "grün 日本")
    assert printable("two\nlines", lines=True) == "two\nlines"


def test_moments_in_words() -> None:
    """A time of today has no date."""
    assert clock_time(NOW - 60, NOW, UTC) == "07:59"
    assert clock_time(NOW - 86400, NOW, UTC) == "14 Jan 08:00"
    assert [coming(at, NOW) for at in (None, NOW - 1, NOW + 42 * 60)] == ["never", "now", "in 42 min"]
    assert [size(n) for n in (0, 1023, 1024, 1536, 3 << 30)] == ["0 B", "1023 B", "1 KB", "1.5 KB", "3 GB"]


def test_a_record_in_words_says_what_comes_and_why() -> None:
    """The deadline, its reason, what is possible; a default workspace is marked as one."""
    rows = dict(shown.detail_rows(record(), NOW))
    assert rows["next"] == "suspended in 42 min"
    assert rows["because"] == "idle for 18 min (suspended after 1 h)"
    assert rows["possible"] == "suspend, stop, archive"
    assert "default workspace" in dict(shown.detail_rows(record(is_default=True), NOW))["type"]
    assert dict(shown.detail_rows(record(reason="it said \x1b[2J"), NOW))["state"].isprintable()


def test_lists_mark_the_one_in_use() -> None:
    """A star, and states with the way they are suspended."""
    page = Page([record(), record(id="ba9876543210", state=State.SUSPENDED, execution="")], "", 2)
    rows = shown.list_rows(page, "0123456789ab", NOW)
    assert [row[0] for row in rows] == ["*", ""]
    assert [row[2] for row in rows] == ["active", "suspended (stopped)"]


def test_json_has_whole_numbers_and_utc() -> None:
    """Bytes, RFC 3339, null for never."""
    seen = shown.as_json(record(policy=Policy()), NOW)
    assert seen["limits"]["memory_bytes"] == 2 << 30
    assert seen["created_at"] == "2027-01-15T05:00:00.000Z"
    assert seen["next"] == {"action": "none", "at": None, "reason": "nothing happens to it by itself"}


# -- credentials -------------------------------------------------------------------------------------------------------


def test_credentials_are_taken_out_of_a_url() -> None:
    """What git is called with has none; they are in its environment, for that host alone."""
    source = checked_url("https://anna:se%2Fcret@host.example:8443/team/repo.git?x=1")
    assert source.url == "https://host.example:8443/team/repo.git?x=1"
    assert (source.user, source.secret) == ("anna", "se/cret")
    given = environment(source)
    assert given["SYLA_GIT_SECRET"] == "se/cret"
    settings = {given[f"GIT_CONFIG_KEY_{n}"]: given[f"GIT_CONFIG_VALUE_{n}"] for n in (0, 1)}
    assert settings["credential.helper"] == ""
    assert "se/cret" not in settings["credential.https://host.example:8443.helper"]
    assert checked_url("https://host/a/b").directory == "b"
    assert checked_url("git@host.example:team/repo.git").directory == "repo"
    assert "SYLA_GIT_SECRET" not in environment(checked_url("https://host/a/b"))


@pytest.mark.parametrize(
    "url",
    ["", "-u", "--upload-pack=x", "ext::sh -c x", "/etc", "https://", "http://h:99999999/x", "ssh://u:geheim@h/x",
     "https://u:geheim@h/a b", "https://u:geheim@h/\n", "ftp://u:geheim@h/x", "x" * 3000],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    """The error never has the password."""
    with pytest.raises(BadInput, match=r"^URL: ") as caught:
        checked_url(url)
    assert "geheim" not in str(caught.value)


def test_what_git_says_is_cleaned(capsys: pytest.CaptureFixture[str]) -> None:
    """Secrets, also those cut in two, and what a terminal would obey."""
    said = Said(checked_url("https://anna:ge%20heim@h/x"))
    for part in (b"remote: \x1b[2Jhello ge", b" heim\nfatal: no ge%20heim of an", b"na\n"):
        said.hear(part)
    printed = capsys.readouterr().err
    assert printed == "remote: \\x1b[2Jhello ***\nfatal: no *** of ***\n"
    assert said.last() == "fatal: no *** of ***"
