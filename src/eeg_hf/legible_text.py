# SPDX-License-Identifier: Apache-2.0
"""Text of strangers, made harmless: names of files, channels and classes reach terminals and web pages."""

import re

# Control characters, which a terminal obeys; bytes of names in Latin-1; signs that turn the direction of text
_ILLEGIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def legible(text: str) -> str:
    r"""Escape control characters, and bytes that are not UTF-8.

    Example:
        >>> legible("P1\n.edf")
        'P1\\n.edf'
    """
    return _ILLEGIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def without_tags(text: str) -> str:
    """Escape what a browser would take for an element of HTML.

    Example:
        >>> without_tags("p < 0.05 <script>")
        'p < 0.05 &lt;script>'
    """
    return _TAG.sub("&lt;", text)
