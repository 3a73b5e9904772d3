"""What has to be known of an S3 service; checked here, so that settings that exist can be tried.

A relation that only the service knows (does the bucket exist, is the secret right) shows at the first request, as an
error that names the field of here (`s3_errors`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from ..model.errors import BadInput
from .base import check_key

PREFIX_MAX_BYTES = 24
"""A name may have 1024 bytes at S3, a key 1000."""
SLOW_CLASSES = {"GLACIER", "DEEP_ARCHIVE"}
"""Objects in these have to be asked for hours before they can be read."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")  # wider than Amazon's rule: others allow more
_WORD = re.compile(r"[A-Za-z0-9_:./-]*")


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class S3Settings:
    bucket: str
    prefix: str = ""
    """All keys are below it; without slashes at its ends."""
    endpoint_url: str = ""
    """Empty: Amazon's, or what boto3's configuration names."""
    region: str = ""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    """Whether the bucket is in the path or in the host's name; `auto` leaves it to boto3."""
    profile: str = ""
    """Of boto3's configuration files."""
    credentials: Credentials | None = None
    """None: boto3's chain: environment, files, the machine's role."""
    encryption: Literal["", "AES256", "aws:kms", "aws:kms:dsse"] = ""
    """By the service, on top of ours; empty: as the bucket says."""
    kms_key_id: str = ""
    storage_class: str = ""
    """Of packs. All else is small and read at each opening: it stays in the standard class."""
    checksums: Literal["when_required", "when_supported"] = "when_required"
    """Of boto3, on top of ours; many services refuse or ignore them."""
    ca_bundle: str = ""
    """A file of certificates to trust instead of the system's."""
    connections: int = 16
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    """Without one byte coming or going."""
    transfer_timeout_seconds: float = 900.0
    """For the whole of one object."""

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            raise BadInput("bucket", f"{self.bucket!r} is no bucket's name", "As in s3://my-bucket/prefix")
        if self.prefix:
            check_key(self.prefix)
        if len(self.prefix) > PREFIX_MAX_BYTES:
            raise BadInput("prefix", f"{self.prefix!r} is too long", f"{PREFIX_MAX_BYTES} characters at most")
        if self.endpoint_url:
            _check_url(self.endpoint_url)
        if self.addressing not in ("auto", "path", "virtual"):
            raise BadInput("addressing", f"{self.addressing!r} is unknown", "auto, path or virtual")
        if self.encryption not in ("", "AES256", "aws:kms", "aws:kms:dsse"):
            raise BadInput("encryption", f"{self.encryption!r} is unknown", "AES256, aws:kms or aws:kms:dsse")
        if self.kms_key_id and not self.encryption.startswith("aws:kms"):
            raise BadInput("kms_key_id", "a key without `encryption=aws:kms`", "Name both, or neither")
        if self.storage_class in SLOW_CLASSES:
            raise BadInput("storage_class", f"{self.storage_class} cannot be read at once", "For example GLACIER_IR")
        if self.checksums not in ("when_required", "when_supported"):
            raise BadInput("checksums", f"{self.checksums!r} is unknown", "when_required or when_supported")
        for name in ("region", "profile", "kms_key_id", "storage_class"):
            if not _WORD.fullmatch(getattr(self, name)):
                raise BadInput(name, f"{getattr(self, name)!r} has characters that no {name} has")
        if min(self.connect_timeout_seconds, self.read_timeout_seconds, self.transfer_timeout_seconds) <= 0:
            raise BadInput("read_timeout_seconds", "time limits are more than 0 seconds")

    @property
    def description(self) -> str:
        path = "/".join(filter(None, (self.bucket, self.prefix)))
        return f"s3://{path}" + (f" at {self.endpoint_url}" if self.endpoint_url else "")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    if not port_is_fine or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadInput("endpoint_url", f"{url[:200]!r} is no address", "As in https://s3.example.org:9000")
    if parts.username is not None or parts.password is not None:
        raise BadInput("endpoint_url", "it holds a name or a secret", "Give credentials by boto3's configuration")
