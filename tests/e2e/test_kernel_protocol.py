"""The kernel speaks Jupyter's protocol: jupyter_kernel_test, unmodified, against `syla-python`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jupyter_kernel_test
import pytest

from tests.installation import Installation


@pytest.fixture(scope="module", autouse=True)
def idle_afterwards(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Kernels start in an empty directory and are all gone after the module."""
    with pytest.MonkeyPatch.context() as patch:
        directory: Path = tmp_path_factory.mktemp("protocol")
        patch.chdir(directory)
        yield
    installation.assert_idle()


class TestSylaPython(jupyter_kernel_test.KernelTests):
    kernel_name = "syla-python"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [
        {"text": "zi", "matches": {"zip"}},
        {"text": "import numpy; numpy.linspa", "matches": {"linspace"}},
    ]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n"]
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]
    invalid_code_samples = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise ValueError('on purpose')"
    code_execute_result = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
        {"code": "__import__('os').getcwd()", "result": "'/workspace'"},
    ]
    code_display_data = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))", "mime": "text/latex"},
    ]
    code_history_pattern = "1?2*"
    # No "range": IPython gives the running session as session 0 there, in a local kernel too.
    supported_history_operations = ("tail", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


class TestIopubWelcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "syla-python"
    support_iopub_welcome = True
