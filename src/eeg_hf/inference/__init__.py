# SPDX-License-Identifier: Apache-2.0
"""Models at work: pipelines from a recording to labels or embeddings."""
