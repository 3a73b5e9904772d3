"""Kernel images: their names, and how they are made.

A reference is `syla-<template>:<12 hex>`, the digits a hash of everything the image is made from (`image_name`).

A build sends the engine one Dockerfile and a directory `host/` (requirements, pip settings, CA bundle) that
only the thrown-away `build` stage sees. Its images carry the label `syla.build=<id of this build>` from their
first step on, so that they are found and removed however the build ends.
"""

from __future__ import annotations

import io
import re
import secrets
import tarfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import docker.errors
import requests.exceptions
import urllib3.exceptions

from ..model.errors import BadInput, NoSpace, StartFailed, SylaError
from ..model.template import Template
from .base_image import Progress, find_base, has_image, pull
from .docker_errors import SPACE_HINT, says_no_space, translate
from .image_name import dockerfile, image_reference
from .pip_settings import PipSettings, read_pip_settings
from .templates import Templates

LABEL_TEMPLATE = "syla.template"
LABEL_BUILD = "syla.build"

_REASONS = {  # exit codes of the Dockerfile's steps
    64: (
        "the base image has no python3",
        "Add python3 and python3-pip to `debian_packages` or choose another base",
    ),
    65: ("the base image has no pip", "Add python3-pip to `debian_packages` or choose another base"),
    66: (
        "the base image's Python keeps packages outside /usr/local",
        "Choose a Debian or python:3.x-slim base",
    ),
    67: ("the base image has no apt-get, but the template has `debian_packages`", "Choose a Debian base"),
    68: ("pip could not install the packages", "Check their names, versions and the network"),
}
_FOREIGN = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)
_SHOWN = ("Collecting ", "Downloading ", "Building ", "Installing ", "Successfully ", "Get:", "Setting up ")
_COMPLAINTS = ("ERROR", "E: ", "error:", "fatal", "Could not")


@dataclass(frozen=True)
class ImageInfo:
    reference: str
    template: str
    created: float
    """Seconds since the epoch."""
    size_bytes: int
    current: bool
    """It is what its template would be built to now."""


class Images:
    """The kernel images on one engine.

    Parameters
    ----------
    client_factory : makes a Docker client; called once per operation, the client is closed after it.
    environ : environment whose pip settings, CA bundle and proxies a build uses.
    templates : where the templates are, to know which images are current.
    """

    def __init__(self, client_factory: Callable[[], Any], environ: Mapping[str, str], templates: Templates) -> None:
        self._client_factory = client_factory
        self._environ = environ
        self._templates = templates

    def exists(self, template: Template) -> bool:
        reference = image_reference(template)
        with self._client(f"look for image {reference}") as client:
            return has_image(client, reference)

    def build(self, template: Template, *, progress: Progress, force: bool = False) -> str:
        """Make the template's image current and return its reference; nothing is done when it is."""
        reference = image_reference(template)
        with self._client(f"build image {reference}") as client:
            if has_image(client, reference) and not (force and not template.image):
                progress(f"{reference} is current")
                return reference
            if template.image:
                if not pull(client, reference, progress):
                    raise StartFailed(f"image {reference} is not on this engine and no registry gives it")
                return reference
            base = find_base(client, template.base, self._environ, progress)
            settings = read_pip_settings(self._environ)
            if settings.left_out:
                progress(f"left out, only of use on this host: pip's {', '.join(settings.left_out)}")
            older = _images_of(client, template.name)
            progress(f"building {reference} from {base}")
            _run_build(client, template, base, settings, progress, nocache=force)
            _remove_superseded(client, older, reference, progress)
            return reference

    def list(self) -> list[ImageInfo]:
        """All images made here, templates in order, the newest first."""
        with self._client("list images") as client:
            found = client.api.images(filters={"label": LABEL_TEMPLATE})
        infos = [
            ImageInfo(tag, name, float(image["Created"]), int(image["Size"]), tag == self._current(name))
            for image in found
            for name in [image["Labels"][LABEL_TEMPLATE]]
            for tag in image["RepoTags"] or ()
            if tag.startswith(f"syla-{name}:")
        ]
        return sorted(infos, key=lambda info: (info.template, -info.created))

    def _current(self, name: str) -> str:
        try:
            return image_reference(self._templates.get(name))
        except BadInput:  # the template is gone or unreadable: no image of it is current
            return ""

    @contextmanager
    def _client(self, doing: str) -> Iterator[Any]:
        try:
            client = self._client_factory()
            try:
                yield client
            finally:
                client.close()
        except SylaError:
            raise
        except _FOREIGN as exc:
            raise translate(exc, doing=doing) from exc


