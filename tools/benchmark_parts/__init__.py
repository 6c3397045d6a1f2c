# SPDX-License-Identifier: Apache-2.0
"""The parts of `benchmark.py`, one file each."""
