"""Templates as files: the package's own in `templates/` beside this file, a user's in `<data>/templates/`.

The file's name is the template's name, its keys are the fields of `model.template.Template`; a user's file wins
by name. Every mistake in a file is reported with the file and the key.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..model.errors import BadInput, UnknownTemplate
from ..model.template import NAME, Template

_BUILT_IN = Path(__file__).parent / "templates"
_TEXTS = ("display_name", "language", "base", "image")
_LISTS = ("packages", "debian_packages", "kernel_argv", "preload")


class Templates:
    """All templates of one installation; a file that changed is read again, so an edit counts at once."""

    def __init__(self, data_dir: Path) -> None:
        self._own = data_dir / "templates"
        self._read: dict[Path, tuple[tuple[int, int], Template]] = {}

    def get(self, name: str) -> Template:
        """Raises `UnknownTemplate`, or `BadInput` when the file is wrong."""
        if NAME.fullmatch(name):
            for folder in (self._own, _BUILT_IN):
                path = folder / f"{name}.toml"
                try:
                    details = path.stat()
                except OSError:
                    continue
                version = (details.st_mtime_ns, details.st_size)
                known = self._read.get(path)
                if known is None or known[0] != version:
                    known = self._read[path] = (version, read(path))
                return known[1]
        raise UnknownTemplate(
            "template", f"there is none named {name!r}; known: {', '.join(self.names())}",
            "Make one: `syla image build NAME --packages PACKAGE...`",
        )  # fmt: skip

    def names(self) -> list[str]:
        found = {path.stem for folder in (self._own, _BUILT_IN) for path in folder.glob("*.toml")}
        return sorted(name for name in found if NAME.fullmatch(name))

    def save(self, template: Template) -> Path:
        """Write the user's file of this name: the whole of it or, when the machine stops, nothing."""
        self._own.mkdir(parents=True, exist_ok=True)
        path = self._own / f"{template.name}.toml"
        handle, draft = tempfile.mkstemp(prefix=f".{template.name}-", dir=self._own)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(written(template))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        return path


def read(path: Path) -> Template:
    """The template in a file; the name is the file's."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise BadInput(str(path), f"cannot be read as TOML: {exc}") from exc
    for key, value in table.items():
        if key in _TEXTS and not isinstance(value, str):
            raise BadInput(f"{path}: {key}", "must be a string")
        if key in _LISTS and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise BadInput(f"{path}: {key}", "must be a list of strings")
        if key not in _TEXTS + _LISTS:
            raise BadInput(f"{path}: {key}", "is not a key of a template", f"Keys: {', '.join(_TEXTS + _LISTS)}")
    values: dict[str, Any] = {key: tuple(value) if key in _LISTS else value for key, value in table.items()}
    try:
        return Template(path.stem, **{"display_name": path.stem, "language": "python", **values})
    except ValueError as exc:  # the message opens with the key
        raise BadInput(str(path), str(exc)) from exc


def written(template: Template) -> str:
    """TOML of a template, fields at their default left out."""
    lines = []
    for field in fields(Template):
        value = getattr(template, field.name)
        if field.name == "name" or value == field.default:
            continue
        text = _quoted(value) if isinstance(value, str) else f"[{', '.join(map(_quoted, value))}]"
        lines.append(f"{field.name} = {text}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's, with the one character escaped that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