def _run_build(
    client: Any, template: Template, base: str, settings: PipSettings, progress: Progress, *, nocache: bool
) -> None:
    build_id, made = secrets.token_hex(8), list[str]()
    arguments = {"BASE": base, "DEBIAN_PACKAGES": " ".join(template.debian_packages), "BUILD_ID": build_id}
    try:
        events = client.api.build(
            fileobj=_context(template, settings), custom_context=True, decode=True, rm=True, forcerm=True,
            nocache=nocache, tag=image_reference(template), labels={LABEL_TEMPLATE: template.name},
            buildargs={**arguments, **dict(settings.proxies)},
        )  # fmt: skip
        follow(_noting_images(events, made), template.name, progress)
        made.clear()
    finally:
        _remove_build_stage(client, build_id)
        if made:
            _remove_unfinished(client, made[-1], base)


def _noting_images(events: Iterator[Mapping[str, Any]], made: list[str]) -> Iterator[Mapping[str, Any]]:
    for event in events:
        made += re.findall(r"^ ---> ([0-9a-f]{12,})$", str(event.get("stream", "")), re.MULTILINE)
        yield event


def _context(template: Template, settings: PipSettings) -> io.BytesIO:
    files = {
        "Dockerfile": dockerfile().encode(),
        "host/requirements.txt": "".join(f"{package}\n" for package in template.packages).encode(),
        "host/pip.conf": settings.config.encode(),
        "host/ca.pem": settings.ca,
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed


def follow(events: Iterator[Mapping[str, Any]], name: str, progress: Progress) -> None:
    """Turn the engine's events into short lines; raise what a failed build means."""
    recent: deque[str] = deque(maxlen=200)
    for event in events:
        if "error" in event:
            raise _failure(name, event, list(recent))
        for line in filter(None, map(str.strip, str(event.get("stream", "")).splitlines())):
            if line.startswith("Step "):
                progress(_short(line))
            elif not line.startswith(("--->", "Removing intermediate")):
                recent.append(line)
                if line.startswith(_SHOWN):
                    progress(_short(f"  {line}"))


def _failure(name: str, event: Mapping[str, Any], recent: list[str]) -> SylaError:
    text = str(event["error"])
    complaints = [line for line in recent if line.startswith(_COMPLAINTS)]
    if any(map(says_no_space, (text, *recent))):
        return NoSpace(f"could not build the image of {name}: the engine's disk is full", SPACE_HINT)
    code = event.get("errorDetail", {}).get("code")
    reason, hint = _REASONS.get(code, (text, "Run it again to see every step, or correct the template"))
    said = " | ".join((complaints or recent)[-3:])[:600] if code not in (64, 65, 66, 67) else ""
    return StartFailed(f"could not build the image of {name}: {reason}{': ' if said else ''}{said}", hint)


def _short(line: str) -> str:
    return line if len(line) <= 100 else line[:99] + "…"


def _images_of(client: Any, name: str) -> list[dict[str, Any]]:
    return list(client.api.images(filters={"label": f"{LABEL_TEMPLATE}={name}"}))


def _remove_superseded(client: Any, older: list[dict[str, Any]], reference: str, progress: Progress) -> None:
    """Earlier images of the template go, unless a container still uses them (the engine refuses: 409)."""
    kept = client.images.get(reference).id
    for image in older:
        ours = [tag for tag in image["RepoTags"] or () if tag != reference and tag.startswith("syla-")]
        if image["Id"] == kept:
            continue
        # Untagged by the new build itself (a forced one), it has only an id left.
        stale = ours or ([image["Id"]] if set(image["RepoTags"] or ()) <= {reference, "<none>:<none>"} else [])
        for name in stale:
            try:
                client.images.remove(name)
                progress(f"removed {name}, which is superseded")
            except docker.errors.APIError as exc:
                if exc.status_code not in (404, 409):
                    raise


def _remove_build_stage(client: Any, build_id: str) -> None:
    """What the build stage left, leaves first; its parents go with it as far as nothing else needs them."""
    while leaves := client.api.images(filters={"label": f"{LABEL_BUILD}={build_id}", "dangling": True}, quiet=True):
        for leaf in leaves:
            client.images.remove(leaf, force=True)


def _remove_unfinished(client: Any, last: str, base: str) -> None:
    """The image of the last step that went well, unless it is the base or another image needs it."""
    try:
        image = client.images.get(last)
        if not image.tags and image.id != client.images.get(base).id:
            client.images.remove(last)
    except docker.errors.APIError as exc:
        if exc.status_code not in (404, 409):
            raise
