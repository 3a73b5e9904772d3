"""What code inside a workspace can reach: nothing of the engine, the host, the agent or its neighbours.

Each refusal is seen from inside (the call fails) and from outside (nothing happened on the host).
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.model.workspace import Network
from syla_jupyter.workspaces.placement import kernel_environment

from .conftest import SECRET, Box, Host, wait_until

Inside = Callable[[str], Any]
METADATA = ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254")

# Gives `refused(call, ...)`: the errno's name with which a call fails, or what it returned.
REFUSED = """
import ctypes, errno, os, signal, socket, stat, subprocess, time
libc = ctypes.CDLL(None, use_errno=True)
def refused(call, *arguments):
    try:
        return repr(call(*arguments))
    except OSError as exc:
        return errno.errorcode.get(exc.errno, str(exc))
def c(name, *arguments):
    ctypes.set_errno(0)
    if getattr(libc, name)(*arguments) == -1:
        return errno.errorcode[ctypes.get_errno()]
    return 'done'
"""
DENIED = {"EPERM", "EACCES", "ENOSYS", "EROFS"}


def status_of(inside: Inside) -> dict[str, str]:
    text = inside("result = open('/proc/self/status').read()")
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def alive(box: Box) -> None:
    """On the host: the container runs, its agent answers, and no code of ours was harmed."""
    assert not box.workspace.lost
    assert box.workspace.agent.call("usage")["memory_bytes"] > 0


def test_no_privilege(inside: Inside, hostile_box: Box, hostile_host: Host) -> None:
    """Code runs as a user other than root, with no capability at all, no way to new ones, and under seccomp."""
    status = status_of(inside)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split() + status["Gid"].split() + status["Groups"].split()
    pid = hostile_box.workspace.container.pid  # the same of the agent, as the host's kernel says it
    outside = Path(f"/proc/{pid}/status").read_text()
    for line in ("CapEff:\t" + "0" * 16, "CapBnd:\t" + "0" * 16, "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in outside
    assert hostile_host.inspect(hostile_box.workspace)["HostConfig"]["Privileged"] is False


def test_setuid_binaries_gain_nothing(inside: Inside) -> None:
    """A setuid-root program of the image runs as the workspace's user, and mount(8) mounts nothing."""
    result = inside(
        REFUSED
        + """
su = subprocess.Popen(['/usr/bin/su'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
until, uids = time.monotonic() + 10, None
while time.monotonic() < until:
    text = open(f'/proc/{su.pid}/status').read()
    if text.startswith('Name:\\tsu\\n') and 'Uid:' in text:
        uids = text.partition('Uid:')[2].splitlines()[0].split()
        break
su.kill(); su.wait(); su.stdin.close()
mount = subprocess.run(['/usr/bin/mount', '-t', 'tmpfs', 'x', '/tmp'], capture_output=True).returncode
result = {'setuid': bool(os.stat('/usr/bin/su').st_mode & stat.S_ISUID), 'uids': uids, 'mount': mount}
"""
    )
    assert result["setuid"], "the image has no setuid su: choose another program for this test"
    assert result["uids"], "su never ran"
    assert "0" not in result["uids"]
    assert result["mount"] != 0


