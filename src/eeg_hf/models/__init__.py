# SPDX-License-Identifier: Apache-2.0
"""Architectures, one configuration and one modeling file each, and the blocks they share."""
