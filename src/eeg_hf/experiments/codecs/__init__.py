# SPDX-License-Identifier: Apache-2.0
"""Codecs: training, storage of recordings as tokens, and comparison."""
