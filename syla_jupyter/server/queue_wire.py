"""What travels about cells that the server runs into shared documents."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .wire import Wire

INPUT_MAX = 1 << 18


class AnswerInput(Wire):
    value: str = Field(max_length=INPUT_MAX)


class InputShown(Wire):
    prompt: str
    password: bool


class RunShown(Wire):
    id: str = Field(description="Of the execution.")
    kernel: str
    path: str = Field(description="Of the notebook.")
    cell: str = Field(description="Its id.")
    user: str = Field(description="Who asked for it.")
    position: int = Field(description="0: it runs.")
    asked_at: datetime
    waits_for_input: bool
    input: InputShown | None = Field(description="What it asks for, of who ran it; he alone answers.")


class RunQueue(Wire):
    runs: list[RunShown]
