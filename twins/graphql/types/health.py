"""What is believed of a twin now: a score with its coverage, probabilities, remaining life, and what drove them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from assets.models import Asset
from twins.graphql.context import Info
from twins.graphql.planner import Column, Elements, Key, One, Same, sql
from twins.graphql.scalars import finite
from twins.graphql.types.window import From, Last, To, check_points, window_of
from twins.models.health import Assessment, AssessmentSource
from twins.models.ledger import HealthBand, HealthWarning
from twins.models.ledger import HealthRecord as Record

if TYPE_CHECKING:
    from twins.graphql.types.twin import Twin

strawberry.enum(AssessmentSource, name="HealthSource", description="What a score came from.")
strawberry.enum(HealthBand, name="HealthBand", description="How bad a score is.")


@strawberry.type(description="How likely a failure is within a horizon.")
class FailureProbability:
    horizon: float | None = strawberry.field(
        description="The horizon, in the life unit: days, or e.g. {cycle}.", metadata=sql(Key("horizon"))
    )
    probability: float | None = strawberry.field(
        description="Probability of a failure within the horizon, 0 to 1.", metadata=sql(Key("probability"))
    )


@strawberry.type(description="Remaining useful life with its interval: it ends earlier than p10 in one case of ten.")
class RemainingLife:
    p10: float | None = strawberry.field(description="10th percentile, in `unit`.", metadata=sql(Column("rul_p10")))
    p50: float | None = strawberry.field(description="Median, in `unit`.", metadata=sql(Column("rul_p50")))
    p90: float | None = strawberry.field(description="90th percentile, in `unit`.", metadata=sql(Column("rul_p90")))
    unit: str = strawberry.field(
        description="UCUM code of the unit of life: d for days, or e.g. {cycle}.", metadata=sql(Column("rul_unit"))
    )
    beyond_horizon: bool = strawberry.field(
        description="The median is more than the planning horizon of the design.",
        metadata=sql(Column("beyond_horizon")),
    )


@strawberry.type(description="How much one input took off the score.")
class Driver:
    input: str = strawberry.field(
        description="The input, as a path relative to the asset: HPC/T30.", metadata=sql(Key("input"))
    )
    points: float | None = strawberry.field(
        description="Points of health, 0 to 100; negative lowers the score.", metadata=sql(Key("points"))
    )


@strawberry.type(description="One of several sources of a score, and what it weighs.")
class HealthVoice:
    source: str = strawberry.field(description="model, ageing or contributors.", metadata=sql(Key("source")))
    weight: float | None = strawberry.field(
        description="Its share of the score; all weights sum to 1.", metadata=sql(Key("weight"))
    )
    health: float | None = strawberry.field(description="What it says alone.", metadata=sql(Key("health")))
    reason: str = strawberry.field(description="Why it weighs so much.", metadata=sql(Key("reason")))


@strawberry.type(description="What was believed of a twin at one time.")
class HealthRecord:
    at: datetime = strawberry.field(
        description="When it was assessed, UTC: the last time of an hour, or when the band changed."
    )
    score: float = strawberry.field(description="0 failed to 100 as new.")
    band: HealthBand = strawberry.field(description="The band of the score.")
    coverage: float = strawberry.field(description="Share of the inputs that were fresh and good, 0 to 1.")
    source: AssessmentSource = strawberry.field(description="What the score came from.")
    drivers: list[Driver] = strawberry.field(description="What lowered or raised it, in points.")
    probability: float | None = strawberry.field(description="Of a failure within `horizonDays`.")
    horizon_days: float | None = strawberry.field(description="The shortest horizon, in days.")
    came_true: bool | None = strawberry.field(description="Whether it failed within; null: not known yet, or never.")

    @classmethod
    def of(cls, row: Record) -> Self:
        return cls(
            at=row.at,
            score=row.health,
            band=HealthBand(row.band),
            coverage=row.coverage,
            source=AssessmentSource(row.source),
            drivers=[Driver(input=each["input"], points=_number(each.get("points"))) for each in row.drivers],
            probability=finite(row.probability),
            horizon_days=finite(row.horizon_days),
            came_true=row.came_true,
        )


@strawberry.type(description="What was believed of a twin over time.")
class HealthHistory:
    records: list[HealthRecord] = strawberry.field(description="In order of time, oldest first, and the newest kept.")
    thinned: bool = strawberry.field(description="Whether older ones of the window were left out to keep to `points`.")


Records = Annotated[int, strawberry.argument(description="At most so many records, the newest, 1 to 1000.")]


@strawberry.type(description="A probability of failure above its threshold, until it clears.")
class Warning:
    raised_at: datetime = strawberry.field(description="When it was raised, UTC.", metadata=sql(Column("raised_at")))
    probability: float = strawberry.field(
        description="Probability of a failure when it was raised.", metadata=sql(Column("probability"))
    )
    peak: float = strawberry.field(description="The highest probability since.", metadata=sql(Column("peak")))
    threshold: float = strawberry.field(
        description="Probability from which on the design is warned of.", metadata=sql(Column("threshold"))
    )
    horizon_days: float = strawberry.field(
        description="Within how many days it is said to fail.", metadata=sql(Column("horizon_days"))
    )

    @classmethod
    def of(cls, row: HealthWarning) -> Self:
        return cls(
            raised_at=row.raised_at,
            probability=row.probability,
            peak=row.peak,
            threshold=row.threshold,
            horizon_days=row.horizon_days,
        )


@strawberry.type(description="What is believed of a twin now. A score never stands without its coverage.")
class Health:
    score: float = strawberry.field(description="Health from 0 to 100; 100 = as new.", metadata=sql(Column("health")))
    coverage: float = strawberry.field(
        description="Share of the inputs that are fresh and good, 0 to 1.", metadata=sql(Column("coverage"))
    )
    source: AssessmentSource = strawberry.field(description="What the score came from.", metadata=sql(Column("source")))
    sources: list[HealthVoice] = strawberry.field(
        description="What a blend is made of; empty when one source speaks alone.", metadata=sql(Elements("sources"))
    )
    failure_probabilities: list[FailureProbability] = strawberry.field(
        description="Probability of failure per horizon, the shortest horizon first.",
        metadata=sql(Elements("failure_probabilities")),
    )
    rul: RemainingLife | None = strawberry.field(
        description="Remaining useful life; null when it is not estimated.", metadata=sql(Same("{row}.rul_unit <> ''"))
    )
    drivers: list[Driver] = strawberry.field(
        description="What moved the score, the worst first.", metadata=sql(Elements("drivers"))
    )
    data_time: datetime | None = strawberry.field(
        description="Time of the newest reading it rests on, UTC.", metadata=sql(Column("data_time"))
    )
    assessed_at: datetime = strawberry.field(
        description="When it was assessed, UTC.", metadata=sql(Column("assessed_at"))
    )
    worst_id: strawberry.Private[int | None]
    asset_id: strawberry.Private[int]

    @classmethod
    def of(cls, row: Assessment) -> Self:
        """The health an assessment states."""
        return cls(
            score=row.health,
            coverage=row.coverage,
            source=AssessmentSource(row.source),
            sources=[
                HealthVoice(source=each["source"], weight=each["weight"], health=each["health"], reason=each["reason"])
                for each in row.sources
            ],
            failure_probabilities=[
                FailureProbability(horizon=_number(each.get("horizon")), probability=_number(each.get("probability")))
                for each in row.failure_probabilities
            ],
            rul=_remaining_life(row),
            drivers=[Driver(input=each["input"], points=_number(each.get("points"))) for each in row.drivers],
            data_time=row.data_time,
            assessed_at=row.assessed_at,
            worst_id=row.worst_asset_id,
            asset_id=row.asset_id,
        )

    @strawberry.field(
        description="The twin a roll-up took its score from; null when the score is its own.",
        metadata=sql(One(Asset, "{it}.id = {row}.worst_asset_id")),
    )
    async def worst(self, info: Info) -> Annotated[Twin, strawberry.lazy("twins.graphql.types.twin")] | None:
        from twins.graphql.types.twin import load_twin

        return await load_twin(info, self.worst_id)

    @strawberry.field(description="What was believed before, in a window: from and to, or last.")
    async def history(
        self, info: Info, from_: From = None, to: To = None, last: Last = None, points: Records = 200
    ) -> HealthHistory:
        start, end = window_of("history", from_, to, last, info.context.now)
        check_points(points, 1)
        rows = await info.context.loaders.health_records.load((self.asset_id, (start, end, points + 1)))
        return HealthHistory(
            records=[HealthRecord.of(row) for row in reversed(rows[:points])], thinned=len(rows) > points
        )


def _remaining_life(row: Assessment) -> RemainingLife | None:
    # The unit says whether life was estimated at all: beyond the horizon the percentiles may all be open.
    if not row.rul_unit:
        return None
    return RemainingLife(
        p10=finite(row.rul_p10),
        p50=finite(row.rul_p50),
        p90=finite(row.rul_p90),
        unit=row.rul_unit,
        beyond_horizon=row.beyond_horizon,
    )


def _number(value: float | None) -> float | None:
    return None if value is None else finite(float(value))
