"""The baseline of containers: gateway_provisioners' Docker provisioner, set up as its documentation says.

Its image is ours plus the package and what `jupyter image-bootstrap install` puts there; its kernelspec is made by
`jupyter docker-spec install`. So both sides run the same Python, ipykernel and libraries.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.metadata
import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import docker
import docker.errors

from syla_jupyter.app import Application
from syla_jupyter.runtimes.image_name import image_reference
from syla_jupyter.runtimes.pip_settings import read_pip_settings

KERNEL = "bench-gateway"
DEFAULT_POLL, FAST_POLL = 0.5, 0.05
DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS build
USER root
COPY host/ /host/
RUN if [ -s /host/ca.pem ]; then \\
      export PIP_CERT=/host/ca.pem SSL_CERT_FILE=/host/ca.pem REQUESTS_CA_BUNDLE=/host/ca.pem; \\
    fi; \\
    PIP_CONFIG_FILE=/host/pip.conf PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \\
    python3 -m pip install -q --no-cache-dir --compile gateway_provisioners==@VERSION@
RUN command -v python || ln -s "$(command -v python3)" /usr/local/bin/python; \\
    jupyter image-bootstrap install --languages Python && chmod 0755 /usr/local/bin/bootstrap-kernel.sh
FROM ${BASE}
COPY --from=build /usr/local /usr/local
CMD ["/usr/local/bin/bootstrap-kernel.sh"]
"""


class Unavailable(Exception):
    """This baseline cannot be had here; says why."""


async def prepare(application: Application, lab: Path) -> None:
    """Image and kernelspec; nothing is done when they are there."""
    await asyncio.to_thread(_prepare, application, lab)


def _prepare(application: Application, lab: Path) -> None:
    try:
        version = importlib.metadata.version("gateway_provisioners")
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable("gateway_provisioners is not installed (extra `bench`)") from None
    base = image_reference(application.templates.get("python"))
    dockerfile = DOCKERFILE.replace("@VERSION@", version)
    tag = f"syla-bench-gateway:{hashlib.sha256((base + dockerfile).encode()).hexdigest()[:12]}"
    try:
        _build(tag, base, dockerfile)
    except (docker.errors.DockerException, OSError) as exc:
        raise Unavailable(f"its image could not be built: {exc}") from exc
    if (lab / "share" / "kernels" / KERNEL / "kernel.json").exists():
        return
    prefix = lab / "gateway"
    made = subprocess.run(
        ["jupyter-docker-spec", "install", f"--image-name={tag}", f"--kernel-name={KERNEL}", f"--prefix={prefix}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise Unavailable(f"its kernelspec could not be made: {made.stderr.strip()[-300:]}")
    # The launcher's path in the kernelspec is below `prefix`, a link to it is enough.
    (lab / "share" / "kernels" / KERNEL).symlink_to(prefix / "share" / "jupyter" / "kernels" / KERNEL)


def _build(tag: str, base: str, dockerfile: str) -> None:
    client = docker.from_env(timeout=600)
    try:
        try:
            client.images.get(tag)
            return
        except docker.errors.ImageNotFound:
            pass
        settings = read_pip_settings(os.environ)
        files = {
            "Dockerfile": dockerfile.encode(),
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
        client.images.build(
            fileobj=packed, custom_context=True, tag=tag, rm=True, forcerm=True,
            buildargs={"BASE": base, **dict(settings.proxies)},
        )  # fmt: skip
    finally:
        client.close()


def environment(tag: str) -> dict[str, str]:
    """For a launch: the container is named after `KERNEL_USERNAME`, which may not be root; HOME is the image's."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/home/syla",
        "KERNEL_USERNAME": tag,
        **{name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ},
    }


def poll_every(seconds: float) -> None:
    """What `GP_POLL_INTERVAL` sets, which is read only at import: set where it is used, so both can alternate."""
    module: Any = importlib.import_module("gateway_provisioners.remote_provisioner")
    module.poll_interval = seconds
