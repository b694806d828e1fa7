"""Small helpers beside the Dag file."""

from __future__ import annotations


def slug(text: str) -> str:
    return "-".join(text.lower().split())
