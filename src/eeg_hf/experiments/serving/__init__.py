# SPDX-License-Identifier: Apache-2.0
"""Trained models behind HTTP: `eeg-hf serve`."""
