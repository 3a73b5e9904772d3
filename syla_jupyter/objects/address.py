"""Where objects are kept, as one line: `s3://bucket/prefix?endpoint_url=https://…&region=…`, `file:///path`, `/path`.

An address holds no secret: it is shown, logged and kept in configuration. Credentials come by boto3's own ways.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ..model.errors import BadInput
from .s3_settings import S3Settings

OPTIONS = (
    "endpoint_url", "region", "addressing", "profile", "encryption", "kms_key_id", "storage_class", "checksums",
    "ca_bundle",
)  # fmt: skip
"""Of an S3 address, after `?`: fields of `S3Settings`."""
FORMS = "s3://bucket/prefix?endpoint_url=https://…&region=…, or an absolute path"


def parse(address: str, *, field: str = "address") -> Path | S3Settings:
    """A directory, or a bucket; `BadInput` names `field`, and the option where it is one."""
    scheme = address.partition("://")[0] if "://" in address else ""
    try:
        parts = urlsplit(address) if scheme else None
    except ValueError as exc:
        raise BadInput(field, f"{address[:200]!r} is no address", FORMS) from exc
    if parts is None:
        return _directory(address, field)
    if parts.scheme == "file" and not parts.netloc and not parts.query and not parts.fragment:
        return _directory(unquote(parts.path), field)
    if parts.scheme != "s3":
        raise BadInput(field, f"{scheme[:20]!r} is no kind of store", FORMS)
    if "@" in parts.netloc:
        raise BadInput(field, "it holds a name or a secret", "Give credentials by boto3's environment or files")
    if parts.fragment:
        raise BadInput(field, "it has something behind a #", FORMS)
    try:
        return S3Settings(bucket=parts.netloc, prefix=unquote(parts.path).strip("/"), **_options(parts.query, field))
    except BadInput as exc:
        if exc.field == field:
            raise
        raise BadInput(field, exc.message, exc.hint) from exc


def _options(query: str, field: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(query, strict_parsing=True, max_num_fields=50) if query else []
    except ValueError as exc:
        raise BadInput(field, f"{query[:200]!r} is no list of name=value", FORMS) from exc
    options: dict[str, Any] = {}
    for name, value in pairs:
        if name not in OPTIONS:
            raise BadInput(field, f"{name[:50]!r} is no option", f"Known are {', '.join(OPTIONS)}")
        if name in options:
            raise BadInput(field, f"{name} is there twice")
        options[name] = value
    return options


def _directory(path: str, field: str) -> Path:
    if not path.startswith("/") or "\0" in path:
        raise BadInput(field, f"{path[:200]!r} is no absolute path", FORMS)
    return Path(path)
