# SPDX-License-Identifier: Apache-2.0
"""Licences in the spelling of the Hub."""

import re
from collections.abc import Mapping

_SAME = (
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"),
    *("cc-by-3.0", "cc-by-sa-3.0", "odc-by", "odbl", "pddl", "mit", "apache-2.0", "unknown", "other"),
)
_HUB: Mapping[str, str] = {
    **{name: name for name in _SAME},
    **{"cc0": "cc0-1.0", "odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl"},
}


def hub_licence(licence: str) -> str:
    """Return the Hub's identifier of a licence.

    Args:
        licence: Common name (`CC BY 4.0`, `CC0`) or SPDX identifier.

    Returns:
        An identifier of https://huggingface.co/docs/hub/repositories-licenses; `"other"` for unlisted ones,
        such as a licence without its version.
    """
    return _HUB.get(re.sub(r"[\s_]+", "-", licence.strip().lower()), "other")
