"""The config of a repository: what never changes, and the wrapped data key. The only object that is not encrypted.

A keyed hash over all of it is checked as soon as the data key is known, so nobody without the key can change how
content is cut. It is written once; deleting it makes everything else in the repository unreadable for ever.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from blake3 import blake3

from ..model.errors import SnapshotDamaged
from .crypto import Keys
from .keys import MasterKey

FORMAT, VERSION = "syla-snapshots", 1
CONFIG_MAX_BYTES = 1 << 16
KEY, COPY_KEY = "config", "config-copy"


@dataclass(frozen=True)
class Chunking:
    """How large files are cut; the same for ever, or nothing is found again."""

    seed: int
    """64 bits, secret: derived from the data key, not stored."""
    algorithm: str = "fastcdc-2020"
    min_bytes: int = 1 << 18
    avg_bytes: int = 1 << 20
    max_bytes: int = 1 << 22


def make_config(workspace_id: str, data_key: bytes, master: MasterKey) -> tuple[bytes, Keys, Chunking]:
    keys = Keys.derive(data_key)
    chunking = Chunking(keys.chunking_seed)
    public = {name: value for name, value in asdict(chunking).items() if name != "seed"}
    config: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "workspace": workspace_id,
        "chunking": public,
        "keys": [master.wrap(data_key, workspace_id)],
    }
    config["hash"] = _hash(config, keys)
    return json.dumps(config, indent=1).encode(), keys, chunking


def read_config(data: bytes, workspace_id: str, master: MasterKey) -> tuple[Keys, Chunking]:
    """`SnapshotDamaged` for what is no config or was changed, `KeyRefused` when the master key does not fit."""
    try:
        config = json.loads(data)
        if config["format"] != FORMAT or not isinstance(config["version"], int):
            raise ValueError("format")
        if config["version"] > VERSION:
            raise SnapshotDamaged(f"The repository has format {config['version']}; this version reads up to {VERSION}")
        wraps, said, public = list(config["keys"]), bytes.fromhex(config["hash"]), dict(config["chunking"])
        if not all(isinstance(wrap, Mapping) for wrap in wraps):
            raise TypeError("keys")
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise SnapshotDamaged("The repository's config is damaged", "Put it back from the backup store") from exc
    matching = [wrap for wrap in wraps if wrap.get("id") == master.id] or wraps[:1]
    keys = Keys.derive(master.unwrap(matching[0] if matching else {}, workspace_id))
    if config.get("workspace") != workspace_id or not hmac.compare_digest(said, bytes.fromhex(_hash(config, keys))):
        raise SnapshotDamaged("The repository's config was changed", "Put it back from the backup store")
    return keys, Chunking(keys.chunking_seed, **public)


def _hash(config: Mapping[str, Any], keys: Keys) -> str:
    content = {name: value for name, value in config.items() if name != "hash"}
    return blake3(json.dumps(content, sort_keys=True).encode(), key=keys.config).hexdigest()
