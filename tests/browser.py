# SPDX-License-Identifier: Apache-2.0
"""The browser that tests of pages drive; `.ci/run` installs it, elsewhere a test without one is skipped."""

import shutil

import pytest


def find_chromium():
    """Return the path of Chromium, or skip the test that asks and say how to get it."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return pytest.skip("there is no Chromium to show the page: apt-get install chromium")
