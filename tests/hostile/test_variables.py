"""What hostile code in a workspace makes of saving and restoring variables: the host is told lies, and is unharmed."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from syla_jupyter.workspaces import variables
from syla_jupyter.workspaces.variables_due import Due, is_key, keys_of, variables_key

from .conftest import Box, Host

SLOT = "deadbeef"
KEY = variables_key("", SLOT)
PLACE = "/home/syla/.local/state/syla/variables"

ANSWER = """
import json
def answer(content, loop=None):
    kernel = get_ipython().kernel
    def reply(stream, ident, request):
        kernel.session.send(stream, 'syla_variables_save_reply', content(), request, ident)
    kernel.control_handlers['syla_variables_save_request'] = reply
"""
LIES = {
    "huge": "{'status': 'ok', 'variables': [{'name': 'x' * 1000, 'status': 'lost', 'reason': 'y' * 9000000}] * 3}",
    "many": "{'status': 'ok', 'total': 10**6, 'variables': [{'name': 'v%d' % n, 'status': 'saved'} for n in range(50000)]}",
    "wrong types": "{'status': 'ok', 'variables': [7, None, {'name': {}, 'status': []}, {'status': 'saved', 'name': 5}], 'total': 'x'}",
    "escapes": "{'status': 'ok', 'variables': [{'name': '\\x1b]0;owned\\x07\\nfake line', 'status': 'lost', 'type': '\\x1b[2J', 'reason': '\\r'}]}",
    "numbers": "{'status': 'ok', 'variables': [], 'total': 10**400, 'seconds': float('nan'), 'new_bytes': -5, 'stored_bytes': True}",
    "an error": "{'status': 'error', 'reason': 'z' * 100000}",
    "nothing": "{}",
}


@pytest.fixture(scope="module")
def kept(hostile_host: Host) -> Iterator[Box]:
    """A workspace with a home on the host, as one with a record has it."""
    home = hostile_host.directory() / "home"
    box = Box(hostile_host.service.start(replace(hostile_host.spec(), home=home)))
    yield box
    box.close()


def home_of(box: Box) -> Path:
    assert box.workspace.spec.home is not None
    return box.workspace.spec.home


def test_what_a_kernel_says_is_cut_checked_and_shown_as_text(kept: Box) -> None:
    kept.cell(ANSWER, SLOT)
    for name, lie in LIES.items():
        kept.cell(f"answer(lambda: {lie})", SLOT)
        began = time.monotonic()
        report = variables.save(kept.workspace, seconds=1)
        assert time.monotonic() - began < 30, name
        (kernel,) = report.kernels
        assert kernel.key == KEY
        assert len(kernel.variables) <= variables.VARIABLES_MAX
        assert 0 <= kernel.total < 1 << 62
        assert kernel.new_bytes >= 0
        assert kernel.seconds >= 0
        lines = report.lines()
        assert len(lines) <= variables.LINES_MAX + 1
        assert all(line.isprintable() and len(line) < 2000 for line in lines), name
        assert sum(map(len, map(str, report.details().values()))) < 1 << 20
        assert set(keys_of(report.details())) <= {KEY}


def test_a_kernel_that_never_answers_is_waited_for_a_while(kept: Box) -> None:
    kept.cell("import time\ndef never(*_): time.sleep(60)", SLOT)
    for request in ("syla_variables_save_request", "syla_variables_report_request"):
        kept.cell(f"get_ipython().kernel.control_handlers[{request!r}] = never", SLOT)
    began = time.monotonic()
    (kernel,) = variables.save(kept.workspace, seconds=1).kernels
    assert kernel.error
    assert time.monotonic() - began < 20
    process, _ = kept.kernel(SLOT)  # once: asked again after its end, there is a new one
    process.signal(9)
    process.done.result(20)


def test_what_lies_in_the_home_is_neither_followed_nor_unpickled_by_the_host(
    kept: Box, hostile_host: Host, tmp_path: Path
) -> None:
    """Links where files are to be, a pickle that runs code, a manifest that names files elsewhere, one that is too big:
    nothing happens on the host, and the kernel starts without what makes no sense."""
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    witness = Path("/tmp") / f"syla-owned-{secrets.token_hex(4)}"
    due = Due(home_of(kept))
    traps = {
        "links": f"os.symlink('/', {PLACE!r} + '/blobs'); os.symlink({str(secret)!r}, {PLACE!r} + '/manifest.json')",
        "a directory that is a link": f"os.rmdir({PLACE!r}); os.symlink({str(tmp_path)!r}, {PLACE!r})",
        "elsewhere": "manifest('../../../../etc/passwd')",
        "no manifest": "open(target + '/manifest.json', 'wb').write(b'{' * 1000)",
        "too big": "open(target + '/manifest.json', 'wb').write(b' ' * (70 << 20) + b'{}')",
        "a pickle": "manifest(blob(b'cos\\nsystem\\n(S\"touch " + str(witness) + "\"\\ntR.'))",
    }
    for name, trap in traps.items():
        code = f"""
