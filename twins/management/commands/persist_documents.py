"""`persist_documents FILE ...`: let clients ask by digest for the documents of these files.

A file is one GraphQL document (.graphql), or the manifest that graphql-codegen writes with `persistedDocuments`: JSON
from digest (SHA-256) to text. What is not valid against the schema is refused, and then nothing of it is kept.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from graphql import GraphQLError, parse, validate

from twins.graphql.schema import schema
from twins.services.documents import digest_of, persist_documents


class Command(BaseCommand):
    help = "Keep GraphQL documents, so that clients may send documentId=sha256:DIGEST in place of their text."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, help="a .graphql document, or a manifest in JSON")

    def handle(self, *, files: list[Path], **_: Any) -> None:
        texts = [text for file in files for text in _texts(file)]
        for digest, new in sorted(persist_documents(texts=texts).items()):
            self.stdout.write(f"sha256:{digest}{'' if new else '   (known)'}")


def _texts(file: Path) -> list[str]:
    try:
        content = file.read_text(encoding="utf-8")
        found = _manifest(file, json.loads(content)) if file.suffix == ".json" else [content]
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read: {error}.") from None
    for text in found:
        _check(file, text)
    return found


def _manifest(file: Path, content: Any) -> list[str]:
    if not isinstance(content, dict) or not all(isinstance(text, str) for text in content.values()):
        raise CommandError(f"{file} is no manifest: write a JSON object from digest to text.")
    for digest, text in content.items():
        if digest.removeprefix("sha256:") != digest_of(text):
            raise CommandError(f"{file}: {digest[:80]!r} is not the SHA-256 of its text: generate it with sha256.")
    return list(content.values())


def _check(file: Path, text: str) -> None:
    try:
        errors = validate(schema._schema, parse(text))
    except GraphQLError as error:
        errors = [error]
    if errors:
        raise CommandError(f"{file} is not valid: {errors[0].message}")
