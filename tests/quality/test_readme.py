"""The README is true: its commands parse, its settings exist, its query is answered in the shape it shows."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from graphql import FieldNode, InlineFragmentNode, OperationDefinitionNode, SelectionSetNode, parse, validate

from twins.conf import TwinsSettings
from twins.graphql.schema import schema

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _commands() -> list[str]:
    lines = [line for block in _blocks("console") for line in block.splitlines()]
    cells = re.findall(r"^\| `(python3 manage\.py [^`]*)`", README, re.MULTILINE)
    return [line for line in [*lines, *cells] if line.startswith("python3 manage.py")]


@pytest.mark.parametrize("line", _commands())
def test_every_command_is_known_and_takes_these_arguments(line: str) -> None:
    words = shlex.split(re.sub(r"[\[\]]", "", line))[2:]
    name, arguments = words[0], words[1:]
    if name == "test":  # everything after it is pytest's
        assert set(arguments) <= {"--full", "pytest", "arguments"}
        return
    numbered = [{"P": "8000", "N": "3"}.get(word, word) for word in arguments]
    application = get_commands()[name]
    command = load_command_class(application, name) if isinstance(application, str) else application
    command.create_parser("manage.py", name).parse_args(numbered)


def test_the_settings_table_is_the_settings_class() -> None:
    told = re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE)
    assert told == [field.name for field in dataclasses.fields(TwinsSettings)]


def test_every_variable_it_names_is_read_by_the_project() -> None:
    sources = "".join((ROOT / path).read_text() for path in ("manage.py", "config/settings.py", "config/bootstrap.py"))
    sentence = re.search(r"The stand-alone project reads(.*?)from the environment", README, re.DOTALL)
    assert sentence
    names = re.findall(r"`([A-Z_]+)`", sentence[1])
    assert names and [name for name in names if name not in sources] == []


def test_every_graphql_document_is_valid() -> None:
    documents = _blocks("graphql")
    assert len(documents) == 3
    assert [validate(schema._schema, parse(document)) for document in documents] == [[], [], []]


def test_the_answer_has_the_shape_of_the_query() -> None:
    operation = parse(_blocks("graphql")[0]).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    answer = json.loads(_blocks("json")[0])
    assert _matches(answer["data"], operation.selection_set)


def _matches(value: Any, selection: SelectionSetNode | None) -> bool:
    if selection is None:
        return not isinstance(value, dict)
    if isinstance(value, list):
        return all(_matches(one, selection) for one in value)
    fields = _fields(selection)
    return list(value) == list(fields) and all(_matches(value[name], fields[name]) for name in fields)


def _fields(selection: SelectionSetNode) -> dict[str, SelectionSetNode | None]:
    found: dict[str, SelectionSetNode | None] = {}
    for node in selection.selections:
        if isinstance(node, FieldNode):
            found[(node.alias or node.name).value] = node.selection_set
        elif isinstance(node, InlineFragmentNode):
            found |= _fields(node.selection_set)
    return found


def test_python_blocks_import_what_exists() -> None:
    imports = re.findall(r"^from ((?:twins|assets)[\w.]*) import (\w+)$", "\n".join(_blocks("python")), re.MULTILINE)
    assert len(imports) == 3
    for module, name in imports:
        assert hasattr(__import__(module, fromlist=[name]), name)


def test_every_figure_names_the_command_that_prints_it() -> None:
    section = README.split("## Measured")[1]
    assert "`python3 manage.py benchmark predictions --cmapss DIR`" in section
    benchmark = (ROOT / "tests" / "benchmarks" / "predictions.py").read_text()
    figures = re.findall(r"`fd\d+_(\w+)`", section)
    assert figures and [name for name in figures if f"_{name}" not in benchmark] == []
