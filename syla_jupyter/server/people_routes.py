"""Rows of the route table (`routes`) about people and sharing."""

from __future__ import annotations

from ..model.people import Permission
from . import activity, asking_handlers, where
from . import people_handlers as handlers
from . import people_wire as wire
from .gates import Level
from .route import STORE, Route

ONE = "workspaces/{workspace}"
MEMBER, INVITATIONS, TOKENS = f"{ONE}/members/{{user}}", f"{ONE}/invitations", "users/{user}/tokens"
REQUESTS = f"{ONE}/access-requests"
SHARE, HOST = Permission.SHARE, Level.HOST

PEOPLE_ROUTES: tuple[Route, ...] = (
    Route("GET", "shared", handlers.list_shared, "Workspaces of others that are shared with you, in pages",
          query=wire.SharedQuery, answer=wire.SharedList, refusals=STORE),
    Route("GET", f"{ONE}/members", handlers.list_members, "Who may use it, and what you may",
          answer=wire.MemberList, refusals=(404, *STORE)),
    Route("GET", f"{ONE}/participants", where.list_participants, "Who is in its documents now",
          answer=wire.ParticipantList, refusals=(404, *STORE)),
    Route("GET", "participants", where.list_participants, "The same, of all workspaces that you may read",
          answer=wire.ParticipantList, refusals=STORE),
    Route("GET", f"{ONE}/activity", activity.list_activity, "Who did what in it, newest first",
          query=wire.ActivityQuery, answer=wire.ActivityList, refusals=(404, *STORE)),
    Route("PUT", MEMBER, handlers.put_member, "Let a user or a team use it", action="write", needs=SHARE,
          query=wire.KindQuery, body=wire.PutMember, answer=wire.Member, refusals=(404, *STORE)),
    Route("DELETE", MEMBER, handlers.remove_member, "Take it back; or leave", action="write", needs=Permission.READ,
          query=wire.KindQuery, status=204, refusals=(404, *STORE)),
    Route("PATCH", f"{ONE}/access", handlers.change_access, "Who may reach it at all", action="write",
          needs=Permission.ADMIN, body=wire.ChangeAccess, answer=wire.MemberList, refusals=(404, *STORE)),
    Route("POST", f"{ONE}/transfer", handlers.transfer, "Give it to another owner", action="write",
          needs=Permission.READ, body=wire.TransferWorkspace, answer=wire.MemberList, refusals=(404, 409, *STORE)),
    Route("GET", INVITATIONS, handlers.list_invitations, "Its invitations, without their secrets", needs=SHARE,
          answer=wire.InvitationList, refusals=(404, *STORE)),
    Route("POST", INVITATIONS, handlers.invite, "Make an invitation", action="write", needs=SHARE, body=wire.Invite,
          answer=wire.InvitationMade, status=201, refusals=(404, *STORE)),
    Route("DELETE", f"{INVITATIONS}/{{invitation}}", handlers.uninvite, "Revoke one", action="write", needs=SHARE,
          status=204, refusals=(404, *STORE)),
    Route("POST", "join", handlers.join, "Become a member by an invitation", action="write", body=wire.Join,
          answer=wire.Joined, refusals=(404, *STORE)),
    Route("POST", REQUESTS, asking_handlers.ask, "Ask for a role where you have none, by its id or its folder's name",
          action="write", needs=Level.USER, body=wire.AskAccess, answer=wire.Answered, status=202, refusals=STORE),
    Route("GET", "access-requests", asking_handlers.list_requests, "Who asks for a role, where you may give one",
          answer=wire.RequestList, refusals=STORE),
    Route("DELETE", f"{REQUESTS}/{{user}}", asking_handlers.refuse, "Refuse; to grant is to put a member",
          action="write", needs=SHARE, status=204, refusals=(404, *STORE)),
    Route("GET", "users", handlers.list_users, "Everybody", needs=HOST, answer=wire.UserList, refusals=STORE),
    Route("POST", "users", handlers.add_user, "Add somebody", action="write", needs=HOST, body=wire.AddUser,
          answer=wire.UserShown, status=201, refusals=(409, *STORE)),
    Route("PATCH", "users/{user}", handlers.change_user, "Disable, enable, make an admin", action="write", needs=HOST,
          body=wire.ChangeUser, answer=wire.UserShown, refusals=(404, *STORE)),
    Route("GET", TOKENS, handlers.list_tokens, "Somebody's tokens, without their secrets", answer=wire.TokenList,
          refusals=(404, *STORE)),
    Route("POST", TOKENS, handlers.issue_token, "Make a token", action="write", body=wire.IssueToken,
          answer=wire.TokenMade, status=201, refusals=(404, *STORE)),
    Route("DELETE", f"{TOKENS}/{{token}}", handlers.revoke_token, "Revoke one, and what is logged in with it",
          action="write", status=204, refusals=(404, *STORE)),
    Route("GET", "teams", handlers.list_teams, "Teams: all to admins, else your own", answer=wire.TeamList,
          refusals=STORE),
    Route("POST", "teams", handlers.add_team, "Make a team", action="write", needs=HOST, body=wire.AddTeam,
          answer=wire.TeamShown, status=201, refusals=(409, *STORE)),
    Route("DELETE", "teams/{team}", handlers.remove_team, "Remove it, and what is granted to it", action="write",
          needs=HOST, status=204, refusals=(404, *STORE)),
    Route("PUT", "teams/{team}/members/{user}", handlers.join_team, "Put a user in", action="write", needs=HOST,
          status=204, refusals=(404, *STORE)),
    Route("DELETE", "teams/{team}/members/{user}", handlers.leave_team, "Take a user out; or leave", action="write",
          status=204, refusals=(404, *STORE)),
    Route("GET", "audit", handlers.list_audit, "Newest lines of the audit log", needs=HOST, query=wire.AuditQuery,
          answer=wire.AuditList, refusals=(502, *STORE)),
)  # fmt: skip
