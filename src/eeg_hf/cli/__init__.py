# SPDX-License-Identifier: Apache-2.0
"""The command `eeg-hf`: one file a verb."""
