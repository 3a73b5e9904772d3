"""The one map from errors to answers: a status for each class of the tree, one shape for the body.

    {"error": {"code": "wrong_state", "message": "…", "hint": "…", "retryable": false, "field": null}}

5xx says that we, the engine or the database failed; whatever a workspace's owner can bring about is 4xx, also where
it is about capacity. What is not of our tree is a bug: the log gets it, the answer says nothing of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from tornado.web import HTTPError

from ..model import errors as tree
from ..model.errors import BadInput, SylaError
from ..model.workspace import readable_bytes
from .wire import ErrorAnswer, ErrorBody

_log = logging.getLogger("syla.server")
SHOWN_MAX = 100  # characters of a name that somebody made up

STATUS: Mapping[type[SylaError], int] = {
    tree.SylaError: 500,
    tree.BadInput: 400,
    tree.UnknownWorkspace: 404,
    tree.UnknownTemplate: 400,
    tree.BadPath: 400,
    tree.NameTaken: 409,
    tree.NotConfirmed: 409,
    tree.WrongState: 409,
    tree.Cancelled: 409,
    tree.Conflict: 409,
    tree.Busy: 409,
    tree.TooMany: 429,
    tree.InsufficientResources: 409,
    tree.UnknownVersion: 404,
    tree.UnknownUser: 404,
    tree.UnknownTeam: 404,
    tree.UnknownInvitation: 404,
    tree.UnknownExecution: 404,
    tree.UnknownOperation: 404,
    tree.Forbidden: 403,
    tree.NoServer: 503,
    tree.AuditDamaged: 502,
    tree.StoreFailed: 503,
    tree.StoreUnusable: 503,
    tree.ObjectsFailed: 503,
    tree.ObjectsRefused: 503,
    tree.ObjectMissing: 502,
    tree.ObjectExists: 409,
    tree.SnapshotDamaged: 502,
    tree.KeyRefused: 503,
    tree.EngineError: 502,
    tree.EngineStopped: 503,
    tree.EngineForbidden: 503,
    tree.NoSpace: 507,
    tree.ImageMissing: 503,
    tree.StartFailed: 502,
    tree.WorkspaceLost: 409,
    tree.AgentError: 502,
    tree.AgentTimeout: 504,
    tree.AgentRefused: 502,
}
PLAIN: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", ""),
    401: ("not_logged_in", "Send `Authorization: token …`"),
    403: ("forbidden", "Log in, or ask for the permission; from a browser, send the `X-XSRFToken` header too"),
    404: ("not_found", "openapi.json lists the addresses"),
    405: ("method_not_allowed", "The `Allow` header names those that are"),
    412: ("precondition_failed", "Read it again, then decide"),
    413: ("too_large", "Send less"),
    415: ("unsupported_media_type", "Send `Content-Type: application/json`"),
    429: ("too_many_requests", "Wait a minute; a token that was made for you is always looked at"),
    426: ("upgrade_required", "Open it as a websocket"),
    500: ("internal", "The server's log says more"),
}
"""Of answers that no error of the tree stands for: (code, hint)."""
MESSAGES = {
    403: "not allowed",
    404: "there is nothing at this address",
}


def describe(error: BaseException, *, log: bool = True) -> tuple[int, ErrorAnswer]:
    """(status, body). Never shows what a bug, or another library, has to say. `log`: it is written there."""
    if isinstance(error, SylaError):
        kind = next(cls for cls in type(error).__mro__ if cls in STATUS)
        field = error.field if isinstance(error, BadInput) else None
        # The class's own code: an instance may carry one that the agent made up.
        return STATUS[kind], _answer(type(error).code, error.message, error.hint, type(error).retryable, field)
    if isinstance(error, HTTPError):
        return error.status_code, plain(error.status_code, _said(error))
    if log:
        _log.error("a request failed", exc_info=error)
    return 500, plain(500)


def plain(status: int, message: str | None = None) -> ErrorAnswer:
    code, hint = PLAIN.get(status, (_phrase(status).lower().replace(" ", "_"), ""))
    return _answer(code, message or MESSAGES.get(status) or _phrase(status).lower(), hint, status in (429, 503), None)


def bad_field(exc: ValidationError, what: type) -> BadInput:
    """The first thing that is wrong with a request, without what was sent: it may be secret, or long."""
    first = exc.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part)[:SHOWN_MAX] for part in first["loc"][:8]) or "body"
    if first["type"] == "extra_forbidden":
        known = ", ".join(getattr(what, "model_fields", {})) or "none"
        return BadInput(field, "there is no such field", f"Fields here: {known}" if len(first["loc"]) == 1 else "")
    more = exc.error_count() - 1
    said = _bound(field, first.get("ctx") or {}) or first["msg"][:500]
    return BadInput(field, said, f"{more} more of the fields are wrong" if more else "")


def _bound(field: str, context: Mapping[str, Any]) -> str:
    """Of a number that is out of its bounds, which are ours; bytes in the unit that a person would choose."""
    for name, said in {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}.items():
        if isinstance(bound := context.get(name), int | float):
            return f"give {said} {readable_bytes(int(bound)) if field.endswith('_bytes') else bound}"
    return ""


def _answer(code: str, message: str, hint: str, retryable: bool, field: str | None) -> ErrorAnswer:
    body = ErrorBody(code=code, message=_text(message), hint=_text(hint), retryable=retryable, field=field)
    return ErrorAnswer(error=body)


def _said(error: HTTPError) -> str | None:
    try:
        return str(error.log_message) % error.args if error.log_message else None
    except (TypeError, ValueError):
        return None


def _text(text: str) -> str:
    """As it can be sent: half a surrogate pair, which a container may answer with, cannot."""
    return text[:4000].encode(errors="replace").decode()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "error"
