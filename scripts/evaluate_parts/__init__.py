# SPDX-License-Identifier: Apache-2.0
"""What evaluate.py compares, kind by kind."""
