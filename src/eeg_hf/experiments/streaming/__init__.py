# SPDX-License-Identifier: Apache-2.0
"""A trained model on a stream: sources of samples, the answers, and where they go."""
