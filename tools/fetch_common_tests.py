# SPDX-License-Identifier: Apache-2.0
"""Fetch the common tests of transformers, of the version that is installed.

Its wheel does not have them; its source distribution does. They are put beside the installed packages, into
`share/transformers-<version>/tests` of the environment, and tests/models/test_common.py runs them.

    python tools/fetch_common_tests.py
"""

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

FILES = ("tests/test_modeling_common.py", "LICENSE")


def folder_of_tests(transformers_version: str) -> Path:
    """Return where the tests of this version of transformers are, or would be."""
    return Path(sys.prefix, "share", f"transformers-{transformers_version}", "tests")


def fetch(transformers_version: str) -> Path:
    """Download the source distribution, keep its common tests, and return their folder."""
    folder = folder_of_tests(transformers_version)
    requirement = f"transformers=={transformers_version}"
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--no-binary", "transformers", "--dest", scratch, requirement], check=True)
        [archive] = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            for name in FILES:
                member = opened.getmember(f"transformers-{transformers_version}/{name}")
                opened.extract(member, scratch, filter="data")
        folder.parent.mkdir(parents=True, exist_ok=True)
        unpacked = Path(scratch, f"transformers-{transformers_version}")
        for name in FILES:
            target = folder.parent / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((unpacked / name).read_bytes())
    return folder


if __name__ == "__main__":
    installed = version("transformers")
    if not (folder_of_tests(installed) / "test_modeling_common.py").is_file():
        print(f"common tests of transformers: {fetch(installed)}")
