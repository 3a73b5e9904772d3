"""Kernels in this process, through jupyter_client as its users call it.

`wait_for_ready` is not used: it looks at fixed intervals, which would be in every figure. A kernel is ready when
the first request is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import zmq.asyncio
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.session import Session

REPLY_SECONDS = 60.0
SYLA, PYTHON = "syla-python", "python3"


def now_ms() -> float:
    return time.perf_counter() * 1000


def channels(km: Any, *, second: bool = False, context: Any = None) -> Any:
    """A client of the kernel with all its channels open, as every frontend has them.

    `second`: beside another one; clients of one manager share its session, and with it their names at the kernel.
    """
    given = {} if context is None else {"context": context}
    if second:
        given["session"] = Session(key=km.session.key, signature_scheme=km.session.signature_scheme)
    client: Any = km.client(**given)
    client.start_channels()
    return client


async def reply_to(client: Any, code: str, seconds: float = REPLY_SECONDS) -> dict[str, Any]:
    """Execute and wait for the reply alone."""
    request = client.execute(code)
    async with asyncio.timeout(seconds):
        while True:
            message: dict[str, Any] = await client.get_shell_msg(timeout=None)
            if message["parent_header"].get("msg_id") == request:
                break
    if message["content"].get("status") != "ok":
        raise RuntimeError(f"the kernel answered {message['content']}")
    return message


async def idle_after(client: Any, request: str) -> list[dict[str, Any]]:
    """All that iopub says about a request, up to idle."""
    messages = []
    async with asyncio.timeout(REPLY_SECONDS):
        while True:
            message: dict[str, Any] = await client.get_iopub_msg(timeout=None)
            if message["parent_header"].get("msg_id") != request:
                continue
            messages.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return messages


async def end(km: Any, client: Any = None) -> None:
    """Safe to call for a kernel that never started."""
    if client is not None:
        client.stop_channels()
    if km.has_kernel:
        async with asyncio.timeout(REPLY_SECONDS):
            await km.shutdown_kernel(now=True)


async def start_to_reply(name: str, **launch: Any) -> tuple[float, float]:
    """Milliseconds until `start_kernel` returns, and until `1+1` is answered; the kernel is ended afterwards."""
    km: Any = AsyncKernelManager(kernel_name=name)
    client = None
    try:
        begin = now_ms()
        async with asyncio.timeout(REPLY_SECONDS):
            await km.start_kernel(**launch)
        launched = now_ms() - begin
        client = channels(km)
        await reply_to(client, "1+1")
        return launched, now_ms() - begin
    finally:
        await end(km, client)


@contextlib.asynccontextmanager
async def running(name: str) -> AsyncIterator[tuple[Any, Any]]:
    """(manager, client) of a kernel that has answered."""
    km: Any = AsyncKernelManager(kernel_name=name)
    client = None
    try:
        await km.start_kernel()
        client = channels(km)
        await reply_to(client, "1+1")
        yield km, client
    finally:
        await end(km, client)


def unbounded_context() -> Any:
    """Sockets made of it queue without limit: a slow reader here would lose lines that the kernel has sent."""
    context = zmq.asyncio.Context()
    context.rcvhwm = 0  # default for its sockets
    return context
