# SPDX-License-Identifier: Apache-2.0
import runpy
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy.random._mt19937
import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "tools" / "mend_cpu_torch.py"

# The first statements of the real package, which fail without its library
TORCHVISION = """
from torch import library

@library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold):
    return dets.new_empty(0)
"""

RUN_SCRIPT = f"""
import runpy, sys
sys.argv = ["mend", *arguments]
runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
"""


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def loadable():
    return Path(numpy.random._mt19937.__file__)


def write_broken_library(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not a shared library")


def listing(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_torchvision_that_cannot_load_gets_a_hook_once(script, tmp_path):
    package, site_packages = tmp_path / "torchvision", tmp_path / "site-packages"
    site_packages.mkdir()
    write_broken_library(package / "_C.so")
    mend = script["mend_torchvision"]
    assert "cannot load" in mend(package, site_packages, cpu_only=True, check=True)
    assert listing(site_packages) == {}
    assert "cannot load" in mend(package, site_packages, cpu_only=True)
    written = listing(site_packages)
    assert {Path(name).suffix for name in written} == {".py", ".pth"}
    assert mend(package, site_packages, cpu_only=True) is None
    assert listing(site_packages) == written


@pytest.mark.parametrize("cpu_only", [True, False])
def test_matching_torchvision_is_left_alone_and_loses_the_hook(script, loadable, tmp_path, cpu_only):
    package, site_packages = tmp_path / "torchvision", tmp_path / "site-packages"
    site_packages.mkdir()
    write_broken_library(package / "_C.so")
    mend = script["mend_torchvision"]
    mend(package, site_packages, cpu_only=True)
    if cpu_only:  # with an accelerator, what cannot load is a broken install that the user must see
        shutil.copy(loadable, package / "_C.so")
    assert "removed" in mend(package, site_packages, cpu_only)
    assert listing(site_packages) == {}
    assert mend(package, site_packages, cpu_only) is None


def test_torchaudio_libraries_that_cannot_load_are_set_aside_and_put_back(script, loadable, tmp_path):
    package = tmp_path / "torchaudio"
    write_broken_library(package / "lib" / "_torchaudio.so")
    shutil.copy(loadable, package / "lib" / "good.so")
    mend = script["mend_torchaudio"]
    before = listing(package)
    assert "_torchaudio.so" in mend(package, cpu_only=True, check=True)
    assert mend(package, cpu_only=False) is None
    assert listing(package) == before
    assert "_torchaudio.so" in mend(package, cpu_only=True)
    assert [path.name for path in (package / "lib").glob("*.so")] == ["good.so"]
    assert mend(package, cpu_only=True) is None
    assert "put back" in mend(package, cpu_only=False)
    assert listing(package) == before


def test_freshly_installed_torchaudio_wins_over_the_set_aside_library(script, loadable, tmp_path):
    library = tmp_path / "lib" / "_torchaudio.so"
    write_broken_library(library)
    script["mend_torchaudio"](tmp_path, cpu_only=True)
    shutil.copy(loadable, library)
    script["mend_torchaudio"](tmp_path, cpu_only=False)
    assert listing(tmp_path) == {"_torchaudio.so": loadable.read_bytes()}


def test_interpreter_outside_a_virtual_environment_is_refused():
    result = subprocess.run([sys._base_executable, SCRIPT], capture_output=True, text=True)
    assert result.returncode == 1
    assert "expected the python of a virtual environment" in result.stdout


@pytest.mark.slow
@pytest.mark.skipif(torch.version.cuda is not None, reason="only a CPU-only torch needs mending")
def test_mended_environment_imports_torchvision(tmp_path):
    venv.create(tmp_path / "env", symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    site_packages = next((tmp_path / "env").glob("lib/python*/site-packages"))
    (site_packages / "torch_of_this_environment.pth").write_text(sysconfig.get_paths()["purelib"])
    write_broken_library(site_packages / "torchvision" / "_C.so")
    (site_packages / "torchvision" / "__init__.py").write_text(TORCHVISION)
    write_broken_library(site_packages / "torchaudio" / "lib" / "_torchaudio.so")
    (site_packages / "torchaudio" / "__init__.py").touch()

    def run(code):
        return subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path)

    broken = run(
        "try:\n    import torchvision\nexcept RuntimeError as error:\n    print(error)\n"
        "arguments = ['--check']" + RUN_SCRIPT
    )
    assert "torchvision::nms does not exist" in broken.stdout
    assert broken.stdout.count("needed: ") == 2
    assert broken.returncode == 1
    assert run("arguments = []" + RUN_SCRIPT).returncode == 0
    mended = run(
        "import sys, importlib.util\nassert importlib.util.find_spec('torchvision').origin\n"
        "assert 'torch' not in sys.modules\nimport torchvision\narguments = ['--check']" + RUN_SCRIPT
    )
    assert mended.returncode == 0, mended.stderr
    assert "nothing to mend" in mended.stdout
