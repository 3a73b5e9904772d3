"""What every adapter of the port of people has to do; a subclass gives the fixtures and adds nothing."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ..metadata.base import WorkspaceStore
from ..metadata.people_base import PeopleStore
from ..model.errors import (
    BadInput,
    Conflict,
    NameTaken,
    UnknownInvitation,
    UnknownTeam,
    UnknownUser,
    UnknownWorkspace,
)
from ..model.people import AccessMode, AccessRequest, Grant, Invitation, Role, SubjectKind, Team, Token, User
from ..model.record import WorkspaceRecord
from .records import NOW, make_record

USER, TEAM = SubjectKind.USER, SubjectKind.TEAM
ODD = ("\0", "\ud800", "x" * 100_000, "'; --", "")


def grant(workspace: str, subject: str, role: Role = Role.EDITOR, kind: SubjectKind = USER) -> Grant:
    return Grant(workspace, kind, subject, role, "ana", NOW)


def invite(workspace: str, **changes: Any) -> Invitation:
    made = Invitation("0badcafe", workspace, Role.RUNNER, "ana", NOW, NOW + 60, 1)
    return dataclasses.replace(made, **changes)


class PeopleContract:
    """Fixtures to give: `people` and `store`, on the same empty data; `open_people() -> PeopleStore`, on it again."""

    OpenPeople = Callable[[], PeopleStore]

    @pytest.fixture
    def record(self, people: PeopleStore, store: WorkspaceStore) -> WorkspaceRecord:
        """A workspace of ana's; ben, carla and the team lab, to which carla belongs."""
        for name in ("ana", "ben", "carla"):
            people.add_user(User(name, name.title(), NOW))
        people.add_team(Team("lab", NOW))
        people.set_member("lab", "carla", True)
        return store.insert(make_record())

    # -- users and tokens --------------------------------------------------------------------------------------

    def test_users_come_back(self, people: PeopleStore, open_people: OpenPeople) -> None:
        ben = User("ben", "Ben 数据", NOW + 1e-6, admin=True)
        people.add_user(ben)
        people.add_user(User("ana", "Ana", NOW))
        with pytest.raises(NameTaken):
            people.add_user(User("ben", "Another", NOW))
        assert open_people().user("ben") == ben
        changed = dataclasses.replace(ben, disabled=True, admin=False, display_name="B")
        people.change_user(changed)
        assert people.user("ben") == changed
        assert [user.name for user in open_people().users()] == ["ana", "ben"]

    def test_tokens_are_found_by_digest_alone(self, people: PeopleStore) -> None:
        """Also when they are over: it is for the caller to say so. Removed, they name nobody."""
        people.add_user(User("ben", "Ben", NOW))
        first = Token("00000001", "ben", "laptop", NOW, None)
        second = Token("00000002", "ben", "ci", NOW + 1, NOW + 60.5)
        people.add_token(first, "a" * 64)
        people.add_token(second, "b" * 64)
        assert (people.token("a" * 64), people.token("b" * 64), people.token("c" * 64)) == (first, second, None)
        assert people.tokens("ben") == people.tokens() == [first, second]
        for token, digest in ((first, "c" * 64), (dataclasses.replace(first, id="00000003"), "a" * 64)):
            with pytest.raises(Conflict):
                people.add_token(token, digest)
        with pytest.raises(UnknownUser):
            people.add_token(Token("00000004", "zoe", "", NOW, None), "d" * 64)
        assert people.remove_token(first.id) == first
        assert people.remove_token(first.id) is None
        assert people.token("a" * 64) is None

    def test_teams(self, people: PeopleStore, record: WorkspaceRecord) -> None:
        people.add_team(Team("class", NOW))
        with pytest.raises(NameTaken):
            people.add_team(Team("lab", NOW))
        assert people.set_member("lab", "ben", True) is True
        assert people.set_member("lab", "ben", True) is False
        assert people.set_member("class", "ben", True) is True
        assert people.teams_of("ben") == {"lab", "class"}
        assert people.set_member("lab", "ben", False) is True
        assert people.teams() == [Team("class", NOW, ("ben",)), Team("lab", NOW, ("carla",))]
        for team, user, error in (("none", "ben", UnknownTeam), ("lab", "zoe", UnknownUser)):
            with pytest.raises(error):
                people.set_member(team, user, True)
        people.grant(grant(record.id, "lab", kind=TEAM))
        assert people.remove_team("lab") is True
        assert people.remove_team("lab") is False
        assert people.grants(record.id) == []
        assert people.teams_of("carla") == frozenset()

    # -- grants ------------------------------------------------------------------------------------------------

    def test_what_a_workspace_grants(
        self, people: PeopleStore, record: WorkspaceRecord, open_people: OpenPeople
    ) -> None:
        """Private at first; a second grant replaces the first; a user and a team of one name are two."""
        assert people.access(record.id).mode is AccessMode.PRIVATE
        people.add_team(Team("ben", NOW))
        people.grant(grant(record.id, "ben", Role.VIEWER))
        people.grant(grant(record.id, "ben", Role.EDITOR))
        people.grant(grant(record.id, "ben", Role.RUNNER, TEAM))
        people.set_mode(record.id, AccessMode.LINK)
        people.set_mode(record.id, AccessMode.MEMBERS)
        seen = open_people().access(record.id)
        assert (seen.workspace, seen.owner, seen.mode) == (record.id, "ana", AccessMode.MEMBERS)
        assert (seen.users, seen.teams) == ({"ben": Role.EDITOR}, {"ben": Role.RUNNER})
        assert people.grants(record.id) == [
            grant(record.id, "ben", Role.EDITOR),
            grant(record.id, "ben", Role.RUNNER, TEAM),
        ]
        assert people.withdraw(record.id, USER, "ben") is True
        assert people.withdraw(record.id, USER, "ben") is False
        assert people.access(record.id).users == {}

    def test_grants_name_what_there_is(self, people: PeopleStore, record: WorkspaceRecord) -> None:
        with pytest.raises(UnknownUser):
            people.grant(grant(record.id, "zoe"))
        with pytest.raises(UnknownTeam):
            people.grant(grant(record.id, "ben", kind=TEAM))
        for id in ("0" * 12, *ODD):
            for call in (people.access, people.grants, lambda id: people.set_mode(id, AccessMode.LINK)):
                with pytest.raises(UnknownWorkspace):
                    call(id)
            with pytest.raises(UnknownWorkspace):
                people.grant(grant(id, "ben"))
            with pytest.raises(UnknownWorkspace):
                people.transfer(id, "ben", Role.ADMIN, NOW)

    @pytest.mark.parametrize("odd", ODD, ids=repr)
    def test_texts_that_name_nothing(self, people: PeopleStore, record: WorkspaceRecord, odd: str) -> None:
        """Whatever a request says, the same with every database."""
        for call in (people.user, lambda name: people.grant(grant(record.id, name))):
            with pytest.raises(UnknownUser):
                call(odd)
        assert people.token(odd) is None
        assert people.remove_token(odd) is None
        for found in (people.tokens(odd), people.invitations(odd), people.shared_with(odd, frozenset({odd}))):
            assert found == []
        assert people.teams_of(odd) == frozenset()
        assert not people.remove_team(odd)
        assert not people.withdraw(record.id, USER, odd)
        assert not people.withdraw(odd, USER, "ben")
        assert not people.remove_invitation(record.id, odd)
        with pytest.raises(UnknownInvitation):
            people.accept(odd, "ben", NOW)
        with pytest.raises(UnknownTeam):
            people.set_member(odd, "ben", True)
        if odd in ODD[:3]:
            with pytest.raises(BadInput) as raised:
                people.add_user(User("zoe", odd, NOW))
            assert raised.value.field == "display_name"

    def test_what_is_shared_with_somebody(
        self, people: PeopleStore, store: WorkspaceStore, record: WorkspaceRecord
    ) -> None:
        """By name or by a team, each once; not while it is private, nor for its owner as such."""
        other = store.insert(make_record("other"))
        people.grant(grant(record.id, "carla"))
        people.grant(grant(record.id, "lab", kind=TEAM))
        people.grant(grant(other.id, "lab", kind=TEAM))
        assert people.shared_with("carla", frozenset({"lab"})) == []
        people.set_mode(record.id, AccessMode.MEMBERS)
        assert people.shared_with("carla", frozenset({"lab"})) == [record.id]
        people.set_mode(other.id, AccessMode.LINK)
        assert people.shared_with("carla", frozenset({"lab"})) == sorted([record.id, other.id])
        assert people.shared_with("carla", frozenset()) == [record.id]
        assert people.shared_with("ana", frozenset()) == []

    def test_what_goes_with_a_workspace(
        self, people: PeopleStore, store: WorkspaceStore, record: WorkspaceRecord
    ) -> None:
        people.grant(grant(record.id, "ben"))
        people.set_mode(record.id, AccessMode.LINK)
        people.add_invitation(invite(record.id), "a" * 64)
        assert store.remove(record.id, record.version)
        assert people.shared_with("ben", frozenset()) == []
        with pytest.raises(UnknownInvitation):
            people.accept("a" * 64, "ben", NOW)

    def test_another_owner(self, people: PeopleStore, store: WorkspaceStore, record: WorkspaceRecord) -> None:
        """The record's next version, due at once; who had it stays with a role; names stay an owner's once."""
        people.grant(grant(record.id, "ben", Role.VIEWER))
        people.transfer(record.id, "ben", Role.EDITOR, NOW + 1)
        assert store.get(record.id) == dataclasses.replace(record, owner="ben", version=record.version + 1)
        assert record.id in {one.id for one in store.due(NOW)}
        seen = people.access(record.id)
        assert (seen.owner, seen.users) == ("ben", {"ana": Role.EDITOR})
        people.transfer(record.id, "ben", Role.EDITOR, NOW + 1)
        assert people.access(record.id) == seen
        with pytest.raises(UnknownUser):
            people.transfer(record.id, "zoe", Role.ADMIN, NOW)
        store.insert(make_record("PROJECT"))
        with pytest.raises(NameTaken):
            people.transfer(record.id, "ana", Role.ADMIN, NOW)

    # -- invitations -------------------------------------------------------------------------------------------

    def test_invitations_are_limited(self, people: PeopleStore, record: WorkspaceRecord) -> None:
        """In number and time; a member keeps his role, an owner is asked in vain, and neither takes a use."""
        made = invite(record.id, uses_left=2)
        people.add_invitation(made, "a" * 64)
        with pytest.raises(Conflict):
            people.add_invitation(made, "b" * 64)
        people.grant(grant(record.id, "ben", Role.VIEWER))
        assert people.accept("a" * 64, "ben", NOW).role is Role.VIEWER
        assert people.accept("a" * 64, "ana", NOW).role is Role.ADMIN
        assert "ana" not in people.access(record.id).users
        with pytest.raises(UnknownUser):
            people.accept("a" * 64, "zoe", NOW)
        assert people.invitations(record.id) == [made]
        with pytest.raises(UnknownInvitation):
            people.accept("a" * 64, "carla", made.expires_at)
        assert people.accept("a" * 64, "carla", NOW) == Grant(record.id, USER, "carla", Role.RUNNER, "ana", NOW)
        assert people.invitations(record.id)[0].uses_left == 1
        assert people.remove_invitation(record.id, made.id) is True
        assert people.remove_invitation(record.id, made.id) is False
        with pytest.raises(UnknownInvitation):
            people.accept("a" * 64, "carla", NOW)

    def test_the_last_use_is_taken_once(
        self, people: PeopleStore, record: WorkspaceRecord, open_people: OpenPeople
    ) -> None:
        people.add_invitation(invite(record.id), "a" * 64)
        barrier, told = threading.Barrier(2), []

        def take(user: str) -> None:
            own = open_people()
            barrier.wait(30)
            try:
                told.append(own.accept("a" * 64, user, NOW).subject)
            except UnknownInvitation:
                told.append("")

        threads = [threading.Thread(target=take, args=(user,)) for user in ("ben", "carla")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told)[0] == ""
        assert set(people.access(record.id).users) == {max(told)}

    # -- who asks for a role -----------------------------------------------------------------------------------

    def test_requests(self, people: PeopleStore, store: WorkspaceStore, record: WorkspaceRecord) -> None:
        """One of each user for each workspace; gone with a grant to him, his account, or the workspace."""
        ben = AccessRequest(record.id, "ben", Role.VIEWER, "projekt 数据", NOW)
        carla = dataclasses.replace(ben, user="carla", asked_at=NOW - 1, refused_at=NOW + 1e-6)
        for request in (ben, carla):
            people.put_request(request)
        assert people.requests() == [carla, ben]
        ben = dataclasses.replace(ben, role=Role.EDITOR)
        people.put_request(ben)
        assert people.requests() == [carla, ben]
        people.grant(grant(record.id, "lab", kind=SubjectKind.TEAM))
        assert people.requests() == [carla, ben]
        people.grant(grant(record.id, "ben"))
        assert people.requests() == [carla]
        people.add_invitation(invite(record.id), "c" * 64)
        people.accept("c" * 64, "carla", NOW)
        assert people.requests() == []
        with pytest.raises(UnknownWorkspace):
            people.put_request(dataclasses.replace(ben, workspace="0" * 12))
        with pytest.raises(UnknownUser):
            people.put_request(dataclasses.replace(ben, user="zoe"))
        people.put_request(ben)
        assert store.remove(record.id, record.version)
        assert people.requests() == []

    # -- who has come by a link --------------------------------------------------------------------------------

    def test_visits(
        self, people: PeopleStore, store: WorkspaceStore, record: WorkspaceRecord, open_people: OpenPeople
    ) -> None:
        """Listed as long as it is open to all; the newest of each, of anybody; gone with the workspace."""
        ids = [record.id, *(store.insert(make_record(f"other {n}")).id for n in range(3))]
        for id in ids:
            people.set_mode(id, AccessMode.LINK)
        before = people.version()
        assert people.add_visit(record.id, "zoe", NOW, 3) is True
        assert open_people().add_visit(record.id, "zoe", NOW + 9, 3) is False
        assert people.shared_with("zoe", frozenset()) == [record.id]
        assert people.shared_with("ben", frozenset()) == []
        for later, id in enumerate(ids[1:], 1):
            assert people.add_visit(id, "zoe", NOW + later, 3) is True
        assert people.shared_with("zoe", frozenset()) == sorted(ids[1:])
        assert people.remove_visit(ids[1], "zoe") is True
        assert people.remove_visit(ids[1], "zoe") is False
        assert people.version() == before
        people.set_mode(ids[2], AccessMode.MEMBERS)
        assert people.shared_with("zoe", frozenset()) == [ids[3]]
        people.set_mode(ids[2], AccessMode.LINK)
        removed = store.get(ids[2])
        assert store.remove(removed.id, removed.version)
        assert people.shared_with("zoe", frozenset()) == [ids[3]]
        with pytest.raises(UnknownWorkspace):
            people.add_visit(ids[2], "zoe", NOW, 3)
        for odd in ODD[:2]:
            assert people.add_visit(record.id, odd, NOW, 3) is people.remove_visit(odd, "zoe") is False

    # -- the version -------------------------------------------------------------------------------------------

    def test_every_change_moves_the_version(
        self, people: PeopleStore, record: WorkspaceRecord, open_people: OpenPeople
    ) -> None:
        """Seen by other processes as soon as it is done; looking moves nothing, nor does what is refused."""
        other = open_people()
        id = record.id
        changes: list[Callable[[], object]] = [
            lambda: people.add_user(User("dan", "Dan", NOW)),
            lambda: people.change_user(User("dan", "Dan", NOW, disabled=True)),
            lambda: people.add_token(Token("00000001", "dan", "", NOW, None), "a" * 64),
            lambda: people.remove_token("00000001"),
            lambda: people.add_team(Team("new", NOW)),
            lambda: people.set_member("new", "ben", True),
            lambda: people.grant(grant(id, "ben")),
            lambda: people.set_mode(id, AccessMode.LINK),
            lambda: people.withdraw(id, USER, "ben"),
            lambda: people.put_request(AccessRequest(id, "ben", Role.VIEWER, "a", NOW)),
            lambda: people.add_invitation(invite(id), "b" * 64),
            lambda: people.accept("b" * 64, "ben", NOW),
            lambda: people.remove_invitation(id, "0badcafe"),
            lambda: people.remove_team("new"),
            lambda: people.transfer(id, "ben", Role.ADMIN, NOW),
        ]
        for change in changes:
            before = other.version()
            change()
            assert other.version() > before
        before = other.version()
        with pytest.raises(NameTaken):
            people.add_user(User("dan", "Dan", NOW))
        people.access(id), people.grants(id), people.users(), people.tokens(), people.teams(), people.invitations(id)
        people.requests()
        assert other.version() == people.version() == before
