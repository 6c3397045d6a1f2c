# SPDX-License-Identifier: Apache-2.0
"""Recordings, as files and as columns: any format, with its companions and side files, opened lazily."""
