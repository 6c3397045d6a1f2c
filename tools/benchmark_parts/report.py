# SPDX-License-Identifier: Apache-2.0
"""The figures of all parts in one JSON file, and the tables that a page has of them.

A page holds `<!-- benchmark PART -->` and `<!-- end -->`; what stands between is written here, and the rest
is left as it is. `<!-- benchmark aims -->` names the aims that are missed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark_parts import growth
from benchmark_parts.timing import Row
from eeg_hf.tables import markdown_table

AIMS = "aims"
_PLACE = re.compile(r"<!-- benchmark (\w+) -->\n(?:.*?\n)??<!-- end -->", re.DOTALL)
Part = Mapping[str, Any]
"""What is known of a measured part: `rows`, and how they came about (`machine`, `options`, `commit`, ...)."""


def update(path: Path, part: str, measured: Part) -> None:
    """Replace a part of the file, keep the others, and write the tables of the page beside it."""
    parts = read_parts(path) if path.exists() else {}
    parts[part] = dict(measured)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = path.with_suffix(".md")
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Speed\n\n{_place(AIMS)}"
    page.write_text(fill_page(text, parts), encoding="utf-8")
    if part == "growth":
        growth.plot_growth(read_rows(parts[part]), path.with_name("growth.png"))


def read_parts(path: Path) -> dict[str, Part]:
    """Return what is known of each part.

    Raises:
        ValueError: If the file is not one that this tool wrote.
    """
    parts = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(parts, dict) or not all(
        isinstance(part, dict) and "rows" in part for part in parts.values()
    ):
        raise ValueError(f"{path}: expected a file of this tool, with rows by part; name another by --output")
    return parts


def read_rows(part: Part) -> list[Row]:
    """Return the rows of a part."""
    return [Row(**row) for row in part["rows"]]


def fill_page(text: str, parts: Mapping[str, Part]) -> str:
    """Return a page with the tables of all parts; those without a place get one at the end."""
    places = _PLACE.findall(text)
    text += "".join(f"\n## {part}\n\n{_place(part)}" for part in parts if part not in places)

    def fill(place: re.Match[str]) -> str:
        part = place[1]
        if part == AIMS:
            return _place(part, describe_aims(parts)).rstrip("\n")
        return _place(part, describe_part(part, parts[part]) if part in parts else "Not measured.").rstrip(
            "\n"
        )

    return _PLACE.sub(fill, text)


def describe_part(name: str, part: Part) -> str:
    """Return the table of a part, and a line that says how it was measured."""
    rows = read_rows(part)
    table = growth.as_table(rows) if name == "growth" else as_table(rows)
    return f"{table}\n\n{describe_origin(name, part)}"


def as_table(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table, without empty columns."""
    cells = [row.cells() for row in rows]
    titles = [title for title in cells[0] if any(row[title] for row in cells)]
    kept = [{title: row[title] for title in titles} for row in cells]
    return markdown_table(kept, texts=["what", "beside", "aim"])


def describe_origin(name: str, part: Part) -> str:
    """Return a line with the machine, the day, the commit and the options."""
    command = f"`python tools/benchmark.py --parts {' '.join([name, part.get('options', '')]).strip()}`"
    machine = [f"{title} {value}".strip() for title, value in part["machine"].items()]
    commit = f"commit `{part['commit']}`" if part.get("commit") else ""
    return ", ".join(filter(None, [command, *machine, commit, part["date"]])) + "."


def describe_aims(parts: Mapping[str, Part]) -> str:
    """Return a sentence with the aims that are reached, and the rows that miss theirs."""
    rows = [row for part in parts.values() for row in read_rows(part) if row.is_reached is not None]
    missed = [row for row in rows if not row.is_reached]
    count = f"Aims reached: {len(rows) - len(missed)} of {len(rows)}."
    return f"{count} Missed:\n\n{as_table(missed)}" if missed else count


def _place(part: str, content: str = "") -> str:
    return f"<!-- benchmark {part} -->\n{content}\n<!-- end -->\n"