def test_kernel_calls_are_refused(inside: Inside, hostile_box: Box) -> None:
    """mount, namespaces, chroot, devices, raw sockets, keys, bpf and the like fail, and no mount appears."""
    pid = hostile_box.workspace.container.pid
    mounts = Path(f"/proc/{pid}/mounts").read_text()
    result = inside(
        REFUSED
        + """
NEWUSER, NEWNS, NEWPID, NEWNET = 0x10000000, 0x20000, 0x20000000, 0x40000000
result = {
    'mount': c('mount', b'x', b'/tmp', b'tmpfs', 0, None),
    'bind': c('mount', b'/proc', b'/tmp', None, 4096, None),
    'remount': c('mount', None, b'/', None, 32, None),
    'umount': c('umount2', b'/tmp', 2),
    **{f'unshare {flag:x}': c('unshare', flag) for flag in (NEWUSER, NEWNS, NEWPID, NEWNET)},
    'clone newuser': c('syscall', 56, NEWUSER | signal.SIGCHLD, None, None, None, None),
    'setns': c('setns', os.open('/proc/self/ns/net', os.O_RDONLY), 0),
    'open_tree': c('syscall', 428, -100, b'/', 1),
    'fsopen': c('syscall', 430, b'tmpfs', 0),
    'chroot': refused(os.chroot, '/tmp'),
    'pivot_root': c('syscall', 155, b'/tmp', b'/tmp'),
    'block device': refused(os.mknod, '/tmp/b', 0o600 | stat.S_IFBLK, os.makedev(254, 0)),
    'character device': refused(os.mknod, '/tmp/c', 0o600 | stat.S_IFCHR, os.makedev(1, 1)),
    'raw': refused(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    'packet': refused(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 3),
    'chown root': refused(os.chown, '/home/syla', 0, 0),
    'setuid': refused(os.setuid, 0),
    'setgroups': refused(os.setgroups, [0]),
    'sethostname': refused(socket.sethostname, 'x'),
    'keyctl': c('syscall', 250, 0, -3, 1),
    'add_key': c('syscall', 248, b'user', b'x', b'x', 1, -3),
    'bpf': c('syscall', 321, 0, None, 0),
    'perf_event_open': c('syscall', 298, None, 0, -1, -1, 0),
    'userfaultfd': c('syscall', 323, 0),
    'init_module': c('syscall', 175, None, 0, None),
    'kexec_load': c('syscall', 246, 0, 0, None, 0),
    'reboot': c('reboot', 0x1234567),
    'swapon': c('swapon', b'/tmp/x', 0),
    'nice': refused(os.setpriority, os.PRIO_PROCESS, 0, -5),
    'open_by_handle_at': c('syscall', 304, -100, None, 0),
    'file_setattr': c('syscall', 469, -100, b'/home/syla', bytes(32), 32, 0),
    'leave project': c('ioctl', home := os.open('/home/syla', os.O_RDONLY), 0x401C5820, bytes(28)),
    'hand no project on': c('ioctl', home, 0x40086602, bytes(8)),
    'settimeofday': refused(time.clock_settime, time.CLOCK_REALTIME, 0),
}
"""
    )
    allowed = {name: answer for name, answer in result.items() if answer not in DENIED}
    assert not allowed, allowed
    assert Path(f"/proc/{pid}/mounts").read_text() == mounts
    alive(hostile_box)


def test_system_is_read_only(inside: Inside, hostile_host: Host, hostile_box: Box) -> None:
    """Nothing of the image, the agent's code, the certificates or the kernel's switches can be changed."""
    places = ("/", "/usr", "/usr/bin", "/etc", "/opt/syla", "/opt/syla/agent", "/var", "/root", "/sys/fs/cgroup/memory")
    files = ("/etc/passwd", "/etc/hosts", "/etc/resolv.conf", "/opt/syla/agent/supervisor.py", "/proc/sysrq-trigger",
             "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/dev/kmsg", "/dev/mem",
             "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max")  # fmt: skip
    agent_dir = hostile_host.app.settings.data_dir / "agent"
    before = sorted((str(p), p.stat().st_mtime_ns) for p in agent_dir.rglob("*"))
    result = inside(
        REFUSED
        + f"""
result = {{place: refused(open, place + '/x', 'w') for place in {places!r}}}
result.update({{file: refused(open, file, 'r+') for file in {files!r}}})
result['chmod'] = refused(os.chmod, '/opt/syla/agent/supervisor.py', 0o777)
result['rename'] = refused(os.rename, '/opt/syla/agent/supervisor.py', '/opt/syla/agent/x')
"""
    )
    allowed = {k: v for k, v in result.items() if v not in DENIED | {"ENOENT", "EIO"}}
    assert not allowed, allowed
    assert sorted((str(p), p.stat().st_mtime_ns) for p in agent_dir.rglob("*")) == before


def test_agent_and_zygote_cannot_be_looked_into(inside: Inside, hostile_box: Box) -> None:
    """Processes of the same user may not trace, read or write the agent and the zygote."""
    result = inside(
        REFUSED
        + """
def parent(pid):
    return int(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1])
def line(pid):
    return open(f'/proc/{pid}/cmdline').read()
pids = [int(p) for p in os.listdir('/proc') if p.isdigit()]
zygotes = [p for p in pids if p not in (1, os.getpid()) and parent(p) == 1 and 'zygote.py' in line(p)]
result = {'zygotes': len(zygotes)}
for pid in [1, *zygotes]:
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_void_p * 2)(ctypes.cast(buffer, ctypes.c_void_p).value, 8)
    result[pid] = {
        'attach': c('ptrace', 16, pid, None, None),
        'seize': c('ptrace', 0x4206, pid, None, None),
        'readv': c('process_vm_readv', pid, vector, 1, vector, 1, 0),
        'writev': c('process_vm_writev', pid, vector, 1, vector, 1, 0),
        'mem': refused(open, f'/proc/{pid}/mem', 'r+b'),
        'environ': refused(open, f'/proc/{pid}/environ'),
        'maps': refused(open, f'/proc/{pid}/maps'),
        'fd': refused(os.listdir, f'/proc/{pid}/fd'),
        'root': refused(os.listdir, f'/proc/{pid}/root'),
        'pidfd_getfd': c('syscall', 438, c_fd, 0, 0) if (c_fd := os.pidfd_open(pid)) >= 0 else '',
    }
"""
    )
    assert result.pop("zygotes") == 1
    allowed = {(pid, k): v for pid, row in result.items() for k, v in row.items() if v not in DENIED}
    assert not allowed, allowed
    alive(hostile_box)


