"""Templates: found by name, the user's first, every mistake named with its file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.model.errors import BadInput, UnknownTemplate
from syla_jupyter.model.template import Template
from syla_jupyter.runtimes.templates import Templates, read, written


def test_the_package_brings_a_python_and_a_bash_kernel(tmp_path: Path) -> None:
    """Without any file of the user there are `python`, from a zygote, and `bash`, from a command."""
    templates = Templates(tmp_path)
    assert templates.names() == ["bash", "python"]
    python, bash = templates.get("python"), templates.get("bash")
    assert python.has_zygote
    assert python.display_name == "Python 3 (Syla)"
    assert python.preload == ("numpy", "pandas")
    assert not bash.has_zygote
    assert bash.language == "bash"
    assert "{connection_file}" in bash.kernel_argv


def test_an_unknown_name_lists_the_known_and_says_how_to_make_one(tmp_path: Path) -> None:
    """A name nobody has made is refused with the names there are and the command that makes one."""
    with pytest.raises(UnknownTemplate, match=r"'julia'; known: bash, python.*syla image build NAME"):
        Templates(tmp_path).get("julia")


@pytest.mark.parametrize("name", ["../python", "/etc/passwd", "", ".hidden", "a/b", "Python"])
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    """A name that could leave the folder is unknown even when a file is there."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "python.toml").write_text("")
    with pytest.raises(UnknownTemplate):
        Templates(tmp_path).get(name)


def test_a_saved_template_wins_over_the_built_in_of_that_name(tmp_path: Path) -> None:
    """What is saved comes back equal, is listed once, and hides the package's own."""
    templates = Templates(tmp_path)
    mine = Template("python", 'My "Python"\n\x7f', "python", packages=("polars>=1",), debian_packages=("git",))
    templates.save(mine)
    assert templates.get("python") == mine
    assert templates.names() == ["bash", "python"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """A text that cannot be encoded stops the save; the former file is whole and no draft stays."""
    templates = Templates(tmp_path)
    old = Template("mine", "Mine", "python")
    templates.save(old)
    with pytest.raises(UnicodeEncodeError):
        templates.save(Template("mine", "\ud800", "python"))
    assert templates.get("mine") == old
    assert [path.name for path in (tmp_path / "templates").iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("packages = [", r"mine\.toml: cannot be read as TOML"),
        ("pakages = []", r"mine\.toml: pakages: is not a key of a template.*Keys: .*packages"),
        ("packages = 'numpy'", r"mine\.toml: packages: must be a list of strings"),
        ("packages = ['numpy', 1]", r"mine\.toml: packages: must be a list of strings"),
        ("base = 3", r"mine\.toml: base: must be a string"),
        ("packages = ['-r /etc/passwd']", r"mine\.toml: packages: '-r /etc/passwd' is not a pip requirement"),
        ("preload = ['os; x']", r"mine\.toml: preload: 'os; x' is not the name of a module"),
        ("debian_packages = ['A B']", r"mine\.toml: debian_packages: 'A B' is not the name of a Debian"),
    ],
)
def test_a_mistake_in_a_file_names_the_file_and_the_key(tmp_path: Path, text: str, named: str) -> None:
    """Every kind of mistake is the user's to correct, so the message says where it is; it is one line."""
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "mine.toml").write_text(text)
    with pytest.raises(BadInput, match=named) as caught:
        Templates(tmp_path).get("mine")
    assert "\n" not in str(caught.value)


@given(text=st.text(st.characters(codec="utf-8"), max_size=50))
def test_any_text_survives_being_written(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a display name holds, reading what was written gives it back."""
    path = tmp_path_factory.mktemp("round") / "t.toml"
    template = Template("t", text, "python", kernel_argv=(text, "{connection_file}"))
    path.write_bytes(written(template).encode())
    assert read(path) == template
