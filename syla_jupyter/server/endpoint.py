"""A route as a Tornado handler: who asks, may he, is the request right; then its function in a thread, and the answer.

The body is taken as it comes and kept up to its limit only. Whatever goes wrong, Jupyter's own refusals included, is
answered as `errors` says. Both arguments of `authorized` are named, because without them it remembers its first caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import APIHandler
from pydantic import BaseModel, ValidationError
from tornado import web

from ..access.acting import acting
from ..access.service import Caller
from ..model.errors import BadInput, Cancelled, InsufficientResources
from ..model.people import Principal
from . import errors
from .auth import origin_of
from .gates import Gate, Level
from .handlers import Call, Reply, Services
from .operations import Download
from .route import PREFIX, Route

log = logging.getLogger("syla.server")
T = TypeVar("T")
BODY_MAX = 1 << 20  # bytes
STREAM_BYTES = 1 << 20
THREADS = 16
LONG_MAX = 32
"""Requests that take long, at once; each has a thread of its own, so that it delays no other."""
OF_JUPYTER = {"token", "_xsrf", "no_track_activity"}

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="syla-rest")
_long = threading.BoundedSemaphore(LONG_MAX)


class JsonErrors:
    """Refusals as JSON, by whomever; to be mixed in before a handler of Jupyter's."""

    METHODS: tuple[str, ...] = ()

    def write_error(self: Any, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, web.HTTPError) or error is None:
            body = errors.describe(error or web.HTTPError(status_code))[1]
        else:
            body = errors.plain(status_code)  # it is in the log already
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.METHODS))
        self.set_header("Content-Type", "application/json")
        self.finish(body.model_dump_json())


@web.stream_request_body
class Endpoint(JsonErrors, APIHandler):
    def initialize(self, services: Services) -> None:
        self._services = services
        self._chunks: list[bytes] = []
        self._received = 0
        self._refusal: web.HTTPError | None = None

    async def prepare(self) -> None:  # type: ignore[override] # as APIHandler has it
        """A refusal waits for the body: a connection that is closed while one is sent may take the answer along."""
        try:
            await super().prepare()
        except web.HTTPError as exc:
            self.postpone(exc)

    def postpone(self, refusal: web.HTTPError) -> None:
        """Of whoever asks before we do (`doorkeeper`): as above."""
        if self.request.method == "GET":
            raise refusal
        self._refusal = refusal

    def data_received(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received <= BODY_MAX:
            self._chunks.append(chunk)  # of a longer one the rest is let go, and all refused once it is here

    def set_etag_header(self) -> None:
        """Only what an answer says itself: deadlines change while the version stays, so nothing is ever `304`."""

    def check_etag_header(self) -> bool:
        return False

    async def answer(self, route: Route, names: Mapping[str, str]) -> None:
        try:
            if self._refusal is not None:
                raise self._refusal
            call = Call(
                services=self._services,
                names=names,
                query=parsed_query(route.query, self.request.query_arguments),
                body=parsed_body(route.body, self._content(), self.request.headers.get("Content-Type", "")),
                if_match=self.request.headers.get("If-Match", ""),
                caller=caller_of(self),
            )
            reply, text = await (_alone if route.long else in_pool)(functools.partial(_answered, route, call))
        except Exception as exc:
            status, body = errors.describe(exc)
            reply, text = Reply(body, status), body.model_dump_json()
        self.set_status(reply.status)
        for name, value in reply.headers.items():
            self.set_header(name, value if name != "Location" else f"{self.request.path.rstrip('/')}/{value}")
        if reply.stream is None:
            self.finish(text or None)
        else:
            await self._send(reply.stream)

    async def _send(self, stream: Download) -> None:
        """A client that goes away ends it; one that cancels gets less than it was promised, which is no file."""
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Length", stream.total_bytes)
        with contextlib.closing(stream):
            try:
                while data := await in_pool(functools.partial(stream.read, STREAM_BYTES)):
                    self.write(data)
                    await self.flush()
            except Cancelled:
                cast(Any, self.request.connection).close()
                return
        self.finish()

    def _content(self) -> bytes:
        if self._received > BODY_MAX:
            raise web.HTTPError(413, f"a body of {self._received} bytes is too large; {BODY_MAX} at most")
        return b"".join(self._chunks)


class NoRoute(JsonErrors, APIHandler):
    """Everything else below our prefix."""

    @allow_unauthenticated
    def prepare(self) -> None:  # type: ignore[override]
        raise web.HTTPError(404)


def rules(routes: Sequence[Route], services: Services, sockets: Mapping[str, type]) -> list[tuple[str, type, Any]]:
    """Rows for Jupyter's `handlers`: one class for each address, with the methods that its routes have.

    `sockets`: handler classes of the routes that are websockets, by path.
    """
    paths = dict.fromkeys(route.path for route in routes)
    rows: list[tuple[str, type, Any]] = []
    for path in paths:
        here = {route.method: route for route in routes if route.path == path}
        methods = {method.lower(): _method(route) for method, route in here.items()}
        handler = sockets.get(path) or type("Endpoint", (Endpoint,), {**methods, "METHODS": tuple(here)})
        rows.append((pattern(path), handler, {"services": services}))
    return [*rows, (r"/syla(?:/.*)?", NoRoute, {})]


def gates(routes: Sequence[Route], sockets: Mapping[str, type]) -> list[Gate]:
    """For the doorkeeper, of the same rows."""
    found = []
    for path in dict.fromkeys(route.path for route in routes):
        handler = sockets[path].__name__ if path in sockets else "Endpoint"
        found.append(Gate(handler, pattern(path), {route.method: route.rule for route in routes if route.path == path}))
    every = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    return [*found, Gate("NoRoute", r"/syla(?:/.*)?", dict.fromkeys(every, Level.PUBLIC))]


def pattern(path: str) -> str:
    groups = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path.replace(".", r"\."))
    return f"{PREFIX}/{groups}"


