"""What can go wrong in the twins.

TwinsError
├── ConfigurationError        the TWINS setting is incomplete or wrong
├── ReadingsError             readings that cannot be taken as they are
│   ├── MalformedBody         a body that is not what its content type says
│   └── ConflictingKey        an idempotency key used again for other content
├── TooBusy                   acceptance has to wait until what was accepted is compacted
├── LakeError                 files of the lake that are missing or not what they should be
├── BackupError               a backup that cannot be made, or not restored here
├── PredictionError
│   ├── NotEnoughFailures     too few recorded failures to learn from
│   ├── LeakingInputs         inputs that know the future, by name
│   ├── ModelRefused          a model worse than a constant, or not the one that was stored
│   └── PredictionUnavailable the prediction library does not load on this machine
├── PolicyError               what planners decided about health does not make sense
├── UnknownDocument           a persisted document that nobody persisted
├── QueryTooSlow              the database did not answer a query in the time it has
├── TooManyRequests           a token or user asks more often than it may
├── TokenError                an API token that cannot be made or revoked as asked
└── AccessDenied              a token or user without the right that is needed
    └── TokenChanged          a token that is not what it was when it was looked up

Every message says what is wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence


class TwinsError(Exception):
    """Base of everything the twins raise on purpose."""


class ConfigurationError(TwinsError):
    """The TWINS setting is incomplete or wrong."""


class ReadingsError(TwinsError):
    """Readings that cannot be taken as they are."""


class MalformedBody(ReadingsError):
    """A body that is not what its content type says."""


class ConflictingKey(ReadingsError):
    """An idempotency key was used again for other content."""


class TooBusy(TwinsError):
    """Acceptance has to wait until what was accepted is compacted, or until other bodies are read."""


class LakeError(TwinsError):
    """Files of the lake are missing or not what they should be."""


class BackupError(TwinsError):
    """A backup cannot be made, or not restored here."""


class PredictionError(TwinsError):
    """Health could not be learned or predicted."""


class NotEnoughFailures(PredictionError):
    """Too few recorded failures to learn from."""


class LeakingInputs(PredictionError):
    """Inputs know the future: what is learned from them would be a lie."""

    def __init__(self, leaks: Sequence[tuple[str, str]], horizon: float) -> None:
        self.inputs = [name for name, _ in leaks]
        self.horizon = horizon
        told = "; ".join(f"{name}: {why}" for name, why in leaks)
        super().__init__(
            f"These inputs know the future, so that no model of them can be trusted ({told}): correct where they come "
            "from, or list them among the design's ignored inputs."
        )


class ModelRefused(PredictionError):
    """A model worse than a constant, or not the one that was stored."""


class PredictionUnavailable(PredictionError):
    """The prediction library does not load on this machine."""


class PolicyError(TwinsError):
    """What planners decided about health does not make sense."""


class UnknownDocument(TwinsError):
    """A persisted document is asked for that nobody persisted."""


class QueryTooSlow(TwinsError):
    """The database did not answer a query in the time it has."""


class TooManyRequests(TwinsError):
    """A token or user asks more often than it may; `wait` is when to come again, in seconds."""

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class TokenError(TwinsError):
    """An API token cannot be made or revoked as asked."""


class AccessDenied(TwinsError):
    """A token or user lacks the right that is needed."""


class TokenChanged(AccessDenied):
    """A token is not what it was when it was looked up: look it up again."""
