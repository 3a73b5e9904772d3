"""A kernel's websocket that says why the kernel was ended.

Jupyter's own says "restarting" or "dead" and nothing else. Before that goes out, the person whose cell was running gets
the reason as output of that cell: memory limit passed, killed, container gone. The provisioner leaves the reason in
`KernelManager.reason`.
"""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

V1 = "v1.kernel.websocket.jupyter.org"


class TellingWebsocketConnection(ZMQChannelsWebsocketConnection):
    _last_execute: dict[str, Any] | None = None

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        marker: Any = b"execute_request" if isinstance(incoming_msg, bytes) else "execute_request"
        if marker in incoming_msg[:2048]:
            self._remember(incoming_msg)
        super().handle_incoming_message(incoming_msg)

    def on_kernel_restarted(self) -> None:
        self._tell_reason()
        super().on_kernel_restarted()  # type: ignore[no-untyped-call]

    def on_restart_failed(self) -> None:
        self._tell_reason()
        super().on_restart_failed()  # type: ignore[no-untyped-call]

    def _remember(self, incoming: Any) -> None:
        """Keep the header of an execute request; what does not parse is left to the real handler to refuse."""
        try:
            if self.subprotocol == V1:
                _channel, parts = deserialize_msg_from_ws_v1(incoming)
                header = json.loads(parts[0])
            else:
                header = json.loads(incoming)["header"]
        except (ValueError, KeyError, IndexError, TypeError):
            return
        if isinstance(header, dict) and header.get("msg_type") == "execute_request":
            self._last_execute = header

    def _tell_reason(self) -> None:
        reason = getattr(self.kernel_manager, "reason", "")
        header = self._last_execute
        if not reason or header is None:
            return
        message = self.session.msg("stream", {"name": "stderr", "text": f"{reason}\n"}, parent={"header": header})
        message["parent_header"] = header
        if self.subprotocol == V1:
            self.write_message(serialize_msg_to_ws_v1(message, "iopub", self.session.pack), binary=True)
        else:
            message["channel"] = "iopub"
            self.write_message(json.dumps(message, default=json_default))
