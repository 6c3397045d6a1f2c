# SPDX-License-Identifier: Apache-2.0
"""Mend a virtual environment whose torch is CPU-only while torchvision and torchaudio are CUDA builds.

PyPI serves one build of torchvision and torchaudio for Linux, linked against CUDA. Beside a CPU-only torch
their compiled libraries cannot load, and then `import braindecode`, `import open_clip` and even
`from transformers import Trainer` fail. The Python halves of both work without the libraries, so this script

* writes an import hook into the environment. At the first import of torchvision, and only if its library
  cannot load, it declares the two operators that torchvision's Python code refers to;
* renames torchaudio's libraries that cannot load, which torchaudio takes for a build without them.

What lives in the libraries (`torchvision.ops.nms`, `roi_align`, forced alignment) stays unavailable. Packages
that match are left alone, and what was mended is put back once it matches. A second run changes nothing.

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

# Runs at every start of the interpreter: it may import nothing but sys until torchvision is asked for. It
# waits for the import itself: transformers also looks the package up merely to know whether it is there.
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
    """Say whether the dynamic loader accepts a shared library; torch must be imported before."""
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
        check: Only say what would be done.

    Returns:
        One line that says what was (or would be) done, or None where the environment is as it should be.
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
    left = [path for path in files if path.exists()]
    if not left:
        return None
    if not check:
        for path in left:
            path.unlink()
    return f"torchvision: matches torch again; import hook {HOOK_NAME}.pth removed"


def mend_torchaudio(package: Path, cpu_only: bool, check: bool = False) -> str | None:
    """Set aside torchaudio's libraries that cannot load beside a CPU-only torch, put back those that can.

    Args:
        package: Folder of the torchaudio package.
        cpu_only: Whether torch is a build without any accelerator.
        check: Only say what would be done.

    Returns:
        One line that says what was (or would be) done, or None where the environment is as it should be.
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
    if broken:
        return f"torchaudio: libraries that cannot load beside a CPU-only torch set aside: {names(broken)}"
    return f"torchaudio: matches torch again; put back: {names(restored)}" if restored else None


def names(paths: list[Path]) -> str:
    """Join file names for a message."""
    return ", ".join(path.name for path in paths)


def mend(check: bool) -> list[str]:
    """Mend the environment of the running interpreter and return one line for each thing done."""
    import torch  # slow, and absent where the install step failed

    cpu_only = not any(getattr(torch.version, build, None) for build in ("cuda", "hip", "xpu"))
    site_packages = Path(sysconfig.get_paths()["purelib"])
    lines = []
    for name in ("torchvision", "torchaudio"):
        package = package_folder(name)
        if package is None or not package.is_relative_to(sys.prefix):
            continue  # an install shared with others is not ours to change
        if name == "torchvision":
            line = mend_torchvision(package, site_packages, cpu_only, check)
        else:
            line = mend_torchaudio(package, cpu_only, check)
        lines += [line] if line else []
    return lines


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
