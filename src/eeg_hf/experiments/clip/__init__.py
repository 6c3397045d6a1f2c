# SPDX-License-Identifier: Apache-2.0
"""EEG-CLIP: training on windows and images, embeddings and retrieval."""
