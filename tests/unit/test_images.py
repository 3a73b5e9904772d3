"""The parts of image building that need no engine: names, host settings, progress, errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import requests

from syla_jupyter.model.errors import (
    EngineError,
    EngineForbidden,
    EngineStopped,
    ImageMissing,
    NoSpace,
    StartFailed,
    SylaError,
)
from syla_jupyter.model.template import Template
from syla_jupyter.runtimes.docker_errors import translate
from syla_jupyter.runtimes.image_name import image_reference
from syla_jupyter.runtimes.images import Images, follow
from syla_jupyter.runtimes.pip_settings import parse_listing, portable, read_pip_settings
from syla_jupyter.runtimes.templates import Templates

PLAIN = Template("plain", "Plain", "python", packages=("six",))


def test_a_reference_changes_with_what_the_image_is_made_from_and_with_nothing_else() -> None:
    """Packages, Debian packages and base give another tag; how the kernel is shown or started does not."""
    reference = image_reference(PLAIN)
    name, _, tag = reference.partition(":")
    assert name == "syla-plain"
    assert len(tag) == 12
    assert int(tag, 16) >= 0
    made_otherwise = [
        replace(PLAIN, packages=("six>=1",)),
        replace(PLAIN, packages=(), debian_packages=("six",)),
        replace(PLAIN, base="six"),
        replace(PLAIN, packages=()),
    ]
    assert len({reference, *map(image_reference, made_otherwise)}) == 5
    assert image_reference(replace(PLAIN, display_name="Other", preload=("os",))) == reference


def test_a_ready_image_is_used_under_its_own_name() -> None:
    """A template with `image` refers to it as it is."""
    assert image_reference(replace(PLAIN, image="registry/team/image:3")) == "registry/team/image:3"


def test_a_listing_of_pip_settings_is_read_by_pip_s_order() -> None:
    """Variables win over `install`, that over `global`; other sections and broken lines do not count."""
    listing = "\n".join(
        ["global.index-url='https://a/'", "install.index-url='https://b/'", ":env:.default-timeout='9'",
         "global.timeout='3'", "download.proxy='https://p/'", "broken", "global.x=oops("]
    )  # fmt: skip
    assert parse_listing(listing) == {"index-url": "https://b/", "timeout": "9"}


def test_settings_only_this_host_can_use_stay_here() -> None:
    """Paths, file addresses and the loopback are left out by name; the rest is kept."""
    config, left_out = portable(
        {
            "index-url": "https://user:secret@packages.example/simple",
            "extra-index-url": "file:///srv/simple\nhttp://127.0.0.1:3141/root http://other.example/simple",
            "find-links": "/srv/wheels wheels",
            "proxy": "localhost:3128",
            "trusted-host": "packages.example",
            "cert": "/etc/ca.pem",
            "target": "/elsewhere",
        }
    )
    assert config.splitlines() == [
        "[global]",
        "index-url = https://user:secret@packages.example/simple",
        "extra-index-url = http://other.example/simple",
        "trusted-host = packages.example",
    ]
    assert left_out == ["extra-index-url", "find-links", "proxy"]


def test_the_host_s_settings_come_from_pip_and_the_variables(tmp_path: Path) -> None:
    """A pip.conf, a CA bundle and a proxy of the environment are found; a proxy on the loopback is left out."""
    (tmp_path / "pip.conf").write_text("[global]\ntrusted-host = planted.example\n")
    (tmp_path / "ca.pem").write_bytes(b"PEM")
    environ = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PIP_CERT": str(tmp_path / "ca.pem"),
        "HTTPS_PROXY": "http://proxy.example:3128",
        "http_proxy": "localhost:1",
    }
    settings = read_pip_settings(environ)
    assert "trusted-host = planted.example" in settings.config
    assert settings.ca == b"PEM"
    assert settings.proxies == (("https_proxy", "http://proxy.example:3128"),)
    assert "http_proxy" in settings.left_out


def events(*lines: str, code: int | None = None, error: str = "") -> Iterator[dict[str, Any]]:
    """What the engine streams for these lines of output, with the error at its end."""
    yield from ({"stream": f"{line}\n"} for line in lines)
    if error:
        yield {"error": error, "errorDetail": {"code": code, "message": error}}


def test_progress_is_the_steps_and_what_pip_does_now() -> None:
    """Ids, containers and chatter are not shown; long lines are cut."""
    shown: list[str] = []
    follow(
        events("Step 1/2 : FROM x", " ---> abc", "chatter", "Collecting six", f"Step 2/2 : {'x' * 200}"),
        "t",
        shown.append,
    )
    assert shown[:2] == ["Step 1/2 : FROM x", "  Collecting six"]
    assert len(shown) == 3
    assert len(shown[2]) == 100


@pytest.mark.parametrize(
    ("lines", "code", "kind", "said"),
    [
        (["ERROR: No matching distribution found for nope"], 68, StartFailed, r"No matching.*Check their"),
        (["x"], 64, StartFailed, r"no python3\. .*debian_packages"),
        (["ERROR: [Errno 28] No space left on device"], 68, NoSpace, r"docker image prune"),
        (["E: Unable to locate package nope"], 100, StartFailed, r"Unable to locate package nope"),
    ],
)
def test_a_failed_build_says_why_in_one_line(lines: list[str], code: int, kind: type[SylaError], said: str) -> None:
    """The step's exit code names the reason, the last complaints of the tools are kept, a hint follows."""
    with pytest.raises(kind, match=said) as caught:
        follow(events(*lines, code=code, error="The command returned a non-zero code"), "t", print)
    assert "\n" not in str(caught.value)


