# SPDX-License-Identifier: Apache-2.0
"""Images: embeddings of a vision tower, and reconstruction from EEG."""
