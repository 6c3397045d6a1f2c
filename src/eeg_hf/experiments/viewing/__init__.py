# SPDX-License-Identifier: Apache-2.0
"""A page in the browser that shows recordings with what was predicted of them."""
