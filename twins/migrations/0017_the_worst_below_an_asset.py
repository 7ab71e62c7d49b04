"""An assessment says where its asset stands, so that an index has the worst below each asset near the root.

The database keeps it so, whoever writes: it is copied when an assessment is written, and follows when an asset is
moved. Neither may miss the other. Both hold the lock of assessments (7305001 in services.assessment) first, so the
later one waits for the end of the earlier, and what it reads then is new, as READ COMMITTED has it. A move holds it
before it holds any asset, because whoever assesses holds it and then refers to assets.
"""

import django.contrib.postgres.fields
from django.db import migrations, models

LOCK = """
CREATE FUNCTION twins_assess_alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7305001);
    RETURN NULL;
END $$;
CREATE TRIGGER twins_assessment_alone BEFORE INSERT ON twins_assessment
    FOR EACH STATEMENT EXECUTE FUNCTION twins_assess_alone();
CREATE TRIGGER twins_assessment_alone BEFORE UPDATE OF path ON twins_assets_asset
    FOR EACH STATEMENT EXECUTE FUNCTION twins_assess_alone();
"""
NO_LOCK = """
DROP TRIGGER twins_assessment_alone ON twins_assets_asset;
DROP TRIGGER twins_assessment_alone ON twins_assessment;
DROP FUNCTION twins_assess_alone();
"""
FOLLOW = """
CREATE FUNCTION twins_place_assessment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.path := (SELECT path FROM twins_assets_asset WHERE id = NEW.asset_id);
    RETURN NEW;
END $$;
CREATE TRIGGER twins_assessment_placed BEFORE INSERT ON twins_assessment
    FOR EACH ROW EXECUTE FUNCTION twins_place_assessment();
CREATE TRIGGER twins_assessment_replaced BEFORE UPDATE OF asset_id, path ON twins_assessment
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND (OLD.asset_id <> NEW.asset_id OR OLD.path IS DISTINCT FROM NEW.path))
    EXECUTE FUNCTION twins_place_assessment();

-- EXECUTE plans anew each time: the plan for one asset is wrong for thousands.
CREATE FUNCTION twins_move_assessments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'UPDATE twins_assessment known SET path = fresh.path
        FROM fresh JOIN stale ON stale.id = fresh.id AND stale.path <> fresh.path WHERE known.asset_id = fresh.id';
    RETURN NULL;
END $$;
CREATE TRIGGER twins_assessment_moved AFTER UPDATE ON twins_assets_asset
    REFERENCING OLD TABLE AS stale NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION twins_move_assessments();
"""
NO_FOLLOW = """
DROP TRIGGER twins_assessment_moved ON twins_assets_asset;
DROP FUNCTION twins_move_assessments();
DROP TRIGGER twins_assessment_replaced ON twins_assessment;
DROP TRIGGER twins_assessment_placed ON twins_assessment;
DROP FUNCTION twins_place_assessment();
"""
# The new column and the triggers on both tables keep everybody else from writing until all of it is there.
FILL = """
UPDATE twins_assessment known SET path = asset.path FROM twins_assets_asset asset WHERE asset.id = known.asset_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("twins", "0016_recent_of_states"),
        ("twins_assets", "0006_level_index"),
    ]

    operations = [
        migrations.AddField(
            model_name="assessment",
            name="path",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                default=list,
                editable=False,
                help_text="That of the asset; the database keeps it so.",
                size=None,
            ),
        ),
        migrations.RunSQL(LOCK, NO_LOCK),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(FOLLOW, NO_FOLLOW),
        *(
            migrations.AddIndex(
                model_name="assessment",
                index=models.Index(
                    models.F(f"path__{step}"),
                    models.F("health"),
                    models.F("asset"),
                    name=f"assessment_worst_below_{step + 1}",
                ),
            )
            for step in range(3)
        ),
    ]
