import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.lookups
from django.db import migrations, models

# The path of a type is derived by the database alone: types are few and hosts make them in many ways.
TYPE_PATHS = """
CREATE FUNCTION twins_assets_type_path() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE above bigint[];
BEGIN
    IF NEW.parent_id IS NULL THEN
        NEW.path := ARRAY[NEW.id];
        RETURN NEW;
    END IF;
    -- Two types that are put below each other at once must see each other.
    PERFORM pg_advisory_xact_lock(hashtextextended('twins_assets.types', 0));
    SELECT path INTO above FROM twins_assets_assettype WHERE id = NEW.parent_id;
    IF NEW.id = NEW.parent_id OR NEW.id = ANY(above) THEN
        RAISE EXCEPTION 'type % cannot stand below itself', NEW.code
            USING ERRCODE = 'check_violation', CONSTRAINT = 'type_not_below_itself', TABLE = 'twins_assets_assettype';
    END IF;
    NEW.path := above || NEW.id;
    RETURN NEW;
END $$;
CREATE FUNCTION twins_assets_type_path_below() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE twins_assets_assettype SET path = path WHERE parent_id = NEW.id;
    RETURN NULL;
END $$;

-- Nothing refused cycles of types before: each is opened at its smallest id, then all paths are filled from the top.
DO $$
BEGIN
    LOOP
        WITH RECURSIVE up(start, id, steps) AS (
            SELECT id, parent_id, ARRAY[id] FROM twins_assets_assettype WHERE parent_id IS NOT NULL
            UNION ALL
            SELECT up.start, type.parent_id, up.steps || type.id FROM up
            JOIN twins_assets_assettype type ON type.id = up.id
            WHERE type.parent_id IS NOT NULL AND NOT type.id = ANY(up.steps)
        )
        UPDATE twins_assets_assettype SET parent_id = NULL
        WHERE id = (SELECT min(start) FROM up WHERE id = start);
        EXIT WHEN NOT FOUND;
    END LOOP;
END $$;
WITH RECURSIVE down(id, path) AS (
    SELECT id, ARRAY[id] FROM twins_assets_assettype WHERE parent_id IS NULL
    UNION ALL
    SELECT type.id, down.path || type.id FROM down JOIN twins_assets_assettype type ON type.parent_id = down.id
)
UPDATE twins_assets_assettype type SET path = down.path FROM down WHERE down.id = type.id;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;

CREATE TRIGGER twins_assets_type_path BEFORE INSERT OR UPDATE ON twins_assets_assettype
    FOR EACH ROW EXECUTE FUNCTION twins_assets_type_path();
CREATE TRIGGER twins_assets_type_path_below AFTER UPDATE ON twins_assets_assettype
    FOR EACH ROW WHEN (OLD.path IS DISTINCT FROM NEW.path) EXECUTE FUNCTION twins_assets_type_path_below();
"""
NO_TYPE_PATHS = """
DROP TRIGGER twins_assets_type_path ON twins_assets_assettype;
DROP TRIGGER twins_assets_type_path_below ON twins_assets_assettype;
DROP FUNCTION twins_assets_type_path();
DROP FUNCTION twins_assets_type_path_below();
"""

