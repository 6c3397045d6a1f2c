# SPDX-License-Identifier: Apache-2.0
"""Images people saw: towers, embeddings, and images drawn from EEG."""
