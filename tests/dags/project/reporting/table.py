"""Plain text tables."""

from __future__ import annotations


def as_table(row: dict[str, str]) -> str:
    return "\n".join(f"{name:>5} | {value}" for name, value in row.items())