@pytest.mark.parametrize("number", ["KILL", "TERM", "STOP", "HUP", "QUIT", "USR1", "SEGV", "ALRM", "INT"])
def test_agent_survives_signals(number: str, inside: Inside, hostile_box: Box) -> None:
    """A signal sent to process 1 from inside does nothing."""
    code = f"import os, signal\nfor _ in range(3): os.kill(1, signal.SIG{number})\nresult = os.getpid()"
    assert inside(code) > 1
    alive(hostile_box)
    stat = Path(f"/proc/{hostile_box.workspace.container.pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", what="the agent sleeping, not stopped")


def test_agent_does_not_serve_the_inside(inside: Inside, hostile_box: Box) -> None:
    """Whoever connects to the agent from inside gets not a byte: no claim, no lease, no stop."""
    requests = [{"id": 1, "op": "hello", "version": 1, "claim": True, "seconds": 9}, {"id": 2, "op": "stop"}]
    result = inside(
        f"""
import json, socket, struct
requests = {requests!r}
result = []
for first in (requests, requests[1:], []):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        try:
            peer.connect('/run/syla/agent')
            for request in first:
                body = json.dumps(request).encode()
                peer.sendall(struct.pack('!I', len(body)) + body)
            result.append(len(peer.recv(100)))
        except OSError as exc:
            result.append(type(exc).__name__)
"""
    )
    assert all(answer in (0, "ConnectionResetError", "BrokenPipeError") for answer in result), result
    alive(hostile_box)


def test_engine_is_out_of_reach(inside: Inside, hostile_box: Box, hostile_host: Host) -> None:
    """No engine socket, no other container's directory: the only sockets seen are the workspace's own."""
    result = inside(
        REFUSED
        + """
seen = subprocess.run(['find', '/', '-xdev', '-type', 's'], capture_output=True, text=True).stdout.split()
seen += ['/run/syla/' + name for name in os.listdir('/run/syla')]
result = {'seen': seen, 'engine': [os.path.exists(p) for p in ('/var/run/docker.sock', '/run/docker.sock',
          '/run/containerd/containerd.sock')], 'proc': [open('/proc/mounts').read().count('docker.sock')]}
"""
    )
    assert not any(result["engine"])
    assert result["proc"] == [0]
    mine = {path.name for path in hostile_box.workspace.run.container_side.iterdir()}
    assert {name.rpartition("/")[2] for name in result["seen"]} <= mine
    sources = [mount["Source"] for mount in hostile_host.inspect(hostile_box.workspace)["Mounts"]]
    assert not [source for source in sources if source.endswith(".sock") or "docker" in source]


def test_neighbours_are_out_of_reach(hostile_box: Box, hostile_host: Host) -> None:
    """A second workspace's files, sockets, abstract sockets and processes do not exist for the first."""
    with hostile_host.box() as other:
        other.kernel()
        run = other.workspace.run
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("\0syla-hostile-test")
        listener.listen()
        paths = [
            str(run.agent_socket),
            str(run.container_side / "agent"),
            *map(str, run.path.parent.glob(f"k/{run.id}k-*")),
        ]
        result = hostile_box.python(
            REFUSED
            + f"""
result = [refused(socket.socket(socket.AF_UNIX).connect, path) for path in {paths!r}]
result.append(refused(socket.socket(socket.AF_UNIX).connect, '\\0syla-hostile-test'))
result.append(len([p for p in os.listdir('/proc') if p.isdigit() and 'kernel' in open(f'/proc/{{p}}/comm').read()]))
"""
        )
        assert len(paths) == 7
        assert result == ["ENOENT"] * 7 + ["ECONNREFUSED", 0]
        assert not select.select([listener], [], [], 0)[0]
        listener.close()
        assert other.cell("print(6 * 7)")[0] == "42\n"


@pytest.fixture(scope="module")
def host_services() -> Iterator[list[socket.socket]]:
    """TCP listeners on every address of the host, as a local service has them."""
    addresses = json.loads(subprocess.run(["ip", "-json", "addr"], capture_output=True, check=True).stdout)
    listeners = []
    for entry in (info for link in addresses for info in link["addr_info"] if info["scope"] != "link"):
        listener = socket.socket(socket.AF_INET6 if entry["family"] == "inet6" else socket.AF_INET)
        listener.bind((entry["local"], 0))
        listener.listen()
        listeners.append(listener)
    yield listeners
    for listener in listeners:
        listener.close()


