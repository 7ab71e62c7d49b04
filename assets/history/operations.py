"""Migration operations that make a table keep its history. Migrations that have run rely on them: they do not change.

`KeepHistory("Asset")` puts four triggers on the table, all of one function, which finds the columns by itself: a column
that comes later needs its field in both tables and no new trigger.
"""

from __future__ import annotations

from typing import Any

from django.db.migrations.operations.base import Operation

TRIGGERS = """
CREATE TRIGGER twins_assets_history_insert AFTER INSERT ON {table} REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION twins_assets_keep_history({versions});
CREATE TRIGGER twins_assets_history_update AFTER UPDATE ON {table} REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION twins_assets_keep_history({versions});
CREATE TRIGGER twins_assets_history_delete AFTER DELETE ON {table} REFERENCING OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION twins_assets_keep_history({versions});
CREATE TRIGGER twins_assets_history_truncate AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION twins_assets_keep_history({versions});
"""
# What stands already is the first version of itself; its change is stamped at once, because a migration that made the
# table of changes as well has constraints to add to it yet.
BASELINE = """
SELECT set_config('twins_assets.origin', '{{"source": "baseline"}}', true);
WITH known AS MATERIALIZED (SELECT twins_assets_this_change() AS change WHERE EXISTS (SELECT FROM {table}))
INSERT INTO {versions} (gone, {columns}, change_id) SELECT false, {columns}, known.change FROM {table}, known;
SET CONSTRAINTS twins_assets_stamp_change IMMEDIATE;
SET CONSTRAINTS twins_assets_stamp_change DEFERRED;
"""


class KeepHistory(Operation):
    """Keep the history of a table from now on; its model and that of its versions exist already."""

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def state_forwards(self, app_label: str, state: Any) -> None:
        pass

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model, versions = self._models(app_label, to_state)
        quote = schema_editor.connection.ops.quote_name
        columns = ", ".join(quote(field.column) for field in model._meta.local_concrete_fields)
        names = {"table": quote(model._meta.db_table), "versions": quote(versions._meta.db_table), "columns": columns}
        schema_editor.execute(BASELINE.format(**names), params=None)
        literal = f"'{versions._meta.db_table}'"
        schema_editor.execute(TRIGGERS.format(table=names["table"], versions=literal), params=None)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = schema_editor.connection.ops.quote_name(self._models(app_label, from_state)[0]._meta.db_table)
        for event in ("insert", "update", "delete", "truncate"):
            schema_editor.execute(f"DROP TRIGGER twins_assets_history_{event} ON {table}", params=None)

    def describe(self) -> str:
        return f"Keep the history of {self.model_name}"

    def _models(self, app_label: str, state: Any) -> tuple[Any, Any]:
        find = state.apps.get_model
        return find(app_label, self.model_name), find(app_label, f"{self.model_name}Version")
