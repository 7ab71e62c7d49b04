"""The schema is committed as text, says what every field is, and keeps what went wrong inside to itself."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import graphql
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
)

from twins.exceptions import LakeError
from twins.graphql.schema import sdl
from twins.selectors import twins as select

SDL = Path(__file__).parents[3] / "twins" / "graphql" / "schema.graphql"


def test_the_committed_schema_is_the_one_that_is_served() -> None:
    assert SDL.read_text() == sdl(), (
        "Write it anew: python manage.py shell -c 'from twins.graphql.schema import write_sdl; write_sdl()'"
    )


def test_every_type_field_and_argument_says_what_it_is() -> None:
    silent = []
    for name, kind in graphql.build_schema(sdl()).type_map.items():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__"):
            fields = kind.fields.items()
            silent += [name] if not kind.description else []
            silent += [f"{name}.{each}" for each, field in fields if not field.description]
            silent += [f"{name}.{each}({a})" for each, f in fields for a, arg in f.args.items() if not arg.description]
        if isinstance(kind, GraphQLInputObjectType):
            silent += [name] if not kind.description else []
            silent += [f"{name}.{each}" for each, field in kind.fields.items() if not field.description]
        if isinstance(kind, GraphQLEnumType | GraphQLUnionType) and not name.startswith("__"):
            silent += [name] if not kind.description else []
    assert silent == []


def test_an_unexpected_error_reaches_the_client_as_an_id_that_the_log_knows(
    ask: Any, monkeypatch: Any, caplog: Any
) -> None:
    def fail(**_: Any) -> None:
        raise ValueError("the secret is 42")

    monkeypatch.setattr(select, "systems", fail)
    with caplog.at_level(logging.ERROR, logger="twins.graphql"):
        answer = ask("{ systems { nodes { tag } } }")
    reference = answer.raw.errors[0].extensions["reference"]
    assert answer.errors == [f"Something went wrong here; the log of the server knows it as {reference}."]
    assert reference in caplog.text
    assert "the secret is 42" in caplog.text


def test_an_expected_error_reaches_the_client_in_full(ask: Any, monkeypatch: Any) -> None:
    def fail(**_: Any) -> None:
        raise LakeError("A file is missing: restore it.")

    monkeypatch.setattr(select, "systems", fail)
    assert ask("{ systems { nodes { tag } } }").errors == ["A file is missing: restore it."]