def test_no_network(inside: Inside, hostile_box: Box, host_services: list[socket.socket]) -> None:
    """With network none, host services, metadata services and names are refused at once, over TCP and UDP."""
    addresses = [listener.getsockname()[:2] for listener in host_services]
    assert any(address[0].startswith("172.17.") for address in addresses), "no docker bridge on this host"
    targets = [*addresses, *((address, 80) for address in METADATA), ("192.0.2.1", 443), ("172.17.0.1", 2375)]
    result = inside(
        REFUSED
        + f"""
result = {{'tcp': {{}}, 'udp': {{}}, 'links': os.listdir('/sys/class/net')}}
started = time.monotonic()
for address, port in {targets!r}:
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
        tcp.settimeout(5)
        result['tcp'][address] = refused(tcp.connect, (address, port))
        result['udp'][address] = refused(udp.connect, (address, port))
try:
    result['name'] = repr(socket.getaddrinfo('example.com', 80))
except socket.gaierror as exc:
    result['name'] = 'refused'
result['seconds'] = time.monotonic() - started
"""
    )
    own = {"127.0.0.1", "::1"}  # loopback: the container's own, where nobody listens
    assert {a: e for a, e in result["tcp"].items() if e not in ("ENETUNREACH", "EADDRNOTAVAIL") and a not in own} == {}
    assert {result["tcp"][a] for a in own & set(result["tcp"])} <= {"ECONNREFUSED", "EADDRNOTAVAIL", "ENETUNREACH"}
    assert {a: e for a, e in result["udp"].items() if e not in ("ENETUNREACH", "EADDRNOTAVAIL") and a not in own} == {}
    assert result["name"] == "refused"
    assert result["seconds"] < 5
    assert not select.select(host_services, [], [], 0)[0], "something arrived at a host service"


def test_workspaces_with_egress_do_not_reach_each_other(hostile_host: Host) -> None:
    """On the bridge of the default workspaces one container cannot connect to another's port."""
    spec = replace(hostile_host.spec(), network=Network.EGRESS)
    with hostile_host.box(spec) as first, hostile_host.box(spec) as second:
        first.cell("import socket; s = socket.socket(); s.bind(('0.0.0.0', 8765)); s.listen()")
        networks = hostile_host.inspect(first.workspace)["NetworkSettings"]["Networks"]
        address = networks["syla-egress"]["IPAddress"]
        code = REFUSED + f"s = socket.socket(); s.settimeout(1.5)\nresult = refused(s.connect, ('{address}', 8765))"
        assert second.python(code) != "None"
        assert first.python(code) == "None", "the listener itself does not work"
        assert first.cell("s.settimeout(30); print(s.accept()[1][0] == '" + address + "')")[0] == "True\n"


def test_no_secret_of_the_host(hostile_host: Host, hostile_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the process that starts kernels stays outside: of processes, inspect and command lines."""
    monkeypatch.setenv("HOST_SECRET", SECRET)
    given = {**os.environ, "TZ": "UTC", "JPY_SESSION_NAME": "/somewhere/nb.ipynb"}
    env = kernel_environment(hostile_host.app.settings, {"FROM_SPEC": "1"}, given, "/workspace")
    assert set(env) <= {"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "COLUMNS", "LINES", "FROM_SPEC",
                        "JPY_SESSION_NAME"}  # fmt: skip
    with hostile_host.box() as box:
        box.workspace.start_kernel("s", key=b"k" * 32, cwd="/workspace", env=env, timeout=60)
        code = """
import glob
result = ''
for name in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):
    try:
        result += open(name).read()
    except OSError:
        pass
"""
        text = box.python(code)
        assert "FROM_SPEC" in text or "OMP_NUM_THREADS" in text
        assert SECRET not in text
        assert SECRET not in json.dumps(hostile_host.inspect(box.workspace))
        for path in box.workspace.run.path.rglob("*"):
            assert path.is_dir() or path.is_socket() or SECRET not in path.read_text(errors="replace"), path


def test_no_setuid_file_on_the_host(hostile_host: Host) -> None:
    """Code cannot leave a setuid or setgid program in the host directory it was given."""
    directory = hostile_host.directory()
    with hostile_host.box(hostile_host.spec("rw", directory)) as box:
        code = """
import os, shutil
shutil.copy('/bin/sh', '/workspace/sh')
for act in (lambda: os.chmod('/workspace/sh', 0o6755),
            lambda: os.close(os.open('/workspace/made', os.O_CREAT | os.O_WRONLY, 0o6755)),
            lambda: os.mknod('/workspace/node', 0o106755)):
    try:
        act()
    except OSError:
        pass
result = True
"""
        assert box.python(code)
    modes = {path.name: oct(path.stat().st_mode) for path in directory.iterdir() if path.stat().st_mode & 0o6000}
    assert not modes, modes
