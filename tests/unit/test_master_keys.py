"""Wrapping of data keys: by a file, by a variable, by KMS."""

from __future__ import annotations

import base64
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from syla_jupyter.model.errors import KeyRefused, ObjectsFailed
from syla_jupyter.snapshots.config import make_config, read_config
from syla_jupyter.snapshots.keys import KMS, LocalKey, MasterKey

from .repositories import KEY


def test_master_keys_come_from_files_and_variables(tmp_path: Path) -> None:
    """A key file is made once, for its owner alone; what others can read or what is no key is refused."""
    path = tmp_path / "deep" / "key"
    made = MasterKey.from_file(path, create=True)
    assert MasterKey.from_file(path, create=True).id == made.id
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]
    assert MasterKey.from_environment(path.read_text()).id == made.id
    assert MasterKey.from_environment(base64.b64encode(bytes.fromhex(path.read_text())).decode()).id == made.id
    path.chmod(0o640)
    with pytest.raises(KeyRefused, match="chmod 600"):
        MasterKey.from_file(path)
    for value in ("short", "", "x" * 64, "0" * 63, "äöü"):
        with pytest.raises(KeyRefused, match="SYLA_MASTER_KEY"):
            MasterKey.from_environment(value)
    with pytest.raises(KeyRefused, match="missing"):
        MasterKey.from_file(tmp_path / "missing")


def test_a_wrap_belongs_to_its_workspace_and_its_key() -> None:
    """Changed anywhere, shown for another workspace, or opened by another key, it is refused."""
    wrap = KEY.wrap(bytes(32), "a")
    assert KEY.unwrap(wrap, "a") == bytes(32)
    for changed in ({"sealed": "00" * 48}, {"salt": "00" * 32}, {"check": ""}, {"sealed": "zz"}, {"kind": "kms"}):
        with pytest.raises(KeyRefused):
            KEY.unwrap({**wrap, **changed}, "a")
    with pytest.raises(KeyRefused):
        KEY.unwrap(wrap, "b")
    with pytest.raises(KeyRefused, match=KEY.id):
        LocalKey(bytes(32)).unwrap(wrap, "a")
    assert bytes(range(32)).hex() not in repr(KEY) + str(vars(KEY))


def test_kms_wraps_with_the_workspace_as_context() -> None:
    """The client of boto3 is real, its answers are written down: context both ways, and refusals by their names."""
    client = boto3.client("kms", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    context, arn = {"syla-workspace": "0123456789ab"}, "arn:aws:kms:us-east-1:1:key/k"
    with Stubber(client) as answers:
        master = KMS(client, "alias/syla")
        answers.add_response(
            "encrypt",
            {"CiphertextBlob": b"sealed", "KeyId": arn},
            {"KeyId": "alias/syla", "Plaintext": bytes(32), "EncryptionContext": context},
        )
        config, keys, chunking = make_config("0123456789ab", bytes(32), master)
        decrypt = {"CiphertextBlob": b"sealed", "EncryptionContext": context}
        answers.add_response("decrypt", {"Plaintext": bytes(32), "KeyId": arn}, decrypt)
        assert read_config(config, "0123456789ab", master) == (keys, chunking)
        for code, error in (("InvalidCiphertextException", KeyRefused), ("ThrottlingException", ObjectsFailed)):
            answers.add_client_error("decrypt", code)
            with pytest.raises(error, match=code):
                read_config(config, "0123456789ab", master)
        answers.add_response("decrypt", {"Plaintext": b"short", "KeyId": arn}, decrypt)
        with pytest.raises(KeyRefused, match="no data key"):
            read_config(config, "0123456789ab", master)
