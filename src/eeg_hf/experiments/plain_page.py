# SPDX-License-Identifier: Apache-2.0
"""A page in one file, without scripts or anything from the network, for light and dark and narrow screens."""

import html
from pathlib import Path

from ..atomic_files import write_text

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; }} p, li {{ overflow-wrap: anywhere; }}
td {{ overflow-wrap: break-word; }} .number {{ white-space: nowrap; }}
@media (max-width: 48rem) {{ td, th {{ padding: 0.25em 0.3em; font-size: 0.8rem; }} }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
td, th {{ padding: 0.25em 0.7em; border-bottom: 1px solid #8886; text-align: left; vertical-align: top; }}
.alarm {{ border-left: 4px solid #D55E00; padding: 0.3em 0.8em; }}
.quiet {{ border-left: 4px solid #009E73; padding: 0.3em 0.8em; }}
.figures {{ display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }}
figure {{ margin: 0; }} figure svg {{ width: 100%; height: auto; }}</style></head>
<body><h1>{title}</h1>
{body}</body></html>
"""


def write_page(path: Path, title: str, body: str) -> None:
    """Write a page, atomically.

    Args:
        path: The file.
        title: As text.
        body: As HTML; what strangers wrote is escaped in it.
    """
    write_text(path, _PAGE.format(title=html.escape(title), body=body))


__all__ = ["write_page"]
