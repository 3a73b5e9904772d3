"""The name of a template's image: `syla-<template>:<12 hex>`, the digits a hash of everything the image is made from.

So "is the image current" is "is there an image of this name", and a changed template is another image. Asks nobody and
imports nothing heavy: it is on the path of every kernel start.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

from ..model.template import Template


def image_reference(template: Template) -> str:
    """Pure but for the package's own Dockerfile, microseconds."""
    if template.image:
        return template.image
    made_from = [dockerfile(), template.packages, template.debian_packages, template.base]
    digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
    return f"syla-{template.name}:{digest[:12]}"


@functools.cache
def dockerfile() -> str:
    return (Path(__file__).parent / "Dockerfile").read_text(encoding="utf-8")