def parsed_query(model: type[BaseModel] | None, arguments: Mapping[str, list[bytes]]) -> Any:
    """The parameters of an address as their model; `BadInput` names one that is unknown, twice there, or wrong."""
    given: dict[str, Any] = {}
    for name, values in arguments.items():
        if name in OF_JUPYTER or (name.isdigit() and values == [b""]):
            continue  # JupyterLab adds the time, so that nothing on the way answers from memory
        try:
            texts = [value.decode() for value in values]
        except UnicodeDecodeError:
            raise BadInput(name[: errors.SHOWN_MAX], "this is no UTF-8") from None
        known = model.model_fields.get(name) if model is not None else None
        if known is None:
            known_names = ", ".join(model.model_fields) if model is not None else "none"
            raise BadInput(name[: errors.SHOWN_MAX], "there is no such parameter", f"Parameters here: {known_names}")
        many = getattr(known.annotation, "__origin__", None) is list
        if not many and len(texts) > 1:
            raise BadInput(name, "is given more than once")
        given[name] = texts if many else texts[0]
    if model is None:
        return None
    try:
        return model.model_validate(given)
    except ValidationError as exc:
        raise errors.bad_field(exc, model) from exc


def parsed_body(model: type[BaseModel] | None, content: bytes, media_type: str) -> Any:
    """The body as its model; nothing is as good as an empty object."""
    if model is None:
        return None
    if content and media_type.partition(";")[0].strip().lower() != "application/json":
        raise web.HTTPError(415)
    try:
        return model.model_validate_json(content or b"{}")
    except ValidationError as exc:
        raise errors.bad_field(exc, model) from exc


def _answered(route: Route, call: Call) -> tuple[Reply, str]:
    """A long answer takes long to write, too."""
    with acting(call.caller.principal.name):
        reply = route.run(call)
        return reply, reply.text()


def caller_of(handler: Any) -> Caller:
    """Who the doorkeeper let in; nobody in particular for what is public."""
    passed = getattr(handler, "_passed", None)
    principal = passed.principal if passed is not None else None
    return Caller(principal or Principal(""), origin_of(handler))


def _method(route: Route) -> Callable[..., Awaitable[None]]:
    async def method(self: Endpoint, **names: str) -> None:
        await self.answer(route, names)

    if route.public:
        return allow_unauthenticated(method)
    guarded: Any = authorized(action=route.action, resource=route.resource)(method)
    return web.authenticated(guarded)  # type: ignore[return-value]


async def in_pool(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


async def _alone(work: Callable[[], T]) -> T:
    """In a thread that the server's end does not wait for."""
    if not _long.acquire(blocking=False):
        raise InsufficientResources(f"{LONG_MAX} long requests are already under way", "Try again a little later")
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
            settle = functools.partial(_settle, done, done.set_result, result)
        except BaseException as exc:
            settle = functools.partial(_settle, done, done.set_exception, exc)
        finally:
            _long.release()
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=run, name="syla-rest-long", daemon=True).start()
    return await done


def _settle(done: asyncio.Future[Any], settle: Callable[[Any], None], value: Any) -> None:
    if not done.cancelled():
        settle(value)