import hashlib, json, os, shutil, stat
shutil.rmtree({PLACE!r}, ignore_errors=True) if not os.path.islink({PLACE!r}) else os.unlink({PLACE!r})
target = {PLACE + "/" + KEY!r}
def blob(data):
    digest = hashlib.sha256(data).hexdigest()[:40]
    os.makedirs(target + '/blobs/' + digest[:2], exist_ok=True)
    open(target + '/blobs/' + digest[:2] + '/' + digest, 'wb').write(data)
    blob.size = len(data)
    return digest
blob.size = 10
def manifest(digest):
    group = dict(names=['x'], key='k', stream=dict(size=blob.size, chunks=[digest]), buffers=[], code=False, single=True)
    made = dict(format=1, groups=[group], modules={{}}, versions={{}}, path=['/'], refused={{}},
                variables=dict(x=dict(status='saved', type='int', bytes=1, reason='', notes=[])))
    open(target + '/manifest.json', 'w').write(json.dumps(made))
os.makedirs({PLACE!r} if 'link' in {name!r} else target)
{trap}
result = 1
"""
        kept.python(code)
        due.replace([KEY])
        process, _ = kept.kernel(SLOT)
        text, reply = kept.cell("print('alive', globals().get('x', 'nothing'))", SLOT)
        assert text.startswith("alive"), (name, reply)
        assert name == "a pickle" or "nothing" in text
        assert due.keys() == []
        assert not witness.exists(), name
        assert secret.read_text() == "of the host"
        variables.save(kept.workspace, seconds=10)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["secret"], name
        process.signal(9)
        process.done.result(20)


def test_the_container_cannot_say_what_is_due(kept: Box) -> None:
    """The notes lie beside the home, which is all that the container sees of that directory."""
    due = Due(home_of(kept))
    due.replace([KEY])
    (note,) = (path for path in home_of(kept).parent.iterdir() if path.name.endswith(".due"))
    found = kept.python(
        "import os\nresult = [n for top in ('/home', '/run', '/workspace') for _, d, f in os.walk(top) for n in d + f]"
    )
    assert note.name not in found
    assert (note / KEY).stat().st_uid == os.geteuid()
    due.replace([])
    assert not note.exists()


@pytest.mark.parametrize("wrong", ["../x", "a/b", "", "notebook-" + "g" * 32, "repl\n", "x" * 500, None, 7, "."])
def test_what_is_no_key_is_none(wrong: object, tmp_path: Path) -> None:
    assert not is_key(wrong)
    assert keys_of({"kernels": [{"key": wrong, "error": ""}]}) == []
    if isinstance(wrong, str):
        with pytest.raises(ValueError):
            Due(tmp_path / "home").note(wrong, "")
        assert not list(tmp_path.iterdir())


def test_details_of_a_version_may_be_anything() -> None:
    for details in (None, 5, [], {}, {"kernels": 7}, {"kernels": [None, 3, {"key": ["repl"]}]}):
        assert keys_of(details) == []
    assert keys_of({"kernels": [{"key": "repl"}, {"key": "repl", "error": "no"}]}) == ["repl"]
