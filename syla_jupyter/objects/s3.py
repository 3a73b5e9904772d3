"""Objects at an S3 service, by boto3.

Each method is one request, or pages of them. Nothing is repeated here: wrap it in `RetryingObjects`. What the service
sends is checked for being what was asked for (length, an end, an `ETag`), not for being true.

Importing this module takes half a second, for boto3: only who has such a store does.

`if_absent` is `If-None-Match: *` on a `PUT` in one part: the one conditional request that the services which have any
keep in a race. Amazon's does; others are tried once per process (`race`), and where it is not kept, a `HEAD` before
the `PUT` is the best there is, and `conditional` says so.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from ..model.clock import Clock, SystemClock
from ..model.errors import BadInput, ObjectExists, ObjectMissing, ObjectsFailed
from .base import Data, ObjectInfo, check_key
from .race import one_wins
from .s3_body import BLOCK_BYTES, Body, read_body
from .s3_client import is_amazon, make_client
from .s3_errors import COLLIDED, EXISTS, MISSING, code_of, status_of, translate, translated
from .s3_order import start_after
from .s3_settings import S3Settings

ONE_PART_MAX_BYTES = 64 << 20
PART_BYTES = 32 << 20
PAGE = 1000  # of a list and of a deletion; S3's own limit
LOOKS = 5
"""At a key where another writer is at work."""
PACKS = "packs"
"""Keys with this segment are read seldom and get the storage class."""
LIST_MAX = 10_000_000
_UNKNOWN = {"NotImplemented", "InvalidArgument", "InvalidRequest", "501"}
"""Of a service that knows no conditional writes and says so."""
_ONE_BY_ONE = {400, 405, 501}
"""Of a service that does not know how to delete many objects in one request."""
_PARTS = ("Deleted", "Errors")  # of the answer to a deletion of several
_log = logging.getLogger(__name__)


class _Process:
    """What belongs to one process: connections, and locks that nobody held when it was forked."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.making, self.probing = threading.Lock(), threading.Lock()
        self.client: Any = None
        self.conditional: bool | None = None


