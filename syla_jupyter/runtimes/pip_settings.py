"""The host's pip settings, as a build container can use them.

Asked of pip itself (`pip config list` knows every file and variable), reduced to what says where packages
come from, and without what only the host can reach: file paths, `file:` addresses, addresses of the loopback.
They may hold passwords: values are never printed, and reach the build stage only.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_ADDRESSES = ("index-url", "extra-index-url", "find-links", "proxy")
_PLAIN = ("trusted-host", "timeout", "retries", "no-index", "pre", "prefer-binary", "only-binary", "no-binary")
_CA_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True)
class PipSettings:
    config: str = ""
    """Text of a pip.conf."""
    ca: bytes = b""
    """PEM bundle; empty: the image's own."""
    proxies: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    """Names of settings that only work on this host."""


def read_pip_settings(environ: Mapping[str, str]) -> PipSettings:
    """Settings of the pip beside this interpreter; without one, the variables alone."""
    asked = subprocess.run(
        [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "config", "list"],
        env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    listing = asked.stdout if asked.returncode == 0 else _variables(environ)
    settings = parse_listing(listing)
    config, left_out = portable(settings)
    proxies = []
    for name in _PROXY_VARIABLES:
        value = environ.get(name) or environ.get(name.upper())
        if value and (name == "no_proxy" or reachable_from_container(with_scheme(value))):
            proxies.append((name, value))
        elif value:
            left_out.append(name)
    return PipSettings(config, _ca_bundle(settings, environ), tuple(proxies), tuple(left_out))


def parse_listing(listing: str) -> dict[str, str]:
    """`global.index-url='...'` lines to one value per name: variable over `install` over `global`."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listing.splitlines():
        key, equals, quoted = line.partition("=")
        section, dot, name = key.partition(".")
        if not equals or not dot or section not in found:
            continue
        try:
            value = str(ast.literal_eval(quoted))
        except (ValueError, SyntaxError):
            continue
        found[section]["timeout" if name == "default-timeout" else name] = value
    return {**found["global"], **found["install"], **found[":env:"]}


def portable(settings: Mapping[str, str]) -> tuple[str, list[str]]:
    """The pip.conf for a container, and the names of what had to be left out."""
    lines, left_out = ["[global]"], []
    for name in _ADDRESSES:
        words = settings.get(name, "").split()
        completed = with_scheme if name == "proxy" else str
        kept = [word for word in words if reachable_from_container(completed(word))]
        if kept:
            lines.append(f"{name} = {' '.join(kept)}")
        if len(kept) < len(words):
            left_out.append(name)
    lines += [f"{name} = {' '.join(settings[name].split())}" for name in _PLAIN if settings.get(name)]
    return "\n".join(lines) + "\n", left_out


def reachable_from_container(address: str) -> bool:
    """True for web addresses that do not mean this very host."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    local = host == "localhost" or host.endswith(".localhost") or host == "::1" or host.startswith("127.")
    return parts.scheme in ("http", "https") and host != "" and not local


def with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _ca_bundle(settings: Mapping[str, str], environ: Mapping[str, str]) -> bytes:
    for path in (settings.get("cert"), *(environ.get(name) for name in _CA_VARIABLES)):
        if path and Path(path).is_file():
            return Path(path).read_bytes()
    return b""


def _variables(environ: Mapping[str, str]) -> str:
    names = (name for name in environ if name.startswith("PIP_"))
    return "\n".join(f":env:.{name[4:].lower().replace('_', '-')}={environ[name]!r}" for name in names)
