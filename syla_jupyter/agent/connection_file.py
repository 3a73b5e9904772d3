"""What a kernel that is started from an argv reads its sockets and key from, as Jupyter's messaging protocol has it."""

from __future__ import annotations

import json
import os
from typing import Any, Dict

PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


def write(prefix: str, key: str) -> str:
    """Path of the file, of a kernel that binds `<prefix>-1` … `-5`; `key` is hexadecimal."""
    connection: Dict[str, Any] = {"transport": "ipc", "ip": prefix, "key": bytes.fromhex(key).decode("ascii")}
    connection.update((name, number) for number, name in enumerate(PORTS, 1))
    connection["signature_scheme"] = "hmac-sha256"
    file = prefix + ".json"
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump(connection, opened)
    return file
