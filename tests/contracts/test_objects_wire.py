"""What happens between us and a real S3 server when the network, a proxy or the server itself is in trouble.

moto is not asked besides. It looks at no signature and no checksum, so a request that it likes proves little; whatever
its hooks could answer in a server's place, the proxy answers in front of a real one, which then shows what it has done.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from syla_jupyter.model.errors import ObjectExists, ObjectMissing, ObjectsFailed, ObjectsRefused
from syla_jupyter.objects.address import parse
from syla_jupyter.objects.base import ObjectStore
from syla_jupyter.objects.retry import RetryingObjects
from syla_jupyter.objects.s3 import S3Objects
from syla_jupyter.objects.s3_settings import S3Settings
from syla_jupyter.testing.seaweed import Seaweed

from ..fault_proxy import FaultProxy, Spoil, Status, running_proxy

MIB = 1 << 20
BIG, DATA = os.urandom(3 * MIB), os.urandom(100_000)
OPERATIONS: tuple[tuple[str, Callable[[ObjectStore], object], object, dict[str, int]], ...] = (
    # name, what is done, what it gives, what is there afterwards
    ("put", lambda objects: objects.put("a/2", BIG), None, {"a/1": 100_000, "a/2": len(BIG)}),
    ("put small", lambda objects: objects.put("a/3", b"3"), None, {"a/1": 100_000, "a/2": len(BIG), "a/3": 1}),
    ("get", lambda objects: objects.get("a/1"), DATA, {}),
    ("get part", lambda objects: objects.get("a/1", start=1000, length=70_000), DATA[1000:71_000], {}),
    ("head", lambda objects: objects.head("a/1").size_bytes, len(DATA), {}),
    ("list", lambda objects: [entry.key for entry in objects.list("a/")], ["a/1", "a/2", "a/3"], {}),
    ("delete", lambda objects: objects.delete(["a/3"]), None, {"a/1": 100_000, "a/2": len(BIG)}),
    ("delete two", lambda objects: objects.delete(["a/1", "a/2"]), None, {}),
)
SPOILS: tuple[Spoil | Status, ...] = (*Spoil, Status(500, "InternalError"), Status(503, "SlowDown"))
WITHOUT_BODY = ("put", "put small", "head", "delete")


def sizes(objects: ObjectStore) -> dict[str, int]:
    return {entry.key: entry.size_bytes for entry in objects.list("a/")}


@pytest.fixture(scope="module")
def settings(seaweed: Seaweed) -> S3Settings:
    place = parse(seaweed.make_bucket("wire"))
    assert isinstance(place, S3Settings)
    return dataclasses.replace(place, credentials=seaweed.credentials, connect_timeout_seconds=3)


@pytest.fixture(scope="module")
def one_proxy(seaweed: Seaweed) -> Iterator[FaultProxy]:
    with running_proxy(seaweed.port) as proxy:
        yield proxy


@pytest.fixture
def proxy(one_proxy: FaultProxy) -> Iterator[FaultProxy]:
    one_proxy.always(None)
    one_proxy.seen.clear()
    yield one_proxy
    one_proxy.always(None)


@pytest.fixture
def proxied(settings: S3Settings, proxy: FaultProxy) -> S3Settings:
    return dataclasses.replace(settings, endpoint_url=proxy.url, prefix=f"wire/{secrets.token_hex(4)}")


@pytest.fixture(scope="module")
def pair(settings: S3Settings, one_proxy: FaultProxy) -> tuple[S3Objects, S3Objects]:
    """The same objects through the proxy, with little time for an answer, and without it."""
    there = dataclasses.replace(settings, prefix=f"wire/{secrets.token_hex(4)}")
    spoiled = dataclasses.replace(there, endpoint_url=one_proxy.url, read_timeout_seconds=2)
    return S3Objects(spoiled), S3Objects(there)


@pytest.fixture
def spoiled(pair: tuple[S3Objects, S3Objects], proxy: FaultProxy) -> S3Objects:
    return pair[0]


@pytest.fixture
def direct(pair: tuple[S3Objects, S3Objects]) -> S3Objects:
    pair[1].put("a/1", DATA)
    pair[1].delete(["a/2", "a/3"])
    return pair[1]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.name)
def test_one_failure_changes_nothing(
    spoiled: S3Objects, proxy: FaultProxy, direct: S3Objects, spoil: Spoil | Status
) -> None:
    """For each operation: result and store are as if nothing had been."""
    objects = RetryingObjects(spoiled, wait=lambda seconds: None)
    for name, perform, result, left in OPERATIONS:
        if spoil is not Spoil.HANG or name == "get":  # each takes its time
            proxy.first(spoil)
        assert perform(objects) == result, name
        if result is None:
            assert sizes(direct) == left, name


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.name)
def test_a_lasting_failure_is_one_of_ours(
    spoiled: S3Objects, proxy: FaultProxy, direct: S3Objects, spoil: Spoil | Status
) -> None:
    """Worth another try, and the store has either all of it or nothing."""
    proxy.always(spoil)
    for name, perform, _, _ in OPERATIONS:
        if spoil is Spoil.HALF_ANSWER and name in WITHOUT_BODY:
            continue
        if spoil is Spoil.HANG and name != "put":
            continue
        with pytest.raises(ObjectsFailed) as raised:
            perform(spoiled)
        assert raised.value.retryable, name
    left = sizes(direct)
    whole = {"a/1": len(DATA), "a/2": len(BIG), "a/3": 1}
    assert left.items() <= whole.items()
    assert left == {"a/1": len(DATA)} or spoil in (Spoil.RESET_AFTER, Spoil.HALF_ANSWER)


def test_a_commit_whose_answer_was_lost_is_there(spoiled: S3Objects, proxy: FaultProxy, direct: S3Objects) -> None:
    """The writer is told that there is one, and it is its own."""
    objects = RetryingObjects(spoiled, wait=lambda seconds: None)
    assert objects.conditional
    proxy.first(Spoil.RESET_AFTER, method="PUT")
    with pytest.raises(ObjectExists):
        objects.put("log/1", b"mine", if_absent=True)
    assert direct.get("log/1") == b"mine"


def test_a_colliding_commit_is_looked_at_again(spoiled: S3Objects, proxy: FaultProxy, direct: S3Objects) -> None:
    """409: another writer is at work there, and may have won or not."""
    objects = spoiled
    assert objects.conditional
    proxy.first(Status(409, "ConditionalRequestConflict"), method="PUT")
    objects.put("log/3", b"first", if_absent=True)
    proxy.first(Status(409, "ConditionalRequestConflict"), method="PUT")
    with pytest.raises(ObjectExists):
        objects.put("log/3", b"second", if_absent=True)
    proxy.plan = lambda seen: Status(409, "ConditionalRequestConflict") if seen.method == "PUT" else None
    with pytest.raises(ObjectsFailed) as raised:
        objects.put("log/4", b"third", if_absent=True)
    assert raised.value.retryable
    assert [entry.key for entry in direct.list("log/", after="log/2")] == ["log/3"]


def test_parts_of_a_failed_object_are_taken_back(
    seaweed: Seaweed, settings: S3Settings, proxied: S3Settings, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object is not there, nor an upload that nobody ends."""
    monkeypatch.setattr("syla_jupyter.objects.s3.ONE_PART_MAX_BYTES", 5 * MIB)
    monkeypatch.setattr("syla_jupyter.objects.s3.PART_BYTES", 5 * MIB)
    objects = S3Objects(proxied)
    proxy.plan = lambda seen: Status(500, "InternalError") if "partNumber=2" in seen.path else None
    with pytest.raises(ObjectsFailed):
        objects.put("a", bytes(11 * MIB))
    assert any(seen.method == "DELETE" and "uploadId" in seen.path for seen in proxy.seen)
    uploads = seaweed.client().list_multipart_uploads(Bucket=settings.bucket, Prefix=proxied.prefix)
    assert not uploads.get("Uploads")
    with pytest.raises(ObjectMissing):
        objects.head("a")


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (Status(403, "RequestTimeTooSkewed"), ObjectsRefused, "clock"),
        (Status(403, "AccessDenied"), ObjectsRefused, "s3:PutObject"),
        (Status(400, "ExpiredToken"), ObjectsRefused, "session_token"),
        (Status(400, "AuthorizationHeaderMalformed"), ObjectsRefused, "region"),
        (Status(403, "InvalidObjectState"), ObjectsRefused, "class"),
        (Status(400, "KMS.NotFoundException"), ObjectsRefused, "kms_key_id"),
        (Status(507, "InsufficientStorage"), ObjectsRefused, "room"),
        (Status(400, "InvalidArgument"), ObjectsRefused, "InvalidArgument"),
        (Status(400, "BadDigest"), ObjectsFailed, "BadDigest"),
        (Status(429, "TooManyRequests"), ObjectsFailed, "429"),
        (Status(500, "InternalError"), ObjectsFailed, "500"),
        (Status(503, "SlowDown"), ObjectsFailed, "SlowDown"),
        (Status(504, "GatewayTimeout"), ObjectsFailed, "504"),
        (Status(412, "PreconditionFailed"), ObjectExists, "already"),
        (Status(404, "NoSuchKey"), ObjectMissing, "no such object"),
    ],
    ids=lambda value: value.name if isinstance(value, Status) else "",
)
def test_answers_are_understood(
    spoiled: S3Objects, proxy: FaultProxy, status: Status, error: type[ObjectsFailed], said: str
) -> None:
    """By their code, for what may pass and what will not."""
    proxy.always(status)
    with pytest.raises(error) as raised:
        spoiled.put("a", b"")
    assert type(raised.value) is error
    assert said in str(raised.value)


def test_a_service_without_conditional_writes_is_found_out(
    settings: S3Settings, proxied: S3Settings, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, loudly; then a look before each write is the best there is."""
    proxy.plan = lambda seen: Status(501, "NotImplemented") if "/probe/" in seen.path else None
    objects = S3Objects(proxied)
    objects.put("a", b"one", if_absent=True)
    with pytest.raises(ObjectExists):
        objects.put("a", b"two", if_absent=True)
    assert not objects.conditional
    assert len([seen for seen in proxy.seen if seen.method == "PUT" and "/probe/" in seen.path]) <= 5
    assert caplog.text.count("keeps no conditional writes") == 1
    assert objects.get("a") == b"one"


def test_the_probe_is_made_once_and_leaves_nothing(
    settings: S3Settings, proxied: S3Settings, proxy: FaultProxy
) -> None:
    """However many threads ask for it first."""
    objects = S3Objects(proxied)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: objects.conditional, range(4))) == [True] * 4
    assert len([seen for seen in proxy.seen if seen.method == "PUT"]) == 5
    assert list(objects.list("")) == []
