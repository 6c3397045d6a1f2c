# SPDX-License-Identifier: Apache-2.0
"""A folder of recordings with labels becomes a table, a report and a model."""
