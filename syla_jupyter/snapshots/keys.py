"""Master keys: what the data keys of workspaces are wrapped with.

A wrap is a small mapping of strings that stands in the repository's config. It is bound to the workspace's id, so the
config of one workspace is of no use to another. AES-GCM alone does not commit to its key: a keyed hash over the wrap
is checked first.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..model.errors import KeyRefused, ObjectsFailed

KEY_BYTES = 32
_CONTEXT = "syla-jupyter master key 2026-11 "
_NONCE = bytes(12)
_FILE_MAX_BYTES = 4096


class MasterKey(ABC):
    """Wraps data keys; made by `from_file`, `from_environment` or `KMS`."""

    kind: str
    id: str
    """Tells keys apart; says nothing about the key."""

    @abstractmethod
    def wrap(self, data_key: bytes, workspace_id: str) -> dict[str, str]: ...

    @abstractmethod
    def unwrap(self, wrap: Mapping[str, str], workspace_id: str) -> bytes:
        """`KeyRefused` when it was wrapped by another key, for another workspace, or changed since."""

    @staticmethod
    def from_file(path: Path, *, create: bool = False) -> LocalKey:
        """64 hexadecimal digits in a file that only its owner reads; `create` makes one where there is none."""
        if create:
            _create_key_file(path)
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(_FILE_MAX_BYTES)
        except OSError as exc:
            raise KeyRefused(f"The master key cannot be read from {path}: {exc.strerror}", _WHERE) from exc
        if stat.S_IMODE(mode) & 0o077:
            raise KeyRefused(f"The master key {path} can be read by others", f"chmod 600 {path}")
        return LocalKey(_parse(text.decode("ascii", "replace"), f"The file {path}"))

    @staticmethod
    def from_environment(value: str) -> LocalKey:
        """The value of a variable: 64 hexadecimal digits, or 32 bytes in base64."""
        return LocalKey(_parse(value, "SYLA_MASTER_KEY"))


class LocalKey(MasterKey):
    kind = "local"

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 random bytes."""
        if len(secret) != KEY_BYTES:
            raise KeyRefused(f"A master key has {KEY_BYTES} bytes, not {len(secret)}", "openssl rand -hex 32")
        self._wrapping = blake3(secret, derive_key_context=_CONTEXT + "wrapping").digest()
        self._checking = blake3(secret, derive_key_context=_CONTEXT + "checking").digest()
        self.id = blake3(secret, derive_key_context=_CONTEXT + "id").digest(8).hex()

    def wrap(self, data_key: bytes, workspace_id: str) -> dict[str, str]:
        salt = os.urandom(KEY_BYTES)
        sealed = self._cipher(salt).encrypt(_NONCE, data_key, workspace_id.encode())
        check = self._check(salt, sealed, workspace_id)
        return {"kind": self.kind, "id": self.id, "salt": salt.hex(), "sealed": sealed.hex(), "check": check.hex()}

    def unwrap(self, wrap: Mapping[str, str], workspace_id: str) -> bytes:
        if wrap.get("kind") != self.kind or wrap.get("id") != self.id:
            raise KeyRefused(
                f"This repository was made with the master key {wrap.get('id')!s:.40}, not with {self.id}",
                "Use the key file or SYLA_MASTER_KEY of the installation that made it",
            )
        try:
            salt, sealed, check = (bytes.fromhex(wrap[name]) for name in ("salt", "sealed", "check"))
            if not hmac.compare_digest(check, self._check(salt, sealed, workspace_id)):
                raise KeyRefused(f"The key in the config of {workspace_id} was made for something else, or changed")
            return self._cipher(salt).decrypt(_NONCE, sealed, workspace_id.encode())
        except (KeyError, TypeError, ValueError, InvalidTag):
            raise KeyRefused(f"The key in the config of {workspace_id} is damaged") from None

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(blake3(salt, key=self._wrapping).digest())

    def _check(self, salt: bytes, sealed: bytes, workspace_id: str) -> bytes:
        return blake3(salt + sealed + workspace_id.encode(), key=self._checking).digest()


class KMS(MasterKey):
    """A key that never leaves its service. `client`: boto3's for `kms`; `key_id`: id, ARN or alias."""

    kind = "kms"

    def __init__(self, client: Any, key_id: str) -> None:
        self._client = client
        self.id = key_id

    def wrap(self, data_key: bytes, workspace_id: str) -> dict[str, str]:
        answer = self._call(
            "encrypt", KeyId=self.id, Plaintext=data_key, EncryptionContext={"syla-workspace": workspace_id}
        )
        sealed = base64.b64encode(answer["CiphertextBlob"]).decode()
        return {"kind": self.kind, "id": str(answer.get("KeyId", self.id)), "sealed": sealed}

    def unwrap(self, wrap: Mapping[str, str], workspace_id: str) -> bytes:
        if wrap.get("kind") != self.kind:
            raise KeyRefused("This repository was made with a local master key, not with KMS", _WHERE)
        try:
            sealed = base64.b64decode(wrap["sealed"], validate=True)
        except (KeyError, TypeError, binascii.Error):
            raise KeyRefused(f"The key in the config of {workspace_id} is damaged") from None
        answer = self._call("decrypt", CiphertextBlob=sealed, EncryptionContext={"syla-workspace": workspace_id})
        key = answer["Plaintext"]
        if not isinstance(key, bytes) or len(key) != KEY_BYTES:
            raise KeyRefused("KMS answered with something that is no data key")
        return key

    def _call(self, verb: str, **arguments: Any) -> Mapping[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError  # 0.1 s, only where KMS is used

        try:
            answer: Mapping[str, Any] = getattr(self._client, verb)(**arguments)
            return answer
        except ClientError as exc:
            code = exc.response.get("Error", {}).get("Code", "")
            if code in ("ThrottlingException", "KMSInternalException", "DependencyTimeoutException"):
                raise ObjectsFailed(f"KMS does not answer ({code})", "Try again") from exc
            raise KeyRefused(f"KMS refuses to {verb} with key {self.id} ({code})", "Check kms_key_id") from exc
        except BotoCoreError as exc:
            raise ObjectsFailed(f"KMS cannot be reached ({type(exc).__name__})", "Check endpoint and network") from exc


_WHERE = "Set master_key_file or SYLA_MASTER_KEY to the key this installation has used so far"


def _parse(text: str, where: str) -> bytes:
    text = text.strip()
    with contextlib.suppress(ValueError):
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise KeyRefused(f"{where} holds no master key", "64 hexadecimal digits, as `openssl rand -hex 32` writes them")


def _create_key_file(path: Path) -> None:
    """Whole or not at all, and never over another one: what it encrypts cannot be read without it."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES).hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
