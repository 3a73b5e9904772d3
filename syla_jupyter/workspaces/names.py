"""What a workspace may be called: a name for people that is also one directory and one segment of an address.

Letters and digits of any script, their marks, and `-`, `_`, `.`, space: an allow-list, so that whatever a shell, an
address or another file system takes for more than text is out by itself. Characters that cannot be seen or that turn
the direction of the text are out too, and with them the joiners that some scripts use.

Names are unique per owner whatever their case (`same_name`). *Look-alikes* (a Cyrillic `а` in `data`) are two names:
they can only confuse the one who chose both, because a name is looked up among its owner's, and a shared workspace is
shown with its owner. Only the words that mean something to us are protected against other forms of their letters.
"""

from __future__ import annotations

import re
import unicodedata

from ..metadata.base import name_key
from ..model.errors import BadInput
from ..model.workspace import DEFAULT_WORKSPACE

LENGTH_MAX = 63
"""Characters; bounds what a list or a tab has to show."""
BYTES_MAX = 200
"""In UTF-8, below the 255 of a directory entry: room for a suffix while it is moved."""
GIVEN_MAX = 16 * LENGTH_MAX
"""No text longer than this is looked at; composing shortens a name by much less."""

RIGHT_FORM = (
    f"Use 1 to {LENGTH_MAX} letters, digits, spaces, '-', '_' and '.', beginning with a letter, a digit or '_' "
    "and not ending with '.' or a space"
)
PUNCTUATION = frozenset("-_. ")
CATEGORIES = frozenset({"Ll", "Lu", "Lt", "Lo", "Lm", "Mn", "Mc", "Nd"})
INVISIBLE = frozenset(
    # Letters and marks of Unicode's Default_Ignorable_Code_Point: drawn as nothing.
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)
DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})
"""Windows opens a device where a file has one of these names, whatever follows a dot."""
RESERVED = frozenset({DEFAULT_WORKSPACE, "workspaces", "ephemeral"})
LOOKS_LIKE_AN_ID = re.compile(r"[0-9a-f]{12}")


def check_name(text: str, *, default_allowed: bool = False) -> str:
    """The name in Unicode NFC; `BadInput` for `name` where it cannot be one.

    `default_allowed`: the caller makes a default workspace, whose name nobody else gets.
    """
    if len(text) > GIVEN_MAX:
        raise BadInput("name", f"{len(text)} characters are too many", RIGHT_FORM)
    name = unicodedata.normalize("NFC", text)
    wrong = _wrong_form(name)
    if wrong:
        raise BadInput("name", f"{_shown(text)} {wrong}", RIGHT_FORM)
    word = _word(name)
    if name == DEFAULT_WORKSPACE and default_allowed:
        return name
    if word in RESERVED or word.partition(".")[0].rstrip(" ") in DEVICES:
        raise BadInput("name", f"{_shown(name)} is reserved", f"Put a word before it, such as {_shown('my-' + name)}")
    if LOOKS_LIKE_AN_ID.fullmatch(word):
        raise BadInput("name", f"{_shown(name)} looks like the id of a workspace", "Put a word before it")
    return name


def same_name(name: str) -> str:
    """Equal for two names that are the same to their owner, whatever their case and composition: the store's key."""
    return name_key(name)


def _wrong_form(name: str) -> str:
    if not name:
        return "is empty"
    for character in name:
        if not _allowed(character):
            label = unicodedata.name(character, "no character with a name")
            return f"holds U+{ord(character):04X} ({label})"
    if len(name) > LENGTH_MAX:
        return f"has {len(name)} characters, {LENGTH_MAX} at most"
    if len(name.encode()) > BYTES_MAX:
        return f"takes {len(name.encode())} bytes, {BYTES_MAX} at most"
    # A mark in front would be drawn on whatever stands before the name.
    if name[0] in "-. " or unicodedata.category(name[0]).startswith("M"):
        return f"begins with {_shown(name[0])}"
    if name[-1] in ". ":
        return f"ends with {_shown(name[-1])}"
    return "holds '..'" if ".." in name else ""


def _allowed(character: str) -> bool:
    if character in PUNCTUATION:
        return True
    return unicodedata.category(character) in CATEGORIES and character not in INVISIBLE


def _word(name: str) -> str:
    """For the comparison with words of ours: full-width and other forms of the same letters count as these."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _shown(text: str) -> str:
    """Quoted, shortened, and with everything escaped that a terminal or a log would obey."""
    return repr(text if len(text) <= 2 * LENGTH_MAX else text[:LENGTH_MAX] + "…")
