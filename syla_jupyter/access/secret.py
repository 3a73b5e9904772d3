"""Secrets that people hold: made here, shown once, remembered as digests.

256 random bits need no slow hash: nobody finds them by trying. The prefix says what leaked, should one be found in a
file, and keeps a token from being taken for an invitation.
"""

from __future__ import annotations

import hashlib
import secrets

TOKEN_PREFIX = "syla_"
INVITATION_PREFIX = "sylainvite_"
SECRET_MAX = 200  # characters; longer ones are not looked at


def new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def new_invitation() -> str:
    return INVITATION_PREFIX + secrets.token_urlsafe(32)


def new_public_id() -> str:
    """Names a token or an invitation; no secret."""
    return secrets.token_hex(4)


def digest(secret: str) -> str:
    """64 hexadecimal digits. It is looked up in an index: the time that takes says nothing of the secret."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def looks_like(secret: str, prefix: str) -> bool:
    return secret.startswith(prefix) and len(secret) <= SECRET_MAX
