"""API tokens: 256 bits, shown once, stored as a digest, ended by revocation or with their user."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from twins.exceptions import TokenError
from twins.models import ApiToken
from twins.services.tokens import authenticate_token, create_token, revoke_token

pytestmark = pytest.mark.django_db


def test_only_the_digest_is_stored() -> None:
    token, plaintext = create_token(name="gateway", scopes=["ingest", "read", "ingest"])
    assert plaintext.startswith("twins_")
    assert len(plaintext) == 6 + 43
    row = ApiToken.objects.values().get()
    assert row["digest"] == hashlib.sha256(plaintext.encode()).hexdigest()
    assert row["scopes"] == ["ingest", "read"]
    assert plaintext not in str(row)
    assert authenticate_token(plaintext=plaintext) == token


def test_two_tokens_differ() -> None:
    assert create_token(name="a", scopes=["read"])[1] != create_token(name="b", scopes=["read"])[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "twins_",
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text.upper(),
        lambda text: "other_" + text[6:],
        lambda text: text[:-1] + "\x00",
        lambda text: text[:-1] + "é",
    ],
)
def test_a_wrong_token_opens_nothing(change: Any) -> None:
    _, plaintext = create_token(name="gateway", scopes=["read"])
    assert authenticate_token(plaintext=change(plaintext)) is None


def test_a_revoked_token_opens_nothing_and_keeps_its_first_end() -> None:
    _, plaintext = create_token(name="gateway", scopes=["read"])
    first = revoke_token(name="gateway").revoked_at
    assert authenticate_token(plaintext=plaintext) is None
    assert revoke_token(name="gateway").revoked_at == first


def test_a_token_ends_with_its_user() -> None:
    user = get_user_model().objects.create_user("ada")
    _, plaintext = create_token(name="gateway", scopes=["read"], user=user)
    assert authenticate_token(plaintext=plaintext) is not None
    user.is_active = False
    user.save()
    assert authenticate_token(plaintext=plaintext) is None


@pytest.mark.parametrize(
    ("name", "scopes", "message"),
    [
        ("a", ["read", "admin"], "The scope 'admin' does not exist"),
        ("a", [], "needs a scope"),
        (" ", ["read"], "1 to 100 characters"),
        ("x" * 101, ["read"], "1 to 100 characters"),
        ("taken", ["read"], "A token named 'taken' exists"),
    ],
)
def test_a_token_that_cannot_be_says_why(name: str, scopes: list[str], message: str) -> None:
    create_token(name="taken", scopes=["read"])
    with pytest.raises(TokenError, match=message):
        create_token(name=name, scopes=scopes)
    assert ApiToken.objects.count() == 1


def test_the_command_prints_the_token_alone_on_standard_output() -> None:
    out, notes = io.StringIO(), io.StringIO()
    call_command("create_token", "plc", "--scope", "read", "--scope", "ingest", stdout=out, stderr=notes)
    token = authenticate_token(plaintext=out.getvalue().strip())
    assert token is not None
    assert (token.name, token.scopes) == ("plc", ["read", "ingest"])
    call_command("create_token", "plc", "--revoke", stdout=out, stderr=notes)
    assert authenticate_token(plaintext=out.getvalue().strip()) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plc"], "needs a scope"),
        (["plc", "--scope", "root"], "invalid choice"),
        (["plc", "--scope", "read", "--user", "nobody"], "There is no user 'nobody'"),
        (["plc", "--revoke"], "There is no token named 'plc'"),
    ],
)
def test_the_command_refuses_with_a_sentence(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("create_token", *arguments)
    assert not ApiToken.objects.exists()
