# SPDX-License-Identifier: Apache-2.0
"""The metadata that depends on where the project is published; everything else is in setup.cfg.

URL fields and the links of the README need the address of the repository: `EEG_HF_REPOSITORY_URL`, else the
remote `origin` of the clone, else what the PKG-INFO of a source distribution says. Without an address there
are no URL fields, and the description has the text of the links without their targets.
"""

import os
import re
import subprocess
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")


def repository_url() -> str | None:
    """Return the web address of the repository, without a slash at the end; None if it has none."""
    given = os.environ.get("EEG_HF_REPOSITORY_URL")
    if not given and (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "config", "--get", "remote.origin.url"]
        given = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    if not given and (ROOT / "PKG-INFO").exists():
        found = re.search(r"^Project-URL: Repository, (\S+)$", (ROOT / "PKG-INFO").read_text(), re.MULTILINE)
        given = found[1] if found else None
    address = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", given or "")
    return address.removesuffix(".git").rstrip("/") if address.startswith("https://") else None


def describe(readme: str, url: str | None) -> str:
    """Return the README as the description of the package, whose readers do not have the repository.

    Args:
        readme: Markdown with links relative to the root of the repository.
        url: Address of the repository; without it, links become their text, and images are left out.
    """
    if url is None:
        return LINK.sub(lambda link: "" if link[1] else link[2], readme)
    return LINK.sub(
        lambda link: f"{link[1]}[{link[2]}]({url}/{'raw' if link[1] else 'blob'}/HEAD/{link[3]})", readme
    )


def project_urls(url: str | None) -> dict[str, str]:
    """Return the URL fields of the metadata."""
    if url is None:
        return {}
    pages = {"Documentation": "docs/index.md", "Changelog": "CHANGELOG.md"}
    return {"Repository": url, **{name: f"{url}/blob/HEAD/{path}" for name, path in pages.items()}}


if __name__ == "__main__":
    address = repository_url()
    setup(
        long_description=describe((ROOT / "README.md").read_text(encoding="utf-8"), address),
        long_description_content_type="text/markdown",
        project_urls=project_urls(address),
    )
