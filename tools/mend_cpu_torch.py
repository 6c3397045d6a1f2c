# SPDX-License-Identifier: Apache-2.0
"""Make torchvision and torchaudio importable beside a CPU-only torch.

PyPI has one build of torchvision and torchaudio for Linux, linked against CUDA. Beside a CPU-only torch their
compiled libraries cannot load, and then `import braindecode`, `import open_clip` and even
`from transformers import Trainer` fail. The Python code of both works without the libraries, so this script

* writes an import hook into the virtual environment. When torchvision is imported and its library cannot
  load, the hook declares the two operators that torchvision's Python code refers to;
* renames the libraries of torchaudio that cannot load, so that torchaudio behaves as a build without them.

Functions of the libraries (`torchvision.ops.nms`, `roi_align`, forced alignment) stay unavailable. Packages
that match torch are left alone, and the changes are undone once they match. A second run changes nothing.

    python tools/mend_cpu_torch.py            # mend the virtual environment of this interpreter
    python tools/mend_cpu_torch.py --check    # only report; exit code 1 if it needs mending
"""

import argparse
import ctypes
import importlib.util
import logging
import sys
import sysconfig
from pathlib import Path

logger = logging.getLogger("mend_cpu_torch")

HOOK_NAME = "_torchvision_without_library"
SET_ASIDE_SUFFIX = ".cannot-load"  # not ".so": torchaudio globs for that ending

# The hook runs at every start of the interpreter, so it imports only sys until torchvision is executed.
# Looking up its spec is not enough: transformers does so only to know whether torchvision is installed.
HOOK_SOURCE = '''\
"""Written by tools/mend_cpu_torch.py of eeg-hf: torchvision without its compiled library."""

import sys

kept_alive = []


def declare_operators(folder):
    import pathlib

    import torch
    from torch import library as operators

    try:
        for library in pathlib.Path(folder).glob("_C*.so"):
            torch.ops.load_library(library)
    except OSError:
        fragment = operators.Library("torchvision", "FRAGMENT")
        kept_alive.append(fragment)
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                fragment.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


class TorchvisionFinder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "torchvision":
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is None or not spec.submodule_search_locations or not hasattr(spec.loader, "exec_module"):
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            declare_operators(spec.submodule_search_locations[0])
            execute(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, TorchvisionFinder)
'''


def package_folder(name: str) -> Path | None:
    """Return the folder of an installed package without importing it, or None."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def can_load(library: Path) -> bool:
    """Return whether the dynamic loader accepts a shared library; import torch first."""
    try:
        ctypes.CDLL(str(library))
    except OSError:
        return False
    return True


def mend_torchvision(package: Path, site_packages: Path, cpu_only: bool, check: bool = False) -> str | None:
    """Write the import hook if torchvision's library cannot load beside a CPU-only torch, else remove it.

    Args:
        package: Folder of the torchvision package.
        site_packages: Folder that the interpreter reads `.pth` files from.
        cpu_only: Whether torch is a build without any accelerator.
        check: Report without changing anything.

    Returns:
        A line that reports the change, or None if none is needed.
    """
    contents = {f"{HOOK_NAME}.py": HOOK_SOURCE, f"{HOOK_NAME}.pth": f"import {HOOK_NAME}\n"}
    files = {site_packages / name: text for name, text in contents.items()}
    libraries = sorted(package.glob("_C*.so"))
    if cpu_only and not all(can_load(library) for library in libraries):
        if all(path.is_file() and path.read_text() == text for path, text in files.items()):
            return None
        if not check:
            for path, text in files.items():
                path.write_text(text)
        return f"torchvision: its library cannot load beside a CPU-only torch; import hook {HOOK_NAME}.pth"
    if not any(path.exists() for path in files):
        return None
    if not check:
        for path in files:
            path.unlink(missing_ok=True)
    return f"torchvision: matches torch again; import hook {HOOK_NAME}.pth removed"


def mend_torchaudio(package: Path, cpu_only: bool, check: bool = False) -> str | None:
    """Set aside torchaudio's libraries that cannot load beside a CPU-only torch, and put back those that can.

    Arguments and result are those of `mend_torchvision`.
    """
    folder = package / "lib"
    broken = [path for path in sorted(folder.glob("*.so")) if cpu_only and not can_load(path)]
    aside = sorted(folder.glob(f"*.so{SET_ASIDE_SUFFIX}"))
    restored = [path for path in aside if not cpu_only or can_load(path)]
    if not check:
        for path in broken:
            path.replace(path.with_name(path.name + SET_ASIDE_SUFFIX))
        for path in restored:
            target = path.with_name(path.name.removesuffix(SET_ASIDE_SUFFIX))
            path.unlink() if target.exists() else path.rename(target)
    names = ", ".join(path.name for path in broken or restored)
    if broken:
        return f"torchaudio: libraries that cannot load beside a CPU-only torch set aside: {names}"
    return f"torchaudio: matches torch again; put back: {names}" if restored else None


def mend(check: bool) -> list[str]:
    """Mend the environment of the running interpreter and return a line for each change."""
    import torch  # slow, and missing if the installation failed

    cpu_only = not any(getattr(torch.version, build, None) for build in ("cuda", "hip", "xpu"))
    site_packages = Path(sysconfig.get_paths()["purelib"])
    lines = []
    for name in ("torchvision", "torchaudio"):
        package = package_folder(name)
        if package is None or not package.is_relative_to(sys.prefix):
            continue  # installed outside the environment
        if name == "torchvision":
            lines.append(mend_torchvision(package, site_packages, cpu_only, check))
        else:
            lines.append(mend_torchaudio(package, cpu_only, check))
    return [line for line in lines if line]


def main() -> int:
    """Parse the arguments, mend or report, and return the exit code."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--check", action="store_true", help="only report; exit code 1 if mending is needed")
    check = parser.parse_args().check
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if sys.prefix == sys.base_prefix and not check:
        logger.error("expected the python of a virtual environment, got %s: not touched", sys.executable)
        return 1
    try:
        lines = mend(check)
    except ImportError as error:
        logger.error("expected torch in %s, got %s: install it first", sys.prefix, error)
        return 1
    for line in lines:
        logger.info("%s%s", "needed: " if check else "", line)
    if not lines:
        logger.info("torch, torchvision and torchaudio in %s: nothing to mend", sys.prefix)
    return int(check and bool(lines))


if __name__ == "__main__":
    sys.exit(main())
