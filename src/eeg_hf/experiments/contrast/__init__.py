# SPDX-License-Identifier: Apache-2.0
"""Contrast between subjects: tests of what the features share."""