def api_error(status: int, text: str, kind: type[docker.errors.APIError] = docker.errors.APIError) -> Exception:
    response = requests.Response()
    response.status_code = status
    error: Exception = kind("refused", response=response, explanation=text)
    return error


@pytest.mark.parametrize(
    ("exc", "kind", "said"),
    [
        (requests.ConnectionError("x", FileNotFoundError(errno.ENOENT, "no")), EngineStopped, "systemctl"),
        (requests.ConnectionError("x", OSError(errno.ECONNREFUSED, "no")), EngineStopped, "dockerd"),
        (requests.ReadTimeout("slow"), EngineStopped, "does not answer"),
        (requests.ConnectionError("x", PermissionError(errno.EACCES, "no")), EngineForbidden, "usermod -aG"),
        (api_error(403, "policy"), EngineForbidden, "policy"),
        (api_error(404, "No such image: x", docker.errors.ImageNotFound), ImageMissing, "syla image build TEMPLATE"),
        (
            api_error(404, "No such image: syla-r-4:0123456789ab", docker.errors.ImageNotFound),
            ImageMissing,
            "syla image build r-4`",
        ),
        (api_error(500, "write /x: no space left on device"), NoSpace, "docker system df"),
        (OSError(errno.ENOSPC, "full"), NoSpace, "docker system df"),
        (api_error(409, "conflict"), EngineError, "conflict"),
        (StartFailed("ours"), StartFailed, "ours"),
    ],
)
def test_what_the_sdk_raises_becomes_an_error_of_ours(exc: Exception, kind: type[SylaError], said: str) -> None:
    """By type, status or errno, however deep the SDK hid it, with the way out in the same line."""
    ours = translate(exc, doing="try it")
    assert type(ours) is kind
    assert said in str(ours)
    assert "\n" not in str(ours)


def test_without_an_engine_every_operation_is_one_line(tmp_path: Path) -> None:
    """A real client that finds no socket: `EngineStopped` with the command that starts the engine."""
    templates = Templates(tmp_path)
    images = Images(lambda: docker.DockerClient(base_url=f"unix://{tmp_path}/none.sock"), {}, templates)
    for operation in (images.list, lambda: images.exists(PLAIN), lambda: images.build(PLAIN, progress=print)):
        with pytest.raises(EngineStopped, match=r"is not running.*systemctl start docker") as caught:
            operation()
        assert "\n" not in str(caught.value)
