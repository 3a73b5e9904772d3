"""Kernel images on a real engine: built once, replaced when changed, nothing of the host in them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import certifi
import docker
import docker.errors
import pytest

from syla_jupyter.model.errors import StartFailed
from syla_jupyter.model.template import Template
from syla_jupyter.runtimes.images import LABEL_BUILD, LABEL_TEMPLATE, Images
from syla_jupyter.runtimes.templates import Templates


@pytest.fixture
def template(engine: Any) -> Iterator[Template]:
    """A small template of a name nobody else has; its images are gone afterwards."""
    name = f"test-{secrets.token_hex(4)}"
    yield Template(name, "Test", "python", packages=("six",))
    for image in engine.images.list(filters={"label": f"{LABEL_TEMPLATE}={name}"}):
        engine.images.remove(image.id, force=True)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(docker.from_env, dict(os.environ), Templates(tmp_path))


def run(engine: Any, reference: str, code: str) -> str:
    """Output of Python code under the rules every container has."""
    output: bytes = engine.containers.run(
        reference, ["python3", "-c", code], remove=True, network_mode="none", read_only=True, cap_drop=["ALL"],
        security_opt=["no-new-privileges"], tmpfs={"/tmp": "", "/home/syla": "uid=1000,gid=1000,mode=700"},
    )  # fmt: skip
    return output.decode().strip()


def test_a_second_build_does_nothing(images: Images, template: Template, tmp_path: Path) -> None:
    """What is current is not built again, and is listed as current once its template is saved."""
    assert not images.exists(template)
    reference = images.build(template, progress=print)
    said: list[str] = []
    assert images.build(template, progress=said.append) == reference
    assert said == [f"{reference} is current"]
    assert images.exists(template)
    [info] = [info for info in images.list() if info.template == template.name]
    assert info.reference == reference
    assert info.size_bytes > 0
    assert not info.current
    Templates(tmp_path).save(template)
    assert [info.current for info in images.list() if info.template == template.name] == [True]


def test_a_changed_template_gets_another_image_and_the_old_one_goes(
    images: Images, template: Template, engine: Any
) -> None:
    """Another list of packages is another tag without `force`; a superseded image goes unless it is used."""
    first = images.build(template, progress=print)
    holder = engine.containers.create(first, ["true"])
    try:
        second = images.build(replace(template, packages=()), progress=print)
        assert second != first
        assert engine.images.get(first), "an image in use stays"
    finally:
        holder.remove()
    third = images.build(replace(template, packages=("toml",)), progress=print)
    assert [info.reference for info in images.list() if info.template == template.name] == [third]


def test_force_builds_again_and_leaves_one_image(images: Images, template: Template, engine: Any) -> None:
    """A forced build has the same name and a new id; the former image is gone."""
    template = replace(template, packages=())
    reference = images.build(template, progress=print)
    before = engine.images.get(reference).id
    assert images.build(template, progress=print, force=True) == reference
    left = engine.images.list(filters={"label": f"{LABEL_TEMPLATE}={template.name}"})
    assert [image.tags for image in left] == [[reference]]
    assert left[0].id != before


def test_nothing_of_the_host_is_in_the_image(template: Template, engine: Any, tmp_path: Path) -> None:
    """A CA bundle and a pip.conf that the build used are in no layer, history, environment or label."""
    marker = f"planted-{secrets.token_hex(8)}"
    own = next((os.environ[name] for name in ("PIP_CERT", "SSL_CERT_FILE") if name in os.environ), certifi.where())
    (tmp_path / "ca.pem").write_bytes(Path(own).read_bytes() + f"\n# {marker}\n".encode())
    (tmp_path / "pip.conf").write_text(f"[global]\ntrusted-host = {marker}.invalid\n")
    environ = {**os.environ, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    environ |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE"), str(tmp_path / "ca.pem"))
    reference = Images(docker.from_env, environ, Templates(tmp_path)).build(template, progress=print)
    assert run(engine, reference, "import six; print(six.__name__)") == "six"

    image = engine.images.get(reference)
    traces = [line for line in image.history() if marker in str(line) or "host/" in str(line.get("CreatedBy"))]
    assert not traces
    assert marker not in str(image.attrs)
    assert sorted(image.labels) == [LABEL_TEMPLATE]
    tail = b""
    for chunk in image.save(chunk_size=1 << 20):  # every layer, so that what a later one deletes is seen too
        assert marker.encode() not in tail + chunk
        tail = chunk[-len(marker) :]
    assert not engine.images.list(all=True, filters={"label": LABEL_BUILD}), "build stages are gone"


def test_a_failed_build_says_what_pip_said_and_leaves_nothing(images: Images, template: Template, engine: Any) -> None:
    """A version that does not exist: one line with pip's words; no image, no build stage."""
    with pytest.raises(StartFailed, match=r"six==99999.*Check their names") as caught:
        images.build(replace(template, packages=("six==99999",)), progress=print)
    assert "\n" not in str(caught.value)
    assert not engine.images.list(all=True, filters={"label": LABEL_BUILD})
    assert not engine.images.list(filters={"label": f"{LABEL_TEMPLATE}={template.name}"})


