# SPDX-License-Identifier: Apache-2.0
"""What `benchmark.py` measures."""
