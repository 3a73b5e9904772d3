"""Addresses of object stores: what they may say, and what they are told when they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.model.errors import BadInput
from syla_jupyter.objects.address import OPTIONS, parse
from syla_jupyter.objects.s3_settings import Credentials, S3Settings


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/var/lib/objects", Path("/var/lib/objects")),
        ("/with space/?#", Path("/with space/?#")),
        ("file:///var/lib/my%20objects", Path("/var/lib/my objects")),
        ("s3://bucket", S3Settings(bucket="bucket")),
        ("s3://bucket/", S3Settings(bucket="bucket")),
        ("s3://My_bucket.x/a/b/", S3Settings(bucket="My_bucket.x", prefix="a/b")),
        (
            "s3://b-1/p?endpoint_url=http://127.0.0.1:8333&region=eu-1&addressing=path",
            S3Settings("b-1", "p", endpoint_url="http://127.0.0.1:8333", region="eu-1", addressing="path"),
        ),
        (
            "s3://bucket?encryption=aws:kms&kms_key_id=alias/k&storage_class=STANDARD_IA&checksums=when_supported",
            S3Settings(
                "bucket",
                encryption="aws:kms",
                kms_key_id="alias/k",
                storage_class="STANDARD_IA",
                checksums="when_supported",
            ),
        ),
        (
            "s3://bucket?endpoint_url=https%3A%2F%2Fs3.example.org&profile=work&ca_bundle=/etc/own.pem",
            S3Settings("bucket", endpoint_url="https://s3.example.org", profile="work", ca_bundle="/etc/own.pem"),
        ),
    ],
)
def test_an_address_says_where(address: str, place: Path | S3Settings) -> None:
    """A directory or a bucket."""
    assert parse(address) == place


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("", "absolute path"),
        ("relative/path", "absolute path"),
        ("~/objects", "absolute path"),
        ("file://host/path", "kind of store"),
        ("gs://bucket", "gs"),
        ("s3://", "bucket"),
        ("s3://b", "bucket"),
        ("s3://b_u_c_k_e_t/UPPER", "key"),
        ("s3://bucket/a//b", "key"),
        ("s3://bucket/../x", "key"),
        ("s3://bucket/far-too-long-for-a-prefix", "too long"),
        ("s3://key:secret@bucket/x", "secret"),
        ("s3://bucket/x#y", "#"),
        ("s3://bucket?access_key_id=AK", "access_key_id"),
        ("s3://bucket?region", "name=value"),
        ("s3://bucket?region=a&region=b", "region"),
        ("s3://bucket?region=eu%0a1", "region"),
        ("s3://bucket?addressing=some", "addressing"),
        ("s3://bucket?encryption=rot13", "encryption"),
        ("s3://bucket?kms_key_id=k", "kms_key_id"),
        ("s3://bucket?storage_class=GLACIER", "storage_class"),
        ("s3://bucket?checksums=never", "checksums"),
        ("s3://bucket?endpoint_url=ftp://x", "endpoint_url"),
        ("s3://bucket?endpoint_url=http://x:99999", "endpoint_url"),
        ("s3://bucket?endpoint_url=https://user:pw@host", "endpoint_url"),
        ("s3://[bucket", "address"),
    ],
)
def test_a_bad_address_names_what_is_wrong(address: str, named: str) -> None:
    """And the setting that it is in."""
    with pytest.raises(BadInput) as raised:
        parse(address, field="snapshot_store")
    assert raised.value.field == "snapshot_store"
    assert named in str(raised.value)


@given(st.text(max_size=60), st.sampled_from(["", "s3://", "file://", "s3://bucket?", "s3://bucket/"]))
def test_any_text_is_an_address_or_bad_input(text: str, begin: str) -> None:
    """Nothing else happens."""
    try:
        parse(begin + text)
    except BadInput:
        pass


def test_every_option_is_a_field() -> None:
    """And none is a secret."""
    assert set(OPTIONS) <= set(S3Settings.__dataclass_fields__)
    assert "credentials" not in OPTIONS


def test_secrets_are_not_shown() -> None:
    """Neither in a description nor in a log that prints the settings."""
    settings = S3Settings("bucket", credentials=Credentials("AKID", "very-secret", "token-secret"))
    assert "secret" not in f"{settings.description} {settings!r}".replace("secret_access_key", "")
