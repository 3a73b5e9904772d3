"""How Chromium is started without a screen, by tests and by the bench: for root too, and without asking the network."""

from __future__ import annotations

FLAGS = [
    "--no-sandbox",  # for root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
