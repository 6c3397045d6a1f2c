# SPDX-License-Identifier: Apache-2.0
"""How many microvolts the units of arrays are."""

UV_PER_VOLT = 1e6
UV_PER_UNIT = {"V": UV_PER_VOLT, "mV": 1e3, "uV": 1.0}

__all__ = ["UV_PER_UNIT", "UV_PER_VOLT"]
