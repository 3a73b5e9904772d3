"""What boto3 raises, in our words. Codes and types decide, never texts.

What the service will say again (wrong secret, no such bucket) is `ObjectsRefused`, with the field to look at; what may
pass is `ObjectsFailed`. A `HEAD` has no body, so its refusals come without a code, with the HTTP status alone.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Iterator
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from ..model.errors import ObjectExists, ObjectMissing, ObjectsFailed, ObjectsRefused

FOREIGN = (
    boto.BotoCoreError, boto.ClientError, ResponseParserError, HTTPError, http.client.HTTPException, OSError,
    KeyError, ValueError, TypeError,  # answers that lack what S3 promises
)  # fmt: skip
MISSING = {"NoSuchKey", "404", "NotFound"}
EXISTS = {"PreconditionFailed", "412"}
COLLIDED = {"ConditionalRequestConflict", "OperationAborted", "409"}
"""Another writer of that key is at work: look again."""
_RIGHTS_HINT = "This user needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"
_SECRET_HINT = "Check `secret_access_key`, and that both keys are of this service"
_REFUSED = {
    "NoSuchBucket": ("there is no such bucket", "Make it, or correct `bucket`"),
    "InvalidBucketName": ("that is no name of a bucket", "Correct `bucket`"),
    "InvalidAccessKeyId": ("the service does not know this access key", "Check `access_key_id` and `endpoint_url`"),
    "SignatureDoesNotMatch": ("the secret is wrong", _SECRET_HINT),
    "AccessDenied": ("this user may not do that", _RIGHTS_HINT),
    "403": ("this user may not do that", _RIGHTS_HINT),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "Set the clock, by NTP for example"),
    "ExpiredToken": ("the session token has expired", "Get a new `session_token`"),
    "InvalidToken": ("the session token is wrong", "Get a new `session_token`, or give none"),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", "Correct `region`"),
    "IllegalLocationConstraintException": ("the bucket is in another region", "Correct `region`"),
    "PermanentRedirect": ("the bucket is somewhere else", "Correct `region` or `endpoint_url`"),
    "301": ("the bucket is somewhere else", "Correct `region` or `endpoint_url`"),
    "InvalidObjectState": ("the object is in a class that is not read at once", "Restore it there, then try again"),
    "InvalidStorageClass": ("the service has no such class", "Correct `storage_class`"),
    "QuotaExceeded": ("there is no room", "Raise the quota at the service, or forget versions and prune"),
    "XMinioStorageFull": ("there is no room", "Free some space at the service, or forget versions and prune"),
    "InsufficientStorage": ("there is no room", "Free some space at the service, or forget versions and prune"),
    "507": ("there is no room", "Free some space at the service, or forget versions and prune"),
}
_PASSING = {
    "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout", "SlowDown",
    "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "InternalError", "OperationAborted",
    "ConditionalRequestConflict", "RequestTimeoutException",
}  # fmt: skip
_PASSING_STATUS = {408, 409, 425, 429}


@contextlib.contextmanager
def translate(doing: str, where: str) -> Iterator[None]:
    """`doing`: as in `could not {doing}`."""
    try:
        yield
    except FOREIGN as exc:
        raise translated(exc, f"could not {doing} ({where})") from exc


def translated(exc: BaseException, message: str) -> ObjectsFailed:
    if isinstance(exc, boto.ClientError):
        return _answered(exc, message)
    return _broken(exc, message)


def code_of(exc: boto.ClientError) -> str:
    return str(_error(exc).get("Code", ""))


def status_of(exc: boto.ClientError) -> int:
    try:
        return int(exc.response["ResponseMetadata"]["HTTPStatusCode"])
    except (KeyError, TypeError, ValueError):
        return 0


def _error(exc: boto.ClientError) -> dict[str, Any]:
    error = exc.response.get("Error")
    return error if isinstance(error, dict) else {}


def _answered(exc: boto.ClientError, message: str) -> ObjectsFailed:
    code, status = code_of(exc), status_of(exc)
    said = " ".join(part for part in (str(status or ""), code if code != str(status) else "") if part)
    if code in MISSING:
        return ObjectMissing(f"{message}: there is no such object")
    if code in EXISTS:
        return ObjectExists(f"{message}: there is one already")
    if code in _REFUSED:
        words, hint = _REFUSED[code]
        return ObjectsRefused(f"{message}: {words}", hint)
    if code.startswith("KMS."):
        return ObjectsRefused(f"{message}: the key management service said {code}", "Check `kms_key_id`")
    if code in _PASSING or status in _PASSING_STATUS or (status >= 500 and status != 501):
        return ObjectsFailed(f"{message}: the service said {said}", "Try again; look at the service if it goes on")
    text = str(_error(exc).get("Message", ""))[:200]
    return ObjectsRefused(
        f"{message}: the service said {said} {text}", "Check `endpoint_url` and the options beside it"
    )


def _broken(exc: BaseException, message: str) -> ObjectsFailed:
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            words = f"{message}: the service's certificate is not trusted ({cause.verify_message})"
            return ObjectsRefused(words, "Name its authority by `ca_bundle`, or correct the host in `endpoint_url`")
    if isinstance(exc, (boto.NoCredentialsError, boto.PartialCredentialsError)):
        hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the server, or name a `profile`"
        return ObjectsRefused(f"{message}: there are no credentials", hint)
    if isinstance(exc, boto.ProfileNotFound):
        return ObjectsRefused(f"{message}: boto3 has no such profile", "Correct `profile`")
    if isinstance(exc, (boto.NoRegionError, boto.InvalidRegionError)):
        return ObjectsRefused(f"{message}: the region is missing or wrong", "Correct `region`")
    if isinstance(exc, (boto.ParamValidationError, boto.InvalidConfigError, boto.ConfigParseError)):
        return ObjectsRefused(f"{message}: {_said(exc)}", "Check boto3's configuration and the options of the address")
    if isinstance(exc, boto.EndpointConnectionError):
        return ObjectsFailed(f"{message}: nothing answers there", "Check `endpoint_url`, and that the service runs")
    if isinstance(exc, (boto.ConnectTimeoutError, boto.ReadTimeoutError, TimeoutError)):
        return ObjectsFailed(f"{message}: no answer in time", "Try again; check the network and `endpoint_url`")
    if isinstance(exc, (KeyError, ValueError, TypeError, ResponseParserError)):
        hint = "Check that `endpoint_url` leads to an S3 service, with no proxy that answers instead"
        return ObjectsFailed(f"{message}: the answer is none of S3 ({type(exc).__name__})", hint)
    return ObjectsFailed(f"{message}: {_said(exc)}", "Try again; check the network if it goes on")


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """What led to it, also where a library packs causes into arguments."""
    pending: list[object] = [exc]
    for _ in range(20):
        if not pending:
            return
        current = pending.pop(0)
        if isinstance(current, BaseException):
            yield current
            kwargs = getattr(current, "kwargs", {})
            inner = [kwargs.get("error")] if isinstance(kwargs, dict) else []
            pending += [current.__cause__, current.__context__, getattr(current, "reason", None), *inner, *current.args]


def _said(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"[:300]
