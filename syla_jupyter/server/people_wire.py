"""What travels about people and sharing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from ..access.service import TOKEN_SECONDS, TOKEN_SECONDS_MAX
from ..access.sharing import INVITATION_SECONDS, INVITATION_SECONDS_MAX, USES_MAX
from ..metadata.base import PAGE_MAX
from ..metadata.happenings_base import PAGE_MAX as ACTIVITY_MAX
from ..model.happening import Kind
from ..model.people import AccessMode, Role, SubjectKind
from .wire import Query, Whole, Wire, Workspace

Name = Annotated[str, Field(min_length=1, max_length=64)]
GivenRole = Literal["admin", "editor", "runner", "viewer"]


# -- requests --------------------------------------------------------------------------------------------------------


class PutMember(Wire):
    role: GivenRole


class KindQuery(Wire):
    kind: SubjectKind = Field(default=SubjectKind.USER, strict=False, description="A user, or a team of that name.")


class ChangeAccess(Wire):
    mode: AccessMode = Field(strict=False)


class TransferWorkspace(Wire):
    to: Name = Field(description="A user; who had it stays as an admin of it.")


class Invite(Wire):
    role: GivenRole
    uses: Annotated[Whole, Field(ge=1, le=USES_MAX)] = 1
    expires_seconds: float = Field(default=INVITATION_SECONDS, gt=0, le=INVITATION_SECONDS_MAX)


class Join(Wire):
    secret: str = Field(min_length=1, max_length=200, description="Of an invitation.")


class AskAccess(Wire):
    role: Literal["editor", "runner", "viewer"] = "viewer"


class AddUser(Wire):
    name: Name
    display_name: str = Field(default="", max_length=64)
    admin: bool = False


class ChangeUser(Wire):
    admin: bool | None = None
    disabled: bool | None = None


class IssueToken(Wire):
    label: str = Field(default="", max_length=100)
    expires_seconds: float | None = Field(
        default=TOKEN_SECONDS, gt=0, le=TOKEN_SECONDS_MAX, description="`null`: until it is revoked."
    )


class AddTeam(Wire):
    name: Name


class AuditQuery(Wire):
    actor: str | None = Field(default=None, max_length=255)
    action: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=100, ge=1, le=10_000, strict=False)


class SharedQuery(Query):
    limit: int = Field(default=100, ge=1, le=PAGE_MAX)
    after: str = Field(default="", max_length=64, description="`next` of the page before.")


# -- answers ---------------------------------------------------------------------------------------------------------


class Member(Wire):
    kind: SubjectKind
    subject: str
    role: Role
    granted_by: str
    granted_at: datetime


class MemberList(Wire):
    owner: str
    mode: AccessMode
    role: Role | None = Field(description="Of who asks.")
    members: list[Member]


class Participant(Wire):
    workspace_id: str
    user: str
    display_name: str
    role: Role | None = Field(description="What he may do there now.")
    color: str | None
    path: str = Field(description="Of a document that he has open, as the contents API has it.")
    front: bool = Field(description="It is the one before him, of all that you may see.")
    cursors: list[JsonValue] = Field(description="As his page says it, in positions of the shared document.")
    joined_at: datetime
    last_activity_at: datetime
    idle_seconds: float = Field(description="Since then, by the server's clock.")


class ParticipantList(Wire):
    participants: list[Participant] = Field(description="Who has which document open now, one for each page.")


class ActivityQuery(Query):
    kind: list[Kind] = Field(default_factory=list, description="Of these only.")
    user: str | None = Field(default=None, max_length=255, description="What that one did; empty: what nobody did.")
    limit: int = Field(default=50, ge=1, le=ACTIVITY_MAX)
    before: int = Field(default=0, ge=0, le=2**53, description="`next` of the page before.")


class Activity(Wire):
    id: int
    time: datetime
    kind: Kind
    action: str = Field(description="Of what kind it is: suspend, take, workspace.share, joined, execute, save, …")
    user: str = Field(description="Who did it; empty: it happened by itself, or by nobody in particular.")
    count: int = Field(description="How often, until then: files and executions of a few minutes are one line.")
    paths: list[str] = Field(description="Of files, some of many, as the contents API has them.")
    subject: str | None = Field(description="User or team that it is about.")
    role: Role | None = Field(description="That the subject, or who joined, had then.")
    version: int | None = Field(description="Of a snapshot.")
    changes: list[str] = Field(description="What is not as it was.")
    reason: str = Field(description="Why, or a warning's words; empty: none was given.")


class ActivityList(Wire):
    activity: list[Activity] = Field(description="Newest first.")
    next: int = Field(description="`before` of the next page; 0 on the last one.")


class SharedWorkspace(Workspace):
    role: Role = Field(description="Of who asks.")
    via: Literal["member", "link"] = Field(description="`link`: he has come to it, as every user may.")


class SharedList(Wire):
    workspaces: list[SharedWorkspace]
    next: str = Field(description="`after` of the next page; empty on the last one.")


class Answered(Wire):
    """Whatever there is: who asks hears of it when somebody answers."""

    asked: Literal[True] = True


class RequestShown(Wire):
    workspace: str
    user: str
    role: Role
    asked_at: datetime


class RequestList(Wire):
    requests: list[RequestShown]


class InvitationShown(Wire):
    id: str
    workspace: str
    role: Role
    created_by: str
    created_at: datetime
    expires_at: datetime
    uses_left: int


class InvitationMade(InvitationShown):
    secret: str = Field(description="Shown this once.")


class InvitationList(Wire):
    invitations: list[InvitationShown]


class Joined(Wire):
    workspace: str
    role: Role


class UserShown(Wire):
    name: str
    display_name: str
    admin: bool
    disabled: bool
    created_at: datetime


class UserList(Wire):
    users: list[UserShown]


class TokenShown(Wire):
    id: str
    user: str
    label: str
    created_at: datetime
    expires_at: datetime | None


class TokenMade(TokenShown):
    secret: str = Field(description="Shown this once.")


class TokenList(Wire):
    tokens: list[TokenShown]


class TeamShown(Wire):
    name: str
    members: list[str]


class TeamList(Wire):
    teams: list[TeamShown]


class AuditLine(Wire):
    n: int
    at: datetime
    actor: str
    action: str
    target: str
    result: str
    reason: str
    address: str
    agent: str
    hash: str


class AuditList(Wire):
    lines: list[AuditLine]
