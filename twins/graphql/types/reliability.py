"""What is reckoned of a twin and its kind: why its health changed, how long it lives, how often warnings were right."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

from twins.graphql.scalars import finite
from twins.graphql.types.register import Design
from twins.ml import reliability as rel
from twins.selectors.changes import Change
from twins.selectors.ledger import TrackRecord as Track
from twins.selectors.reliability import Reliability as Told


@strawberry.type(description="Exposure over failures, with a 90 % interval. Without a failure only `low` is known.")
class MeanTime:
    value: float | None = strawberry.field(description="Mean time in the unit of life; null without a failure.")
    low: float = strawberry.field(description="Lower end; without a failure the one-sided 90 % bound.")
    high: float | None = strawberry.field(description="Upper end; null without a failure.")
    failures: int = strawberry.field(description="How many failed.")
    exposure: float = strawberry.field(description="Life lived under observation.")

    @classmethod
    def of(cls, row: rel.MeanTime) -> Self:
        return cls(value=row.value, low=row.low, high=row.high, failures=row.failures, exposure=row.exposure)


@strawberry.type(description="Weibull distribution of lives, right-censored, with 90 % intervals.")
class WeibullLife:
    shape: float = strawberry.field(description="Below 1 they fail young, near 1 at random, above 1 they wear out.")
    shape_low: float = strawberry.field(description="Lower end of the shape.")
    shape_high: float = strawberry.field(description="Upper end of the shape.")
    scale: float = strawberry.field(description="Life by which 63.2 % have failed.")
    scale_low: float = strawberry.field(description="Lower end of the scale.")
    scale_high: float = strawberry.field(description="Upper end of the scale.")
    b10: float = strawberry.field(description="Life by which 10 % have failed.")

    @classmethod
    def of(cls, row: rel.Weibull) -> Self:
        return cls(
            shape=row.shape,
            shape_low=row.shape_low,
            shape_high=row.shape_high,
            scale=row.scale,
            scale_low=row.scale_low,
            scale_high=row.scale_high,
            b10=row.life_at(0.1),
        )


@strawberry.type(description="Items with one build attribute against all others of the design.")
class BuildComparison:
    attribute: str = strawberry.field(description="The attribute of the build record.")
    value: str = strawberry.field(description="Its value; numbers of many values are split at their median.")
    known: bool = strawberry.field(description="Whether chance is an unlikely explanation.")
    ratio: float | None = strawberry.field(description="How many times as long they live as the others.")
    low: float | None = strawberry.field(description="Lower end of the 90 % interval of the ratio.")
    high: float | None = strawberry.field(description="Upper end; null when it has none.")
    probability: float | None = strawberry.field(description="Of such a difference by chance, corrected (Holm).")
    items: int = strawberry.field(description="Lives with the attribute.")
    failures: int = strawberry.field(description="How many of them failed.")
    others: int = strawberry.field(description="Lives without it.")
    other_failures: int = strawberry.field(description="How many of those failed.")
    sentence: str = strawberry.field(description="The same in words.")

    @classmethod
    def of(cls, row: rel.Comparison, kind: str) -> Self:
        counts = {name: getattr(row, name) for name in ("items", "failures", "others", "other_failures")}
        return cls(
            attribute=row.attribute,
            value=row.value,
            known=row.known,
            ratio=finite(row.ratio),
            low=finite(row.low),
            high=finite(row.high),
            probability=row.probability,
            sentence=row.sentence(kind),
            **counts,
        )


@strawberry.type(description="Mean time to the failures of one mode.")
class ModeReliability:
    mode: str = strawberry.field(description="Code of the failure mode; empty when none was recorded.")
    mean: MeanTime = strawberry.field(description="Of this mode; other failures end observation.")


@strawberry.type(description="What the lives of one design's items at and below the twin tell.")
class Reliability:
    design: Design = strawberry.field(description="The design.")
    unit: str = strawberry.field(description="UCUM code of the unit of all times: d for days, or e.g. {cycle}.")
    lives: int = strawberry.field(description="Lives that were looked at, failed or not.")
    repaired: bool = strawberry.field(description="Whether `mean` is between failures (repaired) or to failure.")
    mean: MeanTime = strawberry.field(description="MTBF of what is repaired, MTTF of what is replaced.")
    weibull: WeibullLife | None = strawberry.field(description="Null when fewer than two failed.")
    median_life: float | None = strawberry.field(description="Kaplan-Meier median; null when fewer than half failed.")
    modes: list[ModeReliability] = strawberry.field(description="By failure mode, the most frequent first; at most 20.")
    comparisons: list[BuildComparison] = strawberry.field(
        description="By build attribute, what is known first; at most 20."
    )
    sentences: list[str] = strawberry.field(description="What is known of build attributes, in words.")

    @classmethod
    def of(cls, told: Told) -> Self:
        return cls(
            design=Design.of(told.design),
            unit=told.unit,
            lives=told.lives,
            repaired=told.repaired,
            mean=MeanTime.of(told.mean),
            weibull=None if told.weibull is None else WeibullLife.of(told.weibull),
            median_life=told.survival.median,
            modes=[ModeReliability(mode=mode, mean=MeanTime.of(mean)) for mode, mean in told.modes],
            comparisons=[BuildComparison.of(one, told.design.name) for one in told.comparisons],
            sentences=told.sentences(),
        )


@strawberry.type(description="How the last warnings about items of this design at this site turned out.")
class TrackRecord:
    right: int = strawberry.field(description="Of the last 15 judged: a failure came within.")
    false: int = strawberry.field(description="Of the last 15 judged: none came.")
    open: int = strawberry.field(description="Not known yet.")
    missed: int = strawberry.field(description="Failures without a warning.")
    median_lead_days: float | None = strawberry.field(description="From warning to failure, of the right ones.")
    brier: float | None = strawberry.field(description="Mean square error of the probabilities; 0 is best.")
    brier_of_a_constant: float | None = strawberry.field(description="What always saying the usual share would score.")
    sentence: str = strawberry.field(description="The same in words.")

    @classmethod
    def of(cls, track: Track) -> Self:
        warnings, scored = track.warnings, track.calibration
        return cls(
            right=warnings.right,
            false=warnings.false,
            open=warnings.open,
            missed=warnings.missed,
            median_lead_days=warnings.median_lead,
            brier=None if scored is None else scored.brier,
            brier_of_a_constant=None if scored is None else scored.brier_of_a_constant,
            sentence=warnings.sentence(),
        )


@strawberry.type(description="Points of health that one input of one asset gave or took.")
class HealthMove:
    tag: str = strawberry.field(description="Tag of the asset at or below the twin.")
    name: str = strawberry.field(description="Its name.")
    input: str = strawberry.field(description="The input; empty for what no shown input explains.")
    points: float = strawberry.field(description="Points; negative lowered the health of the twin.")


@strawberry.type(description="What a health did since an instant, shared down to inputs; the points add up.")
class HealthChange:
    before: float = strawberry.field(description="Health then.")
    after: float = strawberry.field(description="Health now.")
    since: datetime = strawberry.field(description="When the health of then was assessed, UTC.")
    moved: list[HealthMove] = strawberry.field(description="What matters most first, at most 10.")
    sentence: str = strawberry.field(description="The same in words.")

    @classmethod
    def of(cls, change: Change, name: str) -> Self:
        return cls(
            before=change.before,
            after=change.after,
            since=change.since,
            moved=[HealthMove(tag=m.tag, name=m.name, input=m.input, points=m.points) for m in change.moved],
            sentence=change.sentence(name),
        )