class S3Objects:
    def __init__(self, settings: S3Settings, *, clock: Clock | None = None) -> None:
        self._settings, self._clock = settings, clock or SystemClock()
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._process = _Process()

    @property
    def description(self) -> str:
        return self._settings.description

    @property
    def conditional(self) -> bool:
        process = self._mine()
        with process.probing:
            if process.conditional is None:
                with self._translated("connect"):
                    amazon = is_amazon(self._client())
                process.conditional = amazon or one_wins(self._try_put, self._forget)
                if not process.conditional:
                    _log.warning("%s keeps no conditional writes: one process may write at a time", self.description)
            return process.conditional

    def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
        check_key(key)
        view = memoryview(data).cast("B")
        if if_absent and self.conditional:
            self._put_if_absent(key, view)
        elif if_absent and self._is_there(key):
            raise self._exists(key)
        elif len(view) <= ONE_PART_MAX_BYTES:
            with self._translated(f"write {key}"):
                self._put(key, view)
        else:
            with self._translated(f"write {key}"):
                self._put_in_parts(key, view)

    def get(self, key: str, *, start: int = 0, length: int | None = None, max_bytes: int = 1 << 30) -> bytes:
        check_key(key)
        if length is not None and length < 0:
            raise BadInput("length", f"{length} is negative", "A number of bytes, or None for all there are")
        if length == 0:
            self.head(key)
            return b""
        part = _range(start, length)
        with self._translated(f"read {key}"):
            try:
                response = self._client().get_object(**self._at(key), **({"Range": part} if part else {}))
            except ClientError as exc:
                if part and status_of(exc) == 416:
                    return b""
                raise
            _genuine(response)
            seconds = self._settings.transfer_timeout_seconds
            body = read_body(response, max_bytes=max_bytes, clock=self._clock, timeout_seconds=seconds)
            if response["ResponseMetadata"]["HTTPStatusCode"] == 206:
                return body if length is None else body[:length]
        begin = max(0, len(body) + start) if start < 0 else start  # a service that knows no ranges
        return body[begin : None if length is None else begin + length]

    def head(self, key: str) -> ObjectInfo:
        check_key(key)
        with self._translated(f"look at {key}"):
            return _info(key, self._client().head_object(**self._at(key)), "ContentLength")

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        if "/" in prefix:
            check_key(prefix.rpartition("/")[0])
        return self._list(prefix, after)

    def _list(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        """Read whole before the first is given: not every service sorts as the port says (`start_after`)."""
        found: dict[str, ObjectInfo] = {}
        with self._translated(f"list {prefix}"):
            client, asked = self._client(), {"Bucket": self._settings.bucket, "Prefix": self._prefix + prefix}
            begin = start_after(prefix, after)
            more = {"StartAfter": self._prefix + begin} if begin else {}
            while True:
                page, before = client.list_objects_v2(**asked, **more, MaxKeys=PAGE), len(found)
                for entry in page.get("Contents", ()):
                    key = str(entry["Key"]).removeprefix(self._prefix)
                    found[key] = _info(key, entry, "Size")
                if not page["IsTruncated"]:
                    break
                if len(found) == before or len(found) > LIST_MAX:
                    raise ValueError("a list without an end")
                more = {"ContinuationToken": page["NextContinuationToken"]}
        for key in sorted(found):
            if key.startswith(prefix) and key > after and _is_key(key):  # others may keep objects there
                yield found[key]

    def delete(self, keys: Iterable[str]) -> None:
        names = [self._prefix + check_key(key) for key in dict.fromkeys(keys)]
        with self._translated("delete objects"):
            for begin in range(0, len(names), PAGE):
                self._delete(names[begin : begin + PAGE])

    def close(self) -> None:
        process = self._mine()
        with process.making:
            client, process.client = process.client, None
        if client is not None:
            client.close()

    def _mine(self) -> _Process:
        """Two threads of a new process may each make one: no harm, one of them is used no more."""
        if self._process.pid != os.getpid():
            self._process = _Process()
        return self._process

    def _client(self) -> Any:
        process = self._mine()
        with process.making:
            if process.client is None:
                process.client = make_client(self._settings)
            return process.client

    def _translated(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return translate(doing, self.description)

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._settings.bucket, "Key": self._prefix + key}

    def _kept(self, key: str) -> dict[str, str]:
        """How the service is to keep it."""
        settings = self._settings
        options = {"ServerSideEncryption": settings.encryption, "SSEKMSKeyId": settings.kms_key_id}
        if PACKS in key.split("/"):
            options["StorageClass"] = settings.storage_class
        return {name: value for name, value in options.items() if value}

    def _put(self, key: str, view: memoryview, **options: str) -> None:
        """Small ones as bytes: a file makes the client wait for `100 Continue`, which pays for large ones only."""
        body: Any = Body(view) if len(view) > BLOCK_BYTES else bytes(view)
        _genuine(self._client().put_object(**self._at(key), **self._kept(key), Body=body, **options))

    def _put_if_absent(self, key: str, view: memoryview) -> None:
        for _ in range(LOOKS):
            with self._translated(f"write {key}"):
                try:
                    return self._put(key, view, IfNoneMatch="*")
                except ClientError as exc:
                    if code_of(exc) not in COLLIDED:
                        raise
            if self._is_there(key):
                raise self._exists(key)
        raise ObjectsFailed(f"could not write {key} ({self.description}): others are at work there", "Try again")

    def _put_in_parts(self, key: str, view: memoryview) -> None:
        client, at = self._client(), self._at(key)
        upload = client.create_multipart_upload(**at, **self._kept(key))["UploadId"]
        try:
            parts = []
            for number, begin in enumerate(range(0, len(view), PART_BYTES), start=1):
                body = Body(view[begin : begin + PART_BYTES])
                part = client.upload_part(**at, UploadId=upload, PartNumber=number, Body=body)
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
            _genuine(client.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": parts}))
        except BaseException:
            with contextlib.suppress(ObjectsFailed), self._translated("abort"):
                client.abort_multipart_upload(**at, UploadId=upload)
            raise

    def _delete(self, names: Sequence[str]) -> None:
        """Said to be gone is not gone until the service has named it: what is deleted may be a key."""
        client, bucket = self._client(), self._settings.bucket
        if len(names) > 1:
            try:
                answer = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names]})
            except ClientError as exc:
                if status_of(exc) not in _ONE_BY_ONE:
                    raise
            else:
                for error in answer.get("Errors", ()):
                    if error.get("Code") not in MISSING:
                        raise ClientError({"Error": error}, "DeleteObjects")
                if missing := set(names) - {entry["Key"] for part in _PARTS for entry in answer.get(part, ())}:
                    raise ValueError(f"{len(missing)} objects without a word")
                return
        for name in names:
            with contextlib.suppress(client.exceptions.NoSuchKey):
                answer = client.delete_object(Bucket=bucket, Key=name)
                if answer["ResponseMetadata"]["HTTPStatusCode"] != 204:
                    raise ValueError("not deleted")

    def _is_there(self, key: str) -> bool:
        try:
            self.head(key)
        except ObjectMissing:
            return False
        return True

    def _exists(self, key: str) -> ObjectExists:
        return ObjectExists(f"there is an object {key} in {self.description} already")

    def _try_put(self, key: str, data: bytes) -> bool:
        try:
            self._put(key, memoryview(data), IfNoneMatch="*")
        except ClientError as exc:
            if code_of(exc) in EXISTS | COLLIDED | _UNKNOWN:
                return False
            raise translated(exc, f"could not try conditional writes ({self.description})") from exc
        return True

    def _forget(self, key: str) -> None:
        """Of a probe: an object that stays does no harm."""
        with contextlib.suppress(ObjectsFailed):
            self.delete([key])


def _range(start: int, length: int | None) -> str:
    """For the header; a suffix may be longer than what was asked for, and is cut."""
    if start < 0:
        return f"bytes={start}"
    if length is not None:
        return f"bytes={start}-{start + length - 1}"
    return f"bytes={start}-" if start else ""


def _info(key: str, answer: Any, size: str) -> ObjectInfo:
    return ObjectInfo(key, int(answer[size]), float(answer["LastModified"].timestamp()))


def _genuine(answer: Any) -> None:
    """A proxy's friendly page is neither an object nor the news that one was written."""
    if not answer.get("ETag"):
        raise ValueError("no ETag")


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except BadInput:
        return False
    return True
