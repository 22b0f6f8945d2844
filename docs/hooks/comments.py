"""What the schema and conf/ say in comments, which Python and YAML pass over."""

import ast
import inspect
import io
import tokenize
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

import griffe
import omegaconf


@cache
def comments_of(schema: Any) -> dict[str, str]:
    """The comments on the fields of a dataclass and of its bases; of a strategy also what its class says of them."""
    if schema is object:
        return {}
    (definition,) = ast.parse(source := inspect.getsource(schema)).body
    assert isinstance(definition, ast.ClassDef)
    return _arguments_of(schema) | comments_of(schema.__base__) | _comments(definition.body, source)


def _arguments_of(schema: type[Any]) -> dict[str, str]:
    """What the docstring of a strategy's class says of the arguments, which its settings are."""
    target = next((of.default for of in fields(schema) if of.name == "_target_"), omegaconf.MISSING)
    if target == omegaconf.MISSING:
        return {}
    module, _, name = str(target).rpartition(".")
    docstring = griffe.Docstring(inspect.getdoc(getattr(import_module(module), name)) or "")
    sections = docstring.parse("google", warnings=False)
    found = (section.value for section in sections if section.kind is griffe.DocstringSectionKind.parameters)
    return {argument.name: argument.description.rstrip(".") for arguments in found for argument in arguments}


def comments_in(module: ModuleType) -> dict[str, str]:
    """The comments on the constants of a module."""
    return _comments(ast.parse(source := inspect.getsource(module)).body, source)


def head_of(path: Path) -> str:
    """The comment that a YAML file begins with, without its commands."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines)]
    kept = [line for line in head if not line.startswith(("@package", "python -m"))]
    return _as_text(kept)


def _as_text(lines: Iterable[str]) -> str:
    """On one line, and without what Markdown takes for HTML."""
    return " ".join(lines).replace("<", "&lt;")


def _comments(body: list[ast.stmt], source: str) -> dict[str, str]:
    """Name of what is assigned => the comment behind it, else that in the lines right above."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    said = {token.start[0]: token for token in tokens if token.type == tokenize.COMMENT}
    found: dict[str, str] = {}
    for node in body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        behind = [said[n] for n in range(node.lineno, (node.end_lineno or node.lineno) + 1) if n in said]
        above = takewhile(
            lambda n: n in said and not said[n].line[: said[n].start[1]].strip(), range(node.lineno - 1, 0, -1)
        )
        comments = behind or [said[n] for n in above][::-1]
        if comments:
            name = ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
            found[name] = _as_text(comment.string.lstrip("# ") for comment in comments)
    return found
