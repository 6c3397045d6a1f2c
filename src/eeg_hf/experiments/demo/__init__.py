# SPDX-License-Identifier: Apache-2.0
"""A page to try a model on: `eeg-hf demo`."""