@pytest.fixture(scope="module")
def python_image(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    templates = Templates(tmp_path_factory.mktemp("data"))
    assert engine.ping()
    return Images(docker.from_env, dict(os.environ), templates).build(templates.get("python"), progress=print)


def test_a_base_without_python_is_named_as_the_reason(
    images: Images, template: Template, engine: Any, python_image: str
) -> None:
    """A base with a shell but no Python cannot become a kernel image, and the message says what to add."""
    base = f"{template.name}-base"
    remover = engine.containers.create(
        python_image, ["rm", "-f", "/usr/bin/python3", "/usr/local/bin/python3"], user="0"
    )
    try:
        remover.start()
        assert remover.wait()["StatusCode"] == 0
        remover.commit(base, "1")
        before = engine.images.list(filters={"dangling": True})
        with pytest.raises(StartFailed, match=r"the base image has no python3\. Add python3"):
            images.build(replace(template, base=f"{base}:1"), progress=print)
        assert engine.images.list(filters={"dangling": True}) == before
    finally:
        remover.remove()
        engine.images.remove(f"{base}:1", force=True)


def test_a_base_nobody_has_is_named(images: Images, template: Template) -> None:
    """A base that is neither here nor in a registry stops the build before it starts."""
    with pytest.raises(StartFailed, match="base image syla-nobody-has-this:1 is not on this engine"):
        images.build(replace(template, base="syla-nobody-has-this:1"), progress=print)


def test_the_python_image_works_without_network_and_root(engine: Any, python_image: str) -> None:
    """As uid 1000 with a read-only root and no network, the kernel and the promised packages import."""
    code = (
        "import os, numpy, pandas, matplotlib.pyplot, cloudpickle, ipykernel.ipkernel as k; "
        "print(os.getuid(), os.getgid(), os.environ['HOME'], os.getcwd(), os.environ['LANG'])"
    )
    assert run(engine, python_image, code) == "1000 1000 /home/syla /workspace C.UTF-8"


def test_the_python_image_is_compiled(engine: Any, python_image: str) -> None:
    """Bytecode of the standard library and of the packages is in the image: nobody could write it later."""
    code = """
import importlib.util, pathlib, json, asyncio.events, numpy, ipykernel.ipkernel
files = [module.__file__ for module in (json, asyncio.events, numpy, ipykernel.ipkernel)]
print([file for file in files if not pathlib.Path(importlib.util.cache_from_source(file)).exists()])
"""
    assert run(engine, python_image, code) == "[]"


def test_a_user_s_own_package_comes_before_the_image_s(engine: Any, python_image: str) -> None:
    """The user site under HOME is where `pip install` writes, and precedes the image's packages on the path."""
    code = """
import os, site, subprocess, sys
os.makedirs(site.getusersitepackages())
look = "import site, sys; own = site.getusersitepackages(); "
look += "print([d for d in sys.path if d.endswith('-packages')][0] == own)"
subprocess.run([sys.executable, "-c", look], check=True)
"""
    assert run(engine, python_image, code) == "True"
