"""What a server does not do on its host, asked as a client may ask."""

from __future__ import annotations

import json
from typing import Any

import nbformat
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from tests.lab import HEADERS, Lab


async def ask(lab: Lab, path: str, method: str = "GET", body: Any = None) -> tuple[int, str]:
    request = HTTPRequest(
        f"http://127.0.0.1:{lab.port}{path}",
        method=method,
        headers=HEADERS,
        body=None if body is None else json.dumps(body),
        request_timeout=60,
    )
    answer = await AsyncHTTPClient(force_instance=True).fetch(request, raise_error=False)
    return answer.code, answer.body.decode(errors="replace")


async def test_nothing_is_installed_on_the_host(lab_server: Lab) -> None:
    """The extension manager is read-only."""
    body = {"cmd": "install", "extension_name": "jupyterlab-no-such-extension"}
    status, _ = await ask(lab_server, "/lab/api/extensions", "POST", body)
    assert status >= 400
    assert '"name": "read-only"' in (await ask(lab_server, "/lab"))[1]


async def test_no_language_server_runs_on_the_host(lab_server: Lab) -> None:
    assert (await ask(lab_server, "/lsp/status"))[0] == 404


async def test_an_export_runs_nothing_on_the_host(lab_server: Lab) -> None:
    """A template beside the notebooks, where the server was started, is not used; TeX and browsers are not offered."""
    mark = lab_server.data_dir.parent / "mark"
    template = lab_server.root / "lab"
    template.mkdir()
    (template / "conf.json").write_text(json.dumps({"base_template": "base"}))
    program = "{{ cycler.__init__.__globals__.os.mkdir('MARK') }}"
    (template / "index.html.j2").write_text(program.replace("MARK", str(mark)))
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("A title")]), lab_server.root / "a.ipynb"
    )
    status, html = await ask(lab_server, "/nbconvert/html/a.ipynb")
    assert status == 200, html
    assert "A title" in html
    assert not mark.exists()
    offered = json.loads((await ask(lab_server, "/api/nbconvert"))[1])
    assert "html" in offered
    for format in ("pdf", "webpdf", "qtpdf", "qtpng"):
        assert format not in offered
        assert (await ask(lab_server, f"/nbconvert/{format}/a.ipynb"))[0] >= 400