# Services keep root and path of assets; the database refuses what would not be theirs, whoever writes it. One check a
# statement, because a row's own trigger would cost bulk creation more than the rows. EXECUTE plans anew each time: the
# plan for a hundred thousand rows is wrong for one.
ASSET_TREE = """
CREATE FUNCTION twins_assets_check_tree() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    touched text := 'SELECT id, tag, parent_id, root_id, path, level FROM fresh';
    wrong text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        touched := touched || ' EXCEPT SELECT id, tag, parent_id, root_id, path, level FROM stale';
    END IF;
    EXECUTE 'WITH touched AS MATERIALIZED (' || touched || ')
        SELECT tag FROM (
            SELECT child.tag, child.id, child.root_id, child.path, child.level, parent.path AS above, parent.level AS over
            FROM touched child LEFT JOIN twins_assets_asset parent ON parent.id = child.parent_id
            UNION ALL
            SELECT child.tag, child.id, child.root_id, child.path, child.level, parent.path, parent.level
            FROM touched parent JOIN twins_assets_asset child ON child.parent_id = parent.id
            WHERE $1 = ''UPDATE''
        ) place
        WHERE path IS DISTINCT FROM coalesce(above, ARRAY[]::bigint[]) || id OR root_id IS DISTINCT FROM path[1]
           OR array_position(ARRAY[''system'', ''product'', ''part''], level::text)
              < array_position(ARRAY[''system'', ''product'', ''part''], over::text)
        LIMIT 1' INTO wrong USING TG_OP;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'asset % does not follow its parent in root, path or level', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_follows_its_parent', TABLE = 'twins_assets_asset';
    END IF;
    RETURN NULL;
END $$;

-- Rows that a host wrote past the services are put right first; what hangs in a cycle has no top and stays.
WITH RECURSIVE down(id, path) AS (
    SELECT id, ARRAY[id] FROM twins_assets_asset WHERE parent_id IS NULL
    UNION ALL
    SELECT asset.id, down.path || asset.id FROM down JOIN twins_assets_asset asset ON asset.parent_id = down.id
)
UPDATE twins_assets_asset asset SET path = down.path, root_id = down.path[1] FROM down
WHERE down.id = asset.id AND (asset.path <> down.path OR asset.root_id IS DISTINCT FROM down.path[1]);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;

CREATE TRIGGER twins_assets_asset_inserted AFTER INSERT ON twins_assets_asset REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION twins_assets_check_tree();
CREATE TRIGGER twins_assets_asset_updated AFTER UPDATE ON twins_assets_asset
    REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION twins_assets_check_tree();
"""
NO_ASSET_TREE = """
DROP TRIGGER twins_assets_asset_inserted ON twins_assets_asset;
DROP TRIGGER twins_assets_asset_updated ON twins_assets_asset;
DROP FUNCTION twins_assets_check_tree();
"""

# The list of a design becomes rows. A code longer than a code may be keeps its whole text in the name.
FAILURE_MODES = """
INSERT INTO twins_assets_failurecode (design_id, kind, code, name, iso14224)
SELECT design.id, 'mode', left(said.text, 64), CASE WHEN length(said.text) > 64 THEN left(said.text, 200) ELSE '' END, ''
FROM twins_assets_design design
CROSS JOIN LATERAL (
    SELECT CASE jsonb_typeof(one.value) WHEN 'string' THEN one.value #>> '{}' ELSE one.value::text END AS text
    FROM jsonb_array_elements(
        CASE jsonb_typeof(design.failure_modes)
            WHEN 'array' THEN design.failure_modes
            WHEN 'object' THEN (SELECT coalesce(jsonb_agg(key), '[]') FROM jsonb_object_keys(design.failure_modes) key)
            ELSE '[]'
        END
    ) one(value)
) said
WHERE said.text <> ''
ON CONFLICT DO NOTHING;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""
NO_FAILURE_MODES = """
UPDATE twins_assets_design design SET failure_modes = said.codes
FROM (SELECT design_id, jsonb_agg(code ORDER BY id) AS codes FROM twins_assets_failurecode WHERE kind = 'mode'
      GROUP BY design_id) said
