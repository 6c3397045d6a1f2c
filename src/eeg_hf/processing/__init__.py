# SPDX-License-Identifier: Apache-2.0
"""From a raw recording to a model's input: the signal contract."""
