# SPDX-License-Identifier: Apache-2.0
"""Watch the recordings that a model meets: drift, alarms of a stated rate, a log and a page."""