WHERE said.design_id = design.id;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("twins_assets", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ExternalReference",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "system",
                    models.CharField(help_text="Name of the other system: SAP, Maximo, historian.", max_length=64),
                ),
                (
                    "kind",
                    models.CharField(
                        blank=True, help_text="What the key names there: equipment, functional location.", max_length=64
                    ),
                ),
                ("key", models.CharField(max_length=200)),
            ],
            options={
                "ordering": ["system", "kind", "key"],
                "constraints": [
                    models.UniqueConstraint(fields=("system", "kind", "key"), name="reference_unique"),
                ],
            },
        ),
        migrations.CreateModel(
            name="FailureCode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("mode", "failure mode"), ("cause", "failure cause")], default="mode", max_length=5
                    ),
                ),
                ("code", models.CharField(max_length=64)),
                ("name", models.CharField(blank=True, max_length=200)),
                ("iso14224", models.CharField(blank=True, max_length=64, verbose_name="ISO 14224 code")),
            ],
            options={
                "ordering": ["kind", "code", "id"],
            },
        ),
        migrations.CreateModel(
            name="ParameterDefinition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "subject",
                    models.CharField(
                        choices=[
                            ("design", "design: as designed"),
                            ("asset", "asset: at the position"),
                            ("item", "item: as built"),
                            ("acceptance", "acceptance: as tested before delivery"),
                        ],
                        max_length=10,
                    ),
                ),
                ("name", models.CharField(max_length=64)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("number", "Number"),
                            ("text", "Text"),
                            ("boolean", "yes or no"),
                            ("choice", "Choice"),
                        ],
                        default="number",
                        max_length=8,
                    ),
                ),
                ("unit", models.CharField(blank=True, help_text="UCUM code, for numbers: kN, mm, Cel.", max_length=32)),
                ("minimum", models.FloatField(blank=True, null=True)),
                ("maximum", models.FloatField(blank=True, null=True)),
                (
                    "choices",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=100), blank=True, default=list, size=None
                    ),
                ),
                ("required", models.BooleanField(default=False)),
                ("description", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "ordering": ["subject", "name", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind", "number"),
                            models.Q(("maximum__isnull", True), ("minimum__isnull", True), ("unit", "")),
                            _connector="OR",
                        ),
                        name="parameter_unit_and_limits_of_numbers",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("minimum__isnull", True),
                            ("maximum__isnull", True),
                            ("minimum__lte", models.F("maximum")),
                            _connector="OR",
                        ),
                        name="parameter_limits_ordered",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "choice"), models.Q(("choices", []), _negated=True)),
                            models.Q(models.Q(("kind", "choice"), _negated=True), ("choices", [])),
                            _connector="OR",
                        ),
                        name="parameter_choices_of_a_choice",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Relation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("feeds", "Feeds"),
                            ("cools", "Cools"),
                            ("heats", "Heats"),
                            ("lubricates", "Lubricates"),
                            ("drives", "Drives"),
                            ("powers", "Powers"),
                            ("controls", "Controls"),
                            ("protects", "Protects"),
                            ("monitors", "Monitors"),
                            ("supports", "Supports"),
                            ("connected_to", "is connected to"),
                            ("redundant_with", "is redundant with"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "period",
                    django.contrib.postgres.fields.ranges.DateTimeRangeField(help_text="[since, until), aware UTC."),
                ),
                ("note", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "ordering": ["source_id", "kind", "target_id", "period", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                [
                                    "feeds",
                                    "cools",
                                    "heats",
                                    "lubricates",
                                    "drives",
                                    "powers",
                                    "controls",
                                    "protects",
                                    "monitors",
                                    "supports",
                                    "connected_to",
                                    "redundant_with",
                                ],
                            )
                        ),
                        name="relation_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("period__isempty", False), ("period__startswith__isnull", False)),
                        name="relation_period_has_a_start",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SensorTemplate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "quantity",
                    models.CharField(help_text="What is measured: temperature, vibration velocity.", max_length=100),
                ),
                ("unit", models.CharField(default="1", help_text="UCUM code: Cel, mm/s, bar, {cycle}.", max_length=32)),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("measurement", "measurement: says something about condition"),
                            ("setting", "setting: says how the asset is driven"),
                            ("usage", "usage counter: counts life"),
                        ],
                        default="measurement",
                        max_length=12,
                    ),
                ),
                ("expected_interval", models.FloatField(blank=True, help_text="Seconds between readings.", null=True)),
                ("valid_min", models.FloatField(blank=True, null=True)),
                ("valid_max", models.FloatField(blank=True, null=True)),
                (
                    "retention_days",
                    models.PositiveIntegerField(blank=True, help_text="Empty: kept for ever.", null=True),
                ),
                (
                    "privacy",
                    models.CharField(
                        choices=[
                            ("raw", "readings may leave the edge"),
                            ("aggregated", "only aggregates may leave the edge"),
                            ("never", "nothing may leave the edge"),
                        ],
                        default="raw",
                        max_length=10,
                    ),
                ),
                ("name", models.CharField(help_text="Name of the sensor at its asset.", max_length=100)),
            ],
            options={
                "ordering": ["name", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expected_interval__isnull", True), ("expected_interval__gt", 0), _connector="OR"
                        ),
                        name="sensor_template_expected_interval_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("valid_min__isnull", True),
                            ("valid_max__isnull", True),
                            ("valid_min__lt", models.F("valid_max")),
                            _connector="OR",
                        ),
                        name="sensor_template_valid_range_ordered",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="asset",
            name="retired_at",
            field=models.DateTimeField(blank=True, help_text="Since when it is out of use for good.", null=True),
        ),
        migrations.AddField(
            model_name="assettype",
            name="path",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                default=list,
                editable=False,
                help_text="Ids from the top type to this one, derived.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="design",
            name="based_on",
            field=models.ForeignKey(
                blank=True,
                help_text="The revision it improves.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="revisions",
                to="twins_assets.design",
            ),
        ),
        migrations.AddField(
            model_name="item",
            name="acceptance",
            field=models.JSONField(
                blank=True, default=dict, help_text="Results of the tests before delivery, by name."
            ),
        ),
        migrations.AddField(
            model_name="item",
            name="retired_at",
            field=models.DateTimeField(blank=True, help_text="Since when it is scrapped or sold.", null=True),
        ),
        migrations.AddField(
            model_name="item",
            name="retirement_reason",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name="maintenanceevent",
            name="running_state",
            field=models.CharField(
                blank=True,
                choices=[
                    ("running", "Running"),
                    ("starting", "Starting"),
                    ("stopping", "Stopping"),
                    ("idle", "Idle"),
                    ("standby", "Standby"),
                    ("testing", "Testing"),
                    ("stopped", "Stopped"),
                ],
                help_text="What the asset was doing; empty: unknown.",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="asset",
            name="attributes",
            field=models.JSONField(
                blank=True, default=dict, help_text="Values of this position: name to number, text or truth."
            ),
        ),
        migrations.AlterField(
            model_name="assettype",
            name="iso14224",
            field=models.CharField(
                blank=True,
                help_text="Equipment class code; empty: that of the parent type.",
                max_length=64,
                verbose_name="ISO 14224 class",
            ),
        ),
        migrations.AlterField(
            model_name="design",
            name="parameters",
            field=models.JSONField(
                blank=True, default=dict, help_text="As-designed values: name to number, text or truth."
            ),
        ),
        migrations.AlterField(
            model_name="item",
            name="build",
            field=models.JSONField(blank=True, default=dict, help_text="As-built values: batch, cutter, supplier."),
        ),
        migrations.AddConstraint(
            model_name="asset",
            constraint=models.CheckConstraint(
                condition=models.Q(("retired_at__isnull", True), ("status", "retired"), _connector="OR"),
                name="asset_retired_at_of_retired",
            ),
        ),
        migrations.AddConstraint(
            model_name="design",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("based_on__isnull", True), models.Q(("based_on", models.F("id")), _negated=True), _connector="OR"
                ),
                name="design_not_based_on_itself",
            ),
        ),
        migrations.AddConstraint(
            model_name="item",
            constraint=models.CheckConstraint(
                condition=models.Q(("retired_at__isnull", False), ("retirement_reason", ""), _connector="OR"),
                name="item_retirement_reason_of_retired",
            ),
        ),
        migrations.AddField(
            model_name="externalreference",
            name="asset",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="external_references",
                to="twins_assets.asset",
            ),
        ),
        migrations.AddField(
            model_name="externalreference",
            name="design",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="external_references",
                to="twins_assets.design",
            ),
        ),
        migrations.AddField(
            model_name="externalreference",
            name="event",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="external_references",
                to="twins_assets.maintenanceevent",
            ),
        ),
        migrations.AddField(
            model_name="externalreference",
            name="installation",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="external_references",
                to="twins_assets.installation",
            ),
        ),
        migrations.AddField(
            model_name="externalreference",
            name="item",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="external_references",
                to="twins_assets.item",
            ),
        ),
        migrations.AddField(
            model_name="externalreference",
            name="sensor",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="external_references",
                to="twins_assets.sensor",
            ),
        ),
        migrations.AddField(
            model_name="externalreference",
            name="type",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="external_references",
                to="twins_assets.assettype",
            ),
        ),
        migrations.AddField(
            model_name="failurecode",
            name="design",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="%(class)ss",
                to="twins_assets.design",
            ),
        ),
        migrations.AddField(
            model_name="failurecode",
            name="type",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="%(class)ss",
                to="twins_assets.assettype",
            ),
        ),
        migrations.AddField(
            model_name="parameterdefinition",
            name="design",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="%(class)ss",
                to="twins_assets.design",
            ),
        ),
        migrations.AddField(
            model_name="parameterdefinition",
            name="type",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="%(class)ss",
                to="twins_assets.assettype",
            ),
        ),
        migrations.AddField(
            model_name="relation",
            name="source",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="relations_out", to="twins_assets.asset"
            ),
        ),
        migrations.AddField(
            model_name="relation",
            name="target",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="relations_in", to="twins_assets.asset"
            ),
        ),
        migrations.AddField(
            model_name="externalreference",
            name="relation",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="external_references",
                to="twins_assets.relation",
            ),
        ),
        migrations.AddField(
            model_name="sensortemplate",
            name="design",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="%(class)ss",
                to="twins_assets.design",
            ),
        ),
        migrations.AddField(
            model_name="sensortemplate",
            name="type",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="%(class)ss",
                to="twins_assets.assettype",
            ),
        ),
        migrations.AddConstraint(
            model_name="failurecode",
            constraint=models.CheckConstraint(
                condition=django.db.models.lookups.Exact(
                    models.Func("type", "design", function="num_nonnulls", output_field=models.IntegerField()), 1
                ),
                name="failure_code_of_type_or_design",
            ),
        ),
        migrations.AddConstraint(
            model_name="failurecode",
            constraint=models.UniqueConstraint(
                condition=models.Q(("type__isnull", False)),
                fields=("type", "kind", "code"),
                name="failure_code_unique_in_type",
            ),
        ),
        migrations.AddConstraint(
            model_name="failurecode",
            constraint=models.UniqueConstraint(
                condition=models.Q(("design__isnull", False)),
                fields=("design", "kind", "code"),
                name="failure_code_unique_in_design",
            ),
        ),
        migrations.AddConstraint(
            model_name="parameterdefinition",
            constraint=models.CheckConstraint(
                condition=django.db.models.lookups.Exact(
                    models.Func("type", "design", function="num_nonnulls", output_field=models.IntegerField()), 1
                ),
                name="parameter_of_type_or_design",
            ),
        ),
        migrations.AddConstraint(
            model_name="parameterdefinition",
            constraint=models.UniqueConstraint(
                condition=models.Q(("type__isnull", False)),
                fields=("type", "subject", "name"),
                name="parameter_unique_in_type",
            ),
        ),
        migrations.AddConstraint(
            model_name="parameterdefinition",
            constraint=models.UniqueConstraint(
                condition=models.Q(("design__isnull", False)),
                fields=("design", "subject", "name"),
                name="parameter_unique_in_design",
            ),
        ),
        migrations.AddConstraint(
            model_name="relation",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                expressions=[("source", "="), ("target", "="), ("kind", "="), ("period", "&&")],
                name="relation_once_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="relation",
            constraint=models.CheckConstraint(
                condition=models.Q(("source", models.F("target")), _negated=True), name="relation_not_to_itself"
            ),
        ),
        migrations.AddConstraint(
            model_name="relation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind__in", ("connected_to", "redundant_with")), _negated=True),
                    ("source__lt", models.F("target")),
                    _connector="OR",
                ),
                name="relation_symmetric_kept_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="externalreference",
            constraint=models.CheckConstraint(
                condition=django.db.models.lookups.Exact(
                    models.Func(
                        "asset",
                        "type",
                        "design",
                        "item",
                        "sensor",
                        "event",
                        "relation",
                        "installation",
                        function="num_nonnulls",
                        output_field=models.IntegerField(),
                    ),
                    1,
                ),
                name="reference_has_one_target",
            ),
        ),
        migrations.AddConstraint(
            model_name="externalreference",
            constraint=models.UniqueConstraint(
                condition=models.Q(("asset__isnull", False)),
                fields=("asset", "system", "kind"),
                name="reference_once_per_asset",
            ),
        ),
        migrations.AddConstraint(
            model_name="externalreference",
            constraint=models.UniqueConstraint(
                condition=models.Q(("type__isnull", False)),
                fields=("type", "system", "kind"),
                name="reference_once_per_type",
            ),
        ),
        migrations.AddConstraint(
            model_name="externalreference",
            constraint=models.UniqueConstraint(
                condition=models.Q(("design__isnull", False)),
                fields=("design", "system", "kind"),
                name="reference_once_per_design",
            ),
        ),
        migrations.AddConstraint(
            model_name="externalreference",
            constraint=models.UniqueConstraint(
                condition=models.Q(("item__isnull", False)),
                fields=("item", "system", "kind"),
                name="reference_once_per_item",
            ),
        ),
        migrations.AddConstraint(
            model_name="externalreference",
            constraint=models.UniqueConstraint(
                condition=models.Q(("sensor__isnull", False)),
                fields=("sensor", "system", "kind"),
                name="reference_once_per_sensor",
            ),
        ),
        migrations.AddConstraint(
            model_name="externalreference",
            constraint=models.UniqueConstraint(
                condition=models.Q(("event__isnull", False)),
                fields=("event", "system", "kind"),
                name="reference_once_per_event",
            ),
        ),
        migrations.AddConstraint(
            model_name="externalreference",
            constraint=models.UniqueConstraint(
                condition=models.Q(("relation__isnull", False)),
                fields=("relation", "system", "kind"),
                name="reference_once_per_relation",
            ),
        ),
        migrations.AddConstraint(
            model_name="externalreference",
            constraint=models.UniqueConstraint(
                condition=models.Q(("installation__isnull", False)),
                fields=("installation", "system", "kind"),
                name="reference_once_per_installation",
            ),
        ),
        migrations.AddConstraint(
            model_name="sensortemplate",
            constraint=models.CheckConstraint(
                condition=django.db.models.lookups.Exact(
                    models.Func("type", "design", function="num_nonnulls", output_field=models.IntegerField()), 1
                ),
                name="sensor_template_of_type_or_design",
            ),
        ),
        migrations.AddConstraint(
            model_name="sensortemplate",
            constraint=models.UniqueConstraint(
                condition=models.Q(("type__isnull", False)),
                fields=("type", "name"),
                name="sensor_template_unique_in_type",
            ),
        ),
        migrations.AddConstraint(
            model_name="sensortemplate",
            constraint=models.UniqueConstraint(
                condition=models.Q(("design__isnull", False)),
                fields=("design", "name"),
                name="sensor_template_unique_in_design",
            ),
        ),
        migrations.RunSQL(TYPE_PATHS, NO_TYPE_PATHS),
        migrations.RunSQL(ASSET_TREE, NO_ASSET_TREE),
        migrations.RunSQL(FAILURE_MODES, NO_FAILURE_MODES),
        migrations.RemoveField(
            model_name="design",
            name="failure_modes",
        ),
    ]
