# SPDX-License-Identifier: Apache-2.0
"""Infilling: how well models fill in hidden stretches of EEG."""
