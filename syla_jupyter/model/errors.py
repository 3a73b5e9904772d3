"""The one tree of errors, and what each promises.

    SylaError                 code · message · hint · retryable
    ├── BadInput              the caller's words are wrong: names the field and the right form
    │   ├── UnknownWorkspace
    │   ├── UnknownTemplate
    │   ├── BadPath
    │   ├── NameTaken         the owner has a workspace of that name
    │   ├── NotConfirmed      something would be lost, and nobody said that it may
    │   ├── UnknownVersion    the workspace has no snapshot of that number
    │   ├── UnknownUser
    │   ├── UnknownTeam
    │   ├── UnknownInvitation there is none with that id or secret, or it is used up
    │   ├── UnknownExecution  nothing of that id runs or waits, or it is somebody else's
    │   └── UnknownOperation  nothing of that id is under way any more
    ├── Forbidden             whoever asks may not do that; the reason is in the log alone
    ├── WrongState            the workspace cannot do that now: names both states and what is allowed
    ├── Cancelled             whoever asked for it has thought better of it; nothing was changed
    ├── Conflict              somebody else changed it in between
    │   └── Busy              somebody else is changing it, and has not come to an end
    ├── TooMany               asked too often: says when again
    ├── InsufficientResources names what is missing and who holds it
    ├── StoreFailed           the metadata database
    │   └── StoreUnusable     it will be no better when it is asked again: a newer version's, damaged, no database
    ├── ObjectsFailed         the object store: does not answer, refuses, or has no room
    │   ├── ObjectsRefused    it answers no, and will again: secret, bucket, rights, room, settings
    │   ├── ObjectMissing     it has no such object
    │   └── ObjectExists      it has one of that name, and was asked for a new one
    ├── SnapshotDamaged       what the object store gave is not what was put there: names what is lost
    ├── NoServer              what only a running server knows was asked for, and none runs or answers
    ├── AuditDamaged          the audit log is not what was written: names the first line that is missing or changed
    ├── KeyRefused            the master key is missing, or is not the one a repository was made with
    ├── EngineError           the container engine
    │   ├── EngineStopped     nothing answers on its socket
    │   ├── EngineForbidden   it answers, but not to us
    │   └── NoSpace           it (or the host) has no disk left
    ├── ImageMissing          the template's image is not on this engine
    ├── StartFailed           a container or a kernel did not come up
    ├── WorkspaceLost         the container is gone: ended, killed, lease run out
    └── AgentError            the program inside the container
        ├── AgentTimeout      no answer in time
        └── AgentRefused      an answer that says no, or that breaks the protocol

`str(error)` is one line, message and hint together: Jupyter shows exactly that in its dialog, `syla` prints
it, and the log keeps it. Foreign exceptions are translated at the adapter (`raise X(...) from exc`); nothing
above an adapter recognises an error by its text.
"""

from __future__ import annotations

from typing import ClassVar


class SylaError(Exception):
    """Base of everything this package raises on purpose.

    Parameters
    ----------
    message : what happened, one line, no full stop needed.
    hint : what the reader can do about it, one line; empty where there is nothing to do.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 70  # EX_SOFTWARE, sysexits.h

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = " ".join(message.split()).rstrip(".")
        self.hint = " ".join(hint.split())
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}".strip() if self.hint else f"{self.message}."


class BadInput(SylaError):
    """Something the caller said is wrong; `field` names it."""

    code = "bad_input"
    exit_code = 64  # EX_USAGE

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        self.field = field
        super().__init__(f"{field}: {message}", hint)


class UnknownWorkspace(BadInput):
    code = "unknown_workspace"


class UnknownTemplate(BadInput):
    code = "unknown_template"


class BadPath(BadInput):
    code = "bad_path"
    exit_code = 66  # EX_NOINPUT


class NameTaken(BadInput):
    code = "name_taken"


class NotConfirmed(BadInput):
    code = "not_confirmed"


class UnknownVersion(BadInput):
    code = "unknown_version"


class UnknownUser(BadInput):
    code = "unknown_user"


class UnknownTeam(BadInput):
    code = "unknown_team"


class UnknownInvitation(BadInput):
    code = "unknown_invitation"


class UnknownExecution(BadInput):
    code = "unknown_execution"


class UnknownOperation(BadInput):
    code = "unknown_operation"


class Forbidden(SylaError):
    code = "forbidden"
    exit_code = 77  # EX_NOPERM


class WrongState(SylaError):
    code = "wrong_state"
    exit_code = 75  # EX_TEMPFAIL: another verb first


class Cancelled(SylaError):
    code = "cancelled"
    exit_code = 130  # as of a shell's Ctrl-C


class Conflict(SylaError):
    code = "conflict"
    retryable = True
    exit_code = 75


class Busy(Conflict):
    code = "busy"


class TooMany(SylaError):
    code = "too_many_requests"
    retryable = True
    exit_code = 75


class InsufficientResources(SylaError):
    code = "insufficient_resources"
    retryable = True
    exit_code = 75


class StoreFailed(SylaError):
    code = "store_failed"
    retryable = True
    exit_code = 74  # EX_IOERR


class StoreUnusable(StoreFailed):
    code = "store_unusable"
    retryable = False
    exit_code = 78  # EX_CONFIG


class ObjectsFailed(SylaError):
    code = "objects_failed"
    retryable = True
    exit_code = 74


class ObjectsRefused(ObjectsFailed):
    code = "objects_refused"
    retryable = False
    exit_code = 77


class ObjectMissing(ObjectsFailed):
    code = "object_missing"
    retryable = False


class ObjectExists(ObjectsFailed):
    code = "object_exists"
    retryable = False


class SnapshotDamaged(SylaError):
    code = "snapshot_damaged"
    exit_code = 74


class NoServer(SylaError):
    code = "no_server"
    retryable = True
    exit_code = 69  # EX_UNAVAILABLE


class AuditDamaged(SylaError):
    code = "audit_damaged"
    exit_code = 74


class KeyRefused(SylaError):
    code = "key_refused"
    exit_code = 77


class EngineError(SylaError):
    """The container engine refused or failed."""

    code = "engine_error"
    exit_code = 69  # EX_UNAVAILABLE


class EngineStopped(EngineError):
    code = "engine_stopped"
    retryable = True


class EngineForbidden(EngineError):
    code = "engine_forbidden"
    exit_code = 77  # EX_NOPERM


class NoSpace(EngineError):
    code = "no_space"


class ImageMissing(SylaError):
    code = "image_missing"
    exit_code = 69


class StartFailed(SylaError):
    code = "start_failed"


class WorkspaceLost(SylaError):
    code = "workspace_lost"
    retryable = True


class AgentError(SylaError):
    code = "agent_error"


class AgentTimeout(AgentError):
    code = "agent_timeout"
    retryable = True


class AgentRefused(AgentError):
    code = "agent_refused"
