# SPDX-License-Identifier: Apache-2.0
import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "eeg_hf"

# The layers of the package, lowest first: a part imports from the layers below its own
LAYERS = (
    {
        "import_hooks",
        "atomic_files",
        "embedding_cache",
        "folder_lock",
        "kept_memory",
        "legible_text",
        "suggestions",
        "tables",
        "processing",
        "models",
    },
    {"collation", "corpora", "bundled_weights", "runtime"},
    {"evaluation", "training", "inference", "images", "hub"},
    {"experiments"},
    {"cli", "auto"},
)
# What a part may import of its own layer
SIBLINGS = {
    "training": {"evaluation", "hub"},
    "hub": {"evaluation"},
    "tables": {"legible_text"},
    "embedding_cache": {"atomic_files"},
}
ALLOWED = {
    part: set().union(*LAYERS[:level]) | SIBLINGS.get(part, set())
    for level, layer in enumerate(LAYERS)
    for part in layer
} | {"__init__": {"auto", "import_hooks"}}
for part in ("experiments", "cli"):
    ALLOWED[part].add("__init__")  # they may use the public names, as users do
FLAT = {"models", "processing"}
# A model file travels alone to machines without eeg_hf: these it finds there
MODEL_LIBRARIES = {"torch", "transformers"}
MODEL_SUBMODULES = {"huggingface_hub.dataclasses"}
# With src/eeg_hf on the path the first four would shadow real modules; the rest say nothing of what they hold
FORBIDDEN_NAMES = {"signal", "types", "mne", "datasets", "utils", "helpers", "common"}


class Import(NamedTuple):
    """One imported module: its absolute name, what is taken from it, and how it was written."""

    module: str
    names: tuple[str, ...]
    level: int
    line: int
    for_types_only: bool

    @property
    def part(self) -> str | None:
        package, _, rest = self.module.partition(".")
        return (rest.split(".")[0] or "__init__") if package == PACKAGE else None


def read_imports(path: Path, root: Path) -> Iterator[Import]:
    """Yield what a file of the package below root, or a script, imports, also inside functions."""
    tree = ast.parse(path.read_text(), str(path))
    type_blocks = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    typed = {inner for block in type_blocks for statement in block.body for inner in ast.walk(statement)}
    parents = [PACKAGE, *path.relative_to(root).parts[:-1]] if path.is_relative_to(root) else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules, names = [alias.name for alias in node.names], ()
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names = tuple(alias.name for alias in node.names)
            bare = origin == PACKAGE  # `from . import auto` names a part, `from .auto import x` lies in one
            modules = [f"{origin}.{name}" for name in names] if bare else [origin]
        else:
            continue
        for module in modules:
            yield Import(module, names, getattr(node, "level", 0), node.lineno, node in typed)


def breaches_of_module(path: Path, root: Path) -> Iterator[str]:
    relative = path.relative_to(root)
    part = relative.parts[0].removesuffix(".py")
    if part not in ALLOWED:
        yield f"{relative}: {part} has no rule: say in ALLOWED what it may import"
        return
    if part in FLAT and len(relative.parts) > 2:
        yield f"{relative}: {part}/ is flat: a Hub repository carries one level of relative imports"
    for name in {relative.parts[0].removesuffix(".py"), relative.stem} & FORBIDDEN_NAMES:
        yield f"{relative}: expected a name that says what it holds and shadows nothing, got {name}"
    for found in read_imports(path, root):
        place = f"{relative}:{found.line}"
        if found.part is None:
            if part == "models" and not is_model_library(found.module):
                yield f"{place}: a model file imports {found.module}, which a machine without eeg_hf may lack"
        elif part == "models" and not is_neighbour(found):
            yield f"{place}: expected `from .neighbour import name`, got {found.module}"
        elif part == "__init__" and found.for_types_only:
            continue
        elif found.part != part and found.part not in ALLOWED[part]:
            yield f"{place}: {part} imports {found.part}, it may import {sorted(ALLOWED[part])}"


def is_model_library(module: str) -> bool:
    top = module.split(".")[0]
    return top in sys.stdlib_module_names or top in MODEL_LIBRARIES or module in MODEL_SUBMODULES


def is_neighbour(found: Import) -> bool:
    return found.level == 1 and found.module.startswith(f"{PACKAGE}.models.") and found.module.count(".") == 2


def find_breaches(root: Path) -> list[str]:
    """Check a package folder against the rules above and name every breach by file and line."""
    files = sorted(root.rglob("*.py"))
    return [breach for path in files for breach in breaches_of_module(path, root)]


def test_imports_of_the_package_point_one_way():
    assert "\n".join(find_breaches(REPOSITORY / "src" / PACKAGE)) == ""


@pytest.mark.parametrize("path", sorted((REPOSITORY / "scripts").glob("*")), ids=lambda path: path.name)
def test_a_script_only_calls_its_command(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert lines == [f"from eeg_hf.cli.{path.stem} import main", 'if __name__ == "__main__":', "    main()"]


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("processing/filtering.py", "from ..corpora.corpus import Corpus", "processing imports corpora"),
        ("processing/filtering.py", "from eeg_hf import corpora", "processing imports corpora"),
        (
            "training/trainer.py",
            "def f():\n    from ..inference.pipelines import P",
            "training imports inference",
        ),
        ("training/trainer.py", "from eeg_hf.experiments import phases", "training imports experiments"),
        ("evaluation/probes.py", "import eeg_hf.training.trainer", "evaluation imports training"),
        ("experiments/study.py", "from ..cli import prepare", "experiments imports cli"),
        ("corpora/windows.py", "from .. import hub", "corpora imports hub"),
        ("hub/cards.py", "from ..images.towers import Tower", "hub imports images"),
        ("collation/data_collator.py", "from .. import EEGModel", "collation imports EEGModel"),
        ("collation/data_collator.py", "import eeg_hf", "collation imports __init__"),
        ("models/modeling_x.py", "import numpy", "a model file imports numpy"),
        ("models/modeling_x.py", "from huggingface_hub import HfApi", "a model file imports huggingface_hub"),
        (
            "models/modeling_x.py",
            "from ..processing.channels import STANDARD_19",
            "expected `from .neighbour import",
        ),
        ("models/modeling_x.py", "from . import attention", "expected `from .neighbour import"),
        ("models/modeling_x.py", "from eeg_hf.models.heads import Head", "expected `from .neighbour import"),
        ("models/blocks/attention.py", "", "models/ is flat"),
        ("processing/filters/notch.py", "", "processing/ is flat"),
        ("corpora/utils.py", "", "got utils"),
        ("plots.py", "", "plots has no rule"),
        ("__init__.py", "from .training import trainer", "__init__ imports training"),
    ],
)
def test_a_breach_is_found(tmp_path, name, code, message):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    breaches = find_breaches(tmp_path)
    assert len(breaches) == 1
    assert message in breaches[0]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("__init__.py", "if TYPE_CHECKING:\n    from .training import EEGTrainer"),
        ("models/modeling_x.py", "import math\nimport torch\nfrom .attention import Attention"),
        ("models/configuration_x.py", "from huggingface_hub.dataclasses import strict"),
        (
            "corpora/windows.py",
            "import mne\nfrom ..processing.filtering import clean\nfrom .corpus import X",
        ),
        ("auto.py", "from .models.modeling_x import Model"),
    ],
)
def test_what_is_allowed_passes(tmp_path, name, code):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    assert find_breaches(tmp_path) == []
