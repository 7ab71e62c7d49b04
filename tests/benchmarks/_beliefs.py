"""What is believed of a large plant and rests on readings, written in a few statements: health, warnings, findings."""

from __future__ import annotations

from django.db import connection


def believe() -> None:
    """Health of every asset, models of every design, and tens of thousands of records behind both."""
    with connection.cursor() as cursor:
        for statement in _STATEMENTS:
            cursor.execute(statement)
        cursor.execute("ANALYZE")


_STATEMENTS = (
    """
INSERT INTO twins_healthmodel (design_id, status, reason, sha256, horizon, life_unit, inputs, metrics, data_hash, scope,
    settings, later, seed, versions, trained_at)
SELECT id, 'champion', '', md5(id::text), 900, 'd', '["t0", "t1"]', '{"rmse": 41.5}', md5(code), '', '{}', '{}', 1,
    '{}', now() FROM twins_assets_design
""",
    """
INSERT INTO twins_assessment (asset_id, item_id, model_id, source, health, coverage, failure_probabilities, rul_p10,
    rul_p50, rul_p90, rul_unit, beyond_horizon, sources, drivers, data_time, assessed_at)
SELECT asset.id, place.item_id, model.id, CASE WHEN model.id IS NULL THEN 'rollup' ELSE 'model' END,
    (asset.id * 7919 % 10007) / 101.5, (asset.id % 100) / 100.0, '[{"horizon": 30, "probability": 0.12}]', 30, 40.5, 90,
    'd', false, '[]', '[{"input": "t0", "points": -31.4}, {"input": "t1", "points": -2.0}]', now(), now()
FROM twins_assets_asset asset
LEFT JOIN twins_assets_installation place ON place.asset_id = asset.id AND upper_inf(place.period)
LEFT JOIN twins_healthmodel model ON model.design_id = asset.design_id
""",
    """
INSERT INTO twins_latestreading (sensor_id, time, value, quality, batch)
SELECT id, now(), id % 97, 0, 1 FROM twins_assets_sensor WHERE id % 4 = 0
""",
    """
INSERT INTO twins_finding (sensor_id, asset_id, kind, started_at, ended_at, value, score)
SELECT id, asset_id, 'limit', now() - id % 1000 * interval '1 hour', now(), 120.5, 3.5
FROM twins_assets_sensor WHERE id % 20 = 0
""",
    """
INSERT INTO twins_healthwarning (asset_id, item_id, source, threshold, horizon_days, probability, peak, raised_at,
    last_at, cleared_at, verdict)
SELECT asset_id, item_id, 'model', 0.5, 30, 0.6, 0.8, now() - asset_id % 1000 * interval '1 hour', now(), now(), 'open'
FROM twins_assets_installation WHERE upper_inf(period)
""",
    """
INSERT INTO twins_healthrecord (asset_id, at, hour, health, band, coverage, source, drivers, probability, horizon_days,
    came_true)
SELECT asset_id, now() - hour * interval '1 hour', date_trunc('hour', now() - hour * interval '1 hour'), 60, 'fair',
    0.9, 'model', '[]', 0.3, 30, false
FROM twins_assets_installation, generate_series(1, 4) AS hour WHERE upper_inf(period)
""",
)
