"""Objects at a real S3 server: the contract, what only S3 has, and what an operator is told when it does not work."""

from __future__ import annotations

import dataclasses
import os
import secrets
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from syla_jupyter.model.errors import ObjectsFailed, ObjectsRefused
from syla_jupyter.objects.address import parse
from syla_jupyter.objects.base import ObjectStore
from syla_jupyter.objects.metered import MeteredObjects, Request
from syla_jupyter.objects.retry import RetryingObjects
from syla_jupyter.objects.s3 import ONE_PART_MAX_BYTES, PART_BYTES, S3Objects
from syla_jupyter.objects.s3_settings import Credentials, S3Settings
from syla_jupyter.testing.objects_contract import ObjectsContract, OpenAgain
from syla_jupyter.testing.seaweed import Seaweed

MIB = 1 << 20


@pytest.fixture(scope="module")
def settings(seaweed: Seaweed) -> S3Settings:
    place = parse(seaweed.make_bucket("contract"))
    assert isinstance(place, S3Settings)
    return dataclasses.replace(
        place, prefix="below/here", credentials=seaweed.credentials, connect_timeout_seconds=3, read_timeout_seconds=30
    )


@pytest.fixture
def area() -> str:
    return f"area/{secrets.token_hex(8)}"


class TestS3(ObjectsContract):
    @pytest.fixture
    def open_again(self, settings: S3Settings) -> Iterator[OpenAgain]:
        opened: list[S3Objects] = []

        def open_() -> ObjectStore:
            opened.append(S3Objects(settings))
            return opened[-1]

        yield open_
        for store in opened:
            store.close()


def test_lists_and_deletions_have_pages(settings: S3Settings, area: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More keys than one request may name."""
    monkeypatch.setattr("syla_jupyter.objects.s3.PAGE", 10)
    objects = S3Objects(settings)
    keys = [f"{area}/{number:02}" for number in range(35)]
    for key in keys:
        objects.put(key, b"x")
    assert [entry.key for entry in objects.list(f"{area}/")] == keys
    assert [entry.key for entry in objects.list(f"{area}/", after=keys[11])] == keys[12:]
    objects.delete(keys)
    assert list(objects.list(f"{area}/")) == []


def test_very_large_objects_go_in_parts(seaweed: Seaweed, settings: S3Settings, area: str) -> None:
    """And come back by any range; nothing half is left of one that failed."""
    objects, size = S3Objects(settings), ONE_PART_MAX_BYTES + 12345
    block = os.urandom(MIB)
    data = (block * (size // MIB + 1))[:size]
    objects.put(f"{area}/a", data)
    tag = seaweed.client().head_object(Bucket=settings.bucket, Key=f"{settings.prefix}/{area}/a")["ETag"]
    assert tag.endswith(f'-{size // PART_BYTES + 1}"')
    for start in (0, PART_BYTES - 1000, 2 * PART_BYTES - 1000, size - 2000):
        assert objects.get(f"{area}/a", start=start, length=2000) == data[start : start + 2000]
    assert objects.get(f"{area}/a") == data
    objects.delete([f"{area}/a"])


def test_packs_are_not_copied_on_their_way(settings: S3Settings, area: str) -> None:
    """Memory of a `put` is a few blocks, whatever the object's size."""
    objects, data = S3Objects(settings), bytearray(48 * MIB)
    objects.put(f"{area}/warm", b"")
    tracemalloc.start()
    try:
        objects.put(f"{area}/a", memoryview(data))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
    objects.delete([f"{area}/a"])


def test_how_it_is_kept(seaweed: Seaweed, settings: S3Settings, area: str) -> None:
    """The storage class is of packs alone, encryption of everything; keys are below the prefix."""
    objects = S3Objects(dataclasses.replace(settings, storage_class="STANDARD_IA", encryption="AES256"))
    client, heads = seaweed.client(), {}
    for name in ("packs/00/aa", "log/00000001", "config"):
        objects.put(f"{area}/{name}", b"x")
        heads[name] = client.head_object(Bucket=settings.bucket, Key=f"{settings.prefix}/{area}/{name}")
    assert [head.get("StorageClass", "STANDARD") for head in heads.values()] == ["STANDARD_IA", "STANDARD", "STANDARD"]
    assert [head.get("ServerSideEncryption") for head in heads.values()] == ["AES256"] * 3


def test_what_others_keep_in_the_bucket_is_not_ours(seaweed: Seaweed, settings: S3Settings, area: str) -> None:
    """Beside the prefix, and below it with names that are no keys."""
    objects, client = S3Objects(settings), seaweed.client()
    for name in (f"{settings.prefix}x/{area}", f"{settings.prefix}/{area}/READ ME", f"{settings.prefix}/{area}/a"):
        client.put_object(Bucket=settings.bucket, Key=name, Body=b"")
    assert [entry.key for entry in objects.list(f"{area}/")] == [f"{area}/a"]
    assert [entry.key for entry in objects.list("") if area in entry.key] == [f"{area}/a"]


def test_over_tls_bodies_are_not_signed(
    seaweed: Seaweed, settings: S3Settings, area: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is checked, by the authority that the settings name; large and small bodies arrive whole."""
    trusted = dataclasses.replace(settings, endpoint_url=seaweed.https_url, ca_bundle=str(seaweed.certificate))
    objects = S3Objects(trusted)
    sent: list[str] = []

    def note(request: Any, **_: object) -> None:
        value = request.headers["X-Amz-Content-SHA256"]
        sent.append(value.decode() if isinstance(value, bytes) else value)

    objects._client().meta.events.register("before-send.s3.PutObject", note)
    data = os.urandom(3 * MIB)
    for name, body in (("a", data), ("b", b"small")):
        objects.put(f"{area}/{name}", body)
        assert objects.get(f"{area}/{name}") == body
    assert sent == ["UNSIGNED-PAYLOAD"] * 2
    with pytest.raises(ObjectsRefused) as raised:
        S3Objects(dataclasses.replace(trusted, ca_bundle="")).head("a")
    assert "certificate" in raised.value.message
    assert "ca_bundle" in raised.value.hint


def with_(**changes: Any) -> Callable[[S3Settings], S3Settings]:
    return lambda settings: dataclasses.replace(settings, **changes)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (with_(bucket="no-such-bucket"), "bucket"),
        (with_(credentials=Credentials("AKTEST1234567890", "wrong")), "secret_access_key"),
        (with_(credentials=Credentials("AKUNKNOWN", "wrong")), "access_key_id"),
        (with_(credentials=None, profile="no-such-profile"), "profile"),
        (with_(credentials=None), "AWS_ACCESS_KEY_ID"),
    ],
    ids=["bucket", "secret", "access key", "profile", "no credentials"],
)
def test_what_is_set_wrong_is_named(
    settings: S3Settings, change: Callable[[S3Settings], S3Settings], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For good: it is not tried again, and no secret is in what is said."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    requests: list[Request] = []
    objects = RetryingObjects(MeteredObjects(S3Objects(change(settings)), requests.append))
    with pytest.raises(ObjectsRefused) as raised:
        objects.get("a")
    assert field in raised.value.hint
    assert settings.endpoint_url in raised.value.message
    assert len(requests) == 1
    assert "sksecret" not in str(raised.value)


def test_a_service_that_is_not_there_may_come(settings: S3Settings) -> None:
    """It is tried again by who has patience; the address is named."""
    with pytest.raises(ObjectsFailed) as raised:
        S3Objects(dataclasses.replace(settings, endpoint_url="http://127.0.0.1:9")).get("a")
    assert raised.value.retryable
    assert "endpoint_url" in raised.value.hint
