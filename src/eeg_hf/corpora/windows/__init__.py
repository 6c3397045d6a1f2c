# SPDX-License-Identifier: Apache-2.0
"""From recordings to windows on the disk, and from there to splits and mixtures."""
