# SPDX-License-Identifier: Apache-2.0
"""Markdown tables: the one place where cells are escaped, aligned and joined."""

from collections.abc import Collection, Mapping, Sequence

from .legible_text import legible, without_tags

NOTHING = "–"


def markdown_table(rows: Sequence[Mapping[str, str]], texts: Collection[str] = ()) -> str:
    """Return rows as a Markdown table, without the columns that are empty in every row.

    Args:
        rows: Cells of each row by column title; the first row sets the columns and their order.
        texts: Titles of the columns that hold text and are aligned left; numbers are aligned right.

    Example:
        >>> print(markdown_table([{"Method": "EEGNet", "AUROC": "0.749"}], texts=["Method"]))
        | Method | AUROC |
        | :-- | --: |
        | EEGNet | 0.749 |
    """
    columns = [title for title in rows[0] if any(row[title] != NOTHING for row in rows)]
    alignment = [":--" if title in texts else "--:" for title in columns]
    cells = [[without_tags(row[title]) for title in columns] for row in rows]
    lines = [[without_tags(title) for title in columns], alignment, *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape_cell(text: str) -> str:
    """Return text that can neither end its cell nor its row."""
    return legible(" ".join(text.split())).replace("|", "\\|")
