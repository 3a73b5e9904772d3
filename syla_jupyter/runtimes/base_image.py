"""What a kernel image is built from: an image with python3 and pip, found in this order.

    the template's own `base`     here, else pulled; nothing else will do
    python:3.12-slim              here, else syla-base when that is here already, else pulled
    syla-base:<suite>-<hash>      a Debian tree made by debootstrap and imported; kept by the engine

A registry that is silent for 20 s counts as absent. The tree is made in a mount namespace of its own, so that
nothing stays mounted in it when debootstrap is killed, and in a directory that is removed in any case. Not
imported: what the engine fills in itself, what says something about this host, what a container has no use for.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker.errors
import requests.exceptions
import urllib3.exceptions

from ..model.errors import NoSpace, StartFailed
from .docker_errors import SPACE_HINT, says_no_space

PUBLIC_BASE = "python:3.12-slim"
SUITE = "bookworm"
REGISTRY_SILENCE_SECONDS = 20
DEBOOTSTRAP_SECONDS = 1800

_INCLUDE = "python3,python3-pip,ca-certificates"
_EXCLUDED = (
    "./etc/hostname", "./etc/hosts", "./etc/resolv.conf", "./etc/machine-id", "./dev/*", "./proc/*",
    "./sys/*", "./run/*", "./tmp/*", "./var/log/*", "./var/lib/apt/lists/*", "./var/cache/apt/*",
    "./var/cache/debconf/*-old", "./usr/share/doc/*", "./usr/share/info/*", "./usr/share/man/*/*",
    "./usr/share/locale/*", "./usr/share/lintian",
)  # fmt: skip
_DPKG = (
    "path-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\npath-exclude /usr/share/info/*\n"
    "path-exclude /usr/share/man/*/*\npath-exclude /usr/share/locale/*\n"
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_WAY_OUT = (
    "Once as root with debootstrap installed (`sudo apt-get install debootstrap`) is enough, or give the "
    "template a `base` that this engine has"
)

Progress = Callable[[str], None]


def debian_base_reference() -> str:
    recipe = "\0".join((SUITE, _INCLUDE, *_EXCLUDED, _DPKG))
    return f"syla-base:{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def find_base(client: Any, wanted: str, environ: Mapping[str, str], progress: Progress) -> str:
    """Reference of an image to build from that is on the engine when this returns."""
    if wanted:
        if not has_image(client, wanted) and not pull(client, wanted, progress):
            raise StartFailed(
                f"base image {wanted} is not on this engine and no registry gives it",
                "Check its name and the network",
            )
        return wanted
    debian = debian_base_reference()
    for reference in (PUBLIC_BASE, debian):
        if has_image(client, reference):
            return reference
    if pull(client, PUBLIC_BASE, progress):
        return PUBLIC_BASE
    progress("no registry: making a Debian base with debootstrap (two minutes, once)")
    make_debian_base(client, debian, environ, progress)
    return debian


def has_image(client: Any, reference: str) -> bool:
    try:
        client.images.get(reference)
    except docker.errors.ImageNotFound:
        return False
    return True


def pull(client: Any, reference: str, progress: Progress) -> bool:
    """False when no registry answers or none has it; engine errors other than that come through."""
    progress(f"pulling {reference}")
    patience, client.api.timeout = client.api.timeout, REGISTRY_SILENCE_SECONDS
    try:
        for event in client.api.pull(reference, stream=True, decode=True):
            if says_no_space(str(event.get("error", ""))):
                raise NoSpace(f"could not pull {reference}: the engine's disk is full", SPACE_HINT)
            if "error" in event:
                progress(f"not pulled: {event['error']}")
                return False
            if event.get("status") in ("Pull complete", "Download complete"):
                progress(f"pulling {reference}: {event['status'].lower()} {event.get('id', '')}".rstrip())
    except (docker.errors.APIError, requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as exc:
        progress(f"not pulled: {exc.explanation if isinstance(exc, docker.errors.APIError) else 'no answer'}")
        return False
    finally:
        client.api.timeout = patience
    return has_image(client, reference)


def make_debian_base(client: Any, reference: str, environ: Mapping[str, str], progress: Progress) -> None:
    program = shutil.which("debootstrap", path=_PATH)
    if program is None or os.geteuid() != 0:
        lacking = "debootstrap is not installed" if program is None else "debootstrap needs root"
        raise StartFailed(f"no registry answers, and no Debian base can be made here: {lacking}", _WAY_OUT)
    # /var/tmp: /tmp is often in memory, or mounted without device files.
    with tempfile.TemporaryDirectory(prefix="syla-base-", dir="/var/tmp") as work:
        tree = Path(work) / "tree"
        _debootstrap(program, tree, environ, progress)
        (tree / "etc/dpkg/dpkg.cfg.d/01-syla").write_text(_DPKG)
        progress("importing the base image")
        _import(client, tree, reference)


def _debootstrap(program: str, tree: Path, environ: Mapping[str, str], progress: Progress) -> None:
    env = {"PATH": _PATH, "LC_ALL": "C", **{name: environ[name] for name in _PASSED_ON if name in environ}}
    command = ["unshare", "--mount", program, "--variant=minbase", f"--include={_INCLUDE}", SUITE, str(tree)]
    last: deque[str] = deque(maxlen=4)
    with subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        limit = threading.Timer(DEBOOTSTRAP_SECONDS, running.kill)
        limit.start()
        try:
            assert running.stdout is not None
            for line in running.stdout:
                last.append(line.strip())
                if line.startswith("I: "):
                    progress(f"base: {line[3:].strip()}")
        except BaseException:
            running.kill()
            raise
        finally:
            limit.cancel()
    if running.returncode:
        if any(map(says_no_space, last)):
            raise NoSpace("could not make a base image: the disk of /var/tmp is full", "Free some space there")
        raise StartFailed(f"could not make a base image: debootstrap: {' | '.join(last)}", _WAY_OUT)


def _import(client: Any, tree: Path, reference: str) -> None:
    """Stream the tree to the engine; the archive is never a file."""
    excludes = [f"--exclude={pattern}" for pattern in _EXCLUDED]
    options = ["--numeric-owner", "--anchored", "--no-wildcards-match-slash", *excludes]
    command = ["tar", *options, "-C", str(tree), "-c", "."]
    repository, _, tag = reference.rpartition(":")
    patience, client.api.timeout = client.api.timeout, DEBOOTSTRAP_SECONDS
    try:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as archive:
            client.api.import_image_from_stream(
                archive.stdout, repository=repository, tag=tag, changes=[f"ENV PATH={_PATH}", 'CMD ["python3"]']
            )
        if archive.returncode:
            client.images.remove(reference)
            raise StartFailed(f"could not read the Debian tree: tar ended with {archive.returncode}")
    finally:
        client.api.timeout = patience
