"""What the Docker SDK raises, in our words.

The SDK hides a missing or closed socket inside two or three layers of other exceptions; the errno at the
bottom says what happened. Types, statuses and errnos decide. Only a full disk reported by the engine has
neither: it is a status 500 with the C library's words in it. The SDK, slow to import, is imported when it has failed.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from ..model.errors import EngineError, EngineForbidden, EngineStopped, ImageMissing, NoSpace, SylaError

START_HINT = "Start it: `sudo systemctl start docker`, or `sudo dockerd` where there is no systemd"
GROUP_HINT = "Join the group, then log in again: `sudo usermod -aG docker $USER`"
SPACE_HINT = "Free some: `docker system df` shows what uses it, `docker image prune` removes unused images"
OURS = re.compile(r"\bsyla-([a-z0-9][\w.-]*):[0-9a-f]{12}\b")
"""Images that we build (`image_name`)."""

_NOBODY_THERE = {errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.EHOSTUNREACH}


def translate(exc: BaseException, *, doing: str) -> SylaError:
    """The error of ours that `exc` is; raise it `from exc`.

    Parameters
    ----------
    exc : whatever the SDK raised; an error of ours comes back as it is.
    doing : what was tried, as in `could not {doing}`: "list images".
    """
    import docker.errors
    import requests.exceptions

    if isinstance(exc, SylaError):
        return exc
    if says_no_space(exc):
        return NoSpace(f"could not {doing}: the engine's disk is full", SPACE_HINT)
    if isinstance(exc, docker.errors.ImageNotFound):
        ours = OURS.search(str(exc.explanation))
        hint = f"Build it: `syla image build {ours[1] if ours else 'TEMPLATE'}`"
        return ImageMissing(f"could not {doing}: {exc.explanation or 'the image is not there'}", hint)
    if isinstance(exc, docker.errors.APIError):
        if exc.status_code in (401, 403):
            return EngineForbidden(f"could not {doing}: the Docker engine refuses: {exc.explanation}")
        return EngineError(f"could not {doing}: {exc.explanation or exc}")
    for error in chain(exc):
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM):
            return EngineForbidden(f"could not {doing}: no permission to use the Docker engine", GROUP_HINT)
        if isinstance(error, OSError) and error.errno in _NOBODY_THERE:
            return EngineStopped(f"could not {doing}: the Docker engine is not running", START_HINT)
    if isinstance(exc, (requests.exceptions.Timeout, requests.exceptions.ConnectionError)):
        return EngineStopped(f"could not {doing}: the Docker engine does not answer", START_HINT)
    return EngineError(f"could not {doing}: {exc}")


def says_no_space(exc: BaseException | str) -> bool:
    import docker.errors

    if isinstance(exc, str):
        return "no space left on device" in exc.lower()
    if any(isinstance(error, OSError) and error.errno == errno.ENOSPC for error in chain(exc)):
        return True
    return isinstance(exc, docker.errors.APIError) and says_no_space(str(exc.explanation))


def chain(exc: BaseException) -> Iterator[BaseException]:
    """`exc` and every exception it was made from: causes, contexts, and those kept among the arguments."""
    waiting, seen = [exc], set[int]()
    while waiting:
        error = waiting.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        waiting += [e for e in (error.__cause__, error.__context__, *error.args) if isinstance(e, BaseException)]
