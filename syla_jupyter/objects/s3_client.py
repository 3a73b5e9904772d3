"""The boto3 client of our settings. It repeats nothing: `retry` does, for every store in one way.

Whole objects of up to 64 MiB go in one request; boto3's transfer manager took four times the processor time for that.
Over TLS a body is not signed: it would be read twice, and TLS keeps it whole.
"""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from .s3_settings import S3Settings


def make_client(settings: S3Settings) -> Any:
    """Safe for any thread; of one process."""
    given = settings.credentials
    session = boto3.session.Session(
        profile_name=settings.profile or None,
        region_name=settings.region or None,
        aws_access_key_id=given.access_key_id if given else None,
        aws_secret_access_key=given.secret_access_key if given else None,
        aws_session_token=(given.session_token or None) if given else None,
    )
    s3: dict[str, Any] = {}
    if settings.addressing != "auto":
        s3["addressing_style"] = settings.addressing
    if settings.endpoint_url.startswith("https:"):
        s3["payload_signing_enabled"] = False
    config = Config(
        signature_version="s3v4",
        s3=s3,
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        max_pool_connections=settings.connections,
        tcp_keepalive=True,
        request_checksum_calculation=settings.checksums,
        response_checksum_validation=settings.checksums,
    )
    return session.client(
        "s3",
        endpoint_url=settings.endpoint_url or None,
        region_name=session.region_name or "us-east-1",  # what services that have no regions expect in a signature
        verify=settings.ca_bundle or None,
        config=config,
    )


def is_amazon(client: Any) -> bool:
    """Whose promises are known."""
    host = str(client.meta.endpoint_url).removeprefix("https://").split("/")[0]
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
