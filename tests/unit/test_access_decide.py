"""The decision: every role with every permission, the order of what speaks, and what no input can do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.access.decide import comes_by_link, decide, decide_host, permissions_of, role_of
from syla_jupyter.access.permissions import PERMISSIONS
from syla_jupyter.access.roles import GIVEN, ROLES, may_give, role_named
from syla_jupyter.model.errors import BadInput
from syla_jupyter.model.people import Access, AccessMode, Grant, Permission, Principal, Role, SubjectKind, check_name

ALLOWED = {
    Role.OWNER: "read write execute share delete admin",
    Role.ADMIN: "read write execute share admin",
    Role.EDITOR: "read write execute",
    Role.RUNNER: "read execute",
    Role.VIEWER: "read",
}
BEN = Principal("ben", frozenset({"lab", "class"}))


def access(mode: AccessMode = AccessMode.MEMBERS, **users: Role) -> Access:
    return Access("0" * 12, "ana", mode, users)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_every_role_with_every_permission(role: Role, permission: Permission) -> None:
    """The whole matrix: a role or a permission without an expectation fails."""
    expected = permission in ALLOWED[role].split()
    held = access() if role is Role.OWNER else access(ben=role)
    who = Principal("ana") if role is Role.OWNER else BEN
    assert decide(who, permission, held).allowed is expected
    assert PERMISSIONS[permission]


@pytest.mark.parametrize(
    ("given_access", "principal", "expected", "reason"),
    [
        (access(), Principal("ana"), Role.OWNER, "owner"),
        (access(AccessMode.PRIVATE), Principal("ana"), Role.OWNER, "owner"),
        (access(AccessMode.PRIVATE), Principal("zoe", admin=True), Role.OWNER, "admin of the server"),
        (access(AccessMode.PRIVATE, ben=Role.ADMIN), BEN, None, "private"),
        (access(ben=Role.RUNNER), BEN, Role.RUNNER, "granted runner"),
        (access(), BEN, None, "no grant"),
        (access(AccessMode.LINK), BEN, Role.VIEWER, "open by link"),
        (access(AccessMode.LINK, ben=Role.EDITOR), BEN, Role.EDITOR, "granted editor"),
        (Access("0", "ana", AccessMode.MEMBERS, {}, {"lab": Role.EDITOR}), BEN, Role.EDITOR, "teams lab (editor)"),
        (Access("0", "ana", AccessMode.MEMBERS, {}, {"other": Role.EDITOR}), BEN, None, "no grant"),
        (Access("0", "ana", AccessMode.MEMBERS, {"ben": Role.VIEWER}, {"lab": Role.ADMIN}), BEN, Role.VIEWER,
         "granted viewer"),
        (Access("0", "ana", AccessMode.MEMBERS, {}, {"lab": Role.VIEWER, "class": Role.RUNNER}), BEN, Role.RUNNER,
         "teams class (runner), lab (viewer)"),
        (Access("0", "ana", AccessMode.LINK, {}, {"ben": Role.ADMIN}), Principal("ben"), Role.VIEWER, "open by link"),
    ],
)  # fmt: skip
def test_the_first_that_speaks_decides(
    given_access: Access, principal: Principal, expected: Role | None, reason: str
) -> None:
    """Owner, admin of the server, private, explicit, teams together, link, deny; a team's name is no user's."""
    assert role_of(principal, given_access) is expected
    assert permissions_of(principal, given_access) == (ROLES[expected] if expected else frozenset(), reason)
    assert comes_by_link(principal, given_access) is (reason == "open by link")


def test_the_reason_names_what_was_asked() -> None:
    assert decide(BEN, Permission.WRITE, access(ben=Role.VIEWER)).reason == "granted viewer: has no write"


def test_the_host_is_for_admins() -> None:
    assert decide_host(Principal("zoe", admin=True)).allowed
    assert not decide_host(Principal("ana")).allowed


roles = st.sampled_from(GIVEN)
names = st.sampled_from(["ana", "ben", "carla", "lab", "class", ""])


@given(
    name=names, teams=st.frozensets(names), owner=names, mode=st.sampled_from(AccessMode),
    users=st.dictionaries(names, roles), granted_teams=st.dictionaries(names, roles),
    permission=st.sampled_from(Permission),
)  # fmt: skip
def test_nobody_without_a_grant_does_more_than_look(
    name: str,
    teams: frozenset[str],
    owner: str,
    mode: AccessMode,
    users: dict[str, Role],
    granted_teams: dict[str, Role],
    permission: Permission,
) -> None:
    """Whatever the input: what is allowed is owned or granted, or looking at what is open; private is the owner's."""
    decision = decide(Principal(name, teams), permission, Access("0", owner, mode, users, granted_teams))
    if not decision.allowed or name == owner:
        return
    assert mode is not AccessMode.PRIVATE
    granted = [users[name]] if name in users else [granted_teams[team] for team in teams & granted_teams.keys()]
    linked = mode is AccessMode.LINK and permission is Permission.READ and not granted
    assert decision.by_link is linked
    assert linked or any(permission in ROLES[role] for role in granted)


def test_nobody_gives_more_than_he_has() -> None:
    assert [role for role in Role if may_give(ROLES[Role.OWNER], role)] == list(GIVEN)
    assert [role for role in Role if may_give(ROLES[Role.ADMIN], role)] == list(GIVEN)
    for role in (Role.EDITOR, Role.RUNNER, Role.VIEWER):
        assert not any(may_give(ROLES[role], other) for other in Role)


def test_words_for_roles() -> None:
    """A role, or the permission that it stands for; what there is is said."""
    words = {"viewer": Role.VIEWER, "read": Role.VIEWER, "execute": Role.RUNNER, "write": Role.EDITOR}
    assert {word: role_named(word) for word in words} == words
    assert role_named("admin") is Role.ADMIN
    for word in ("owner", "king", ""):
        with pytest.raises(BadInput) as raised:
            role_named(word)
        assert raised.value.field == "role"


def test_nobody_is_granted_ownership() -> None:
    with pytest.raises(BadInput, match="Transfer"):
        Grant("0" * 12, SubjectKind.USER, "ben", Role.OWNER, "ana", 0.0)


@pytest.mark.parametrize("name", ["Ana", "", ".ana", "a b", "a/b", "ä", "a" * 65, "a\n", "-ana", "ana\0"])
def test_names_that_are_none(name: str) -> None:
    """Two people cannot have names that look or compare alike."""
    with pytest.raises(BadInput) as raised:
        check_name("user", name)
    assert raised.value.field == "user"
    assert check_name("user", "ana.lee+1@x-y.org") == "ana.lee+1@x-y.org"
