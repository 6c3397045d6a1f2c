# SPDX-License-Identifier: Apache-2.0
"""What `make docs` needs beside mkdocs.yml: an extension of griffe, and hooks of mkdocs.

The extension lets static analysis see what Python sees: public names that a package imports on first use, and
the arguments of configs, which are fields of their class. The hooks link names that docstrings mention as
transformers does, [`EEGFoundationModel`].
"""

import ast
import re
from typing import Any

from griffe import Alias, Class, Extension, Function, Module, Object, Parameter, ParameterKind, Parameters

EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
TYPED = re.compile(r"^( +\w+) \(`[^\n]*?\):", re.MULTILINE)  # name (`int`, *optional*):
RETURNS = re.compile(r"^(Returns:\n +)", re.MULTILINE)
NAMED = re.compile(r"\[<code>([\w.]+)</code>\]")
DOCUMENTED = re.compile(r"^::: (eeg_hf\.[\w.]+)", re.MULTILINE)


class StaticView(Extension):
    """Completes what griffe reads from the source."""

    def on_module(self, *, mod: Module, **kwargs: Any) -> None:
        """Add the names of `_PUBLIC_NAMES`, which are imported on first use, as aliases."""
        names = mod.members.get("_PUBLIC_NAMES")
        for name, place in ast.literal_eval(str(names.value)).items() if names is not None else ():
            if name not in mod.members or mod.members[name].is_module:
                mod.set_member(name, Alias(name, f"{mod.path}.{place}.{name}"))

    def on_class(self, *, cls: Class, **kwargs: Any) -> None:
        """Give a config the signature that transformers makes of its fields."""
        if "PreTrainedConfig" not in map(str, cls.bases) or "__init__" in cls.members:
            return
        fields = [field for field in cls.attributes.values() if field.annotation is not None]
        parameters = [
            Parameter(
                field.name,
                annotation=field.annotation,
                kind=ParameterKind.keyword_only,
                default=field.value,
            )
            for field in fields
        ]
        cls.set_member("__init__", Function("__init__", parameters=Parameters(*parameters)))
        if cls.docstring is not None:
            cls.docstring.value = TYPED.sub(r"\1:", cls.docstring.value)  # the signature has the types

    def on_function(self, *, func: Function, **kwargs: Any) -> None:
        """State the type of what a function returns, so that none is read out of the sentence."""
        if func.docstring is not None and func.returns is not None:
            func.docstring.value = RETURNS.sub(rf"\g<1>{func.returns}: ", func.docstring.value)

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Show an `Example` section as code, which griffe knows as `Examples`."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub("Examples:", obj.docstring.value)


_pages: dict[str, str] = {}


def on_files(files: Any, **kwargs: Any) -> None:
    """Remember under which path the reference documents each name."""
    for file in files.documentation_pages():
        _pages.update({path.rpartition(".")[2]: path for path in DOCUMENTED.findall(file.content_string)})


def on_page_content(html: str, **kwargs: Any) -> str:
    """Link [`Name`] to the documentation of the name, or drop the brackets of a name that has none."""

    def link(found: re.Match[str]) -> str:
        code = f"<code>{found[1]}</code>"
        path = _pages.get(found[1].rpartition(".")[2])
        return code if path is None else f'<autoref identifier="{path}" optional>{code}</autoref>'

    return NAMED.sub(link, html)
