# SPDX-License-Identifier: Apache-2.0
"""How the Hub spells a licence."""

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
    """Translate a licence as people write it (`CC BY 4.0`, `CC0`) to the Hub's word.

    Args:
        licence: Name or SPDX identifier.

    Returns:
        One of the Hub's identifiers; `"other"` for what it does not list, as it does for a licence without
        its version.
    """
    return _HUB.get(re.sub(r"[\s_]+", "-", licence.strip().lower()), "other")


__all__ = ["hub_licence"]
