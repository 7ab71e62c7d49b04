"""States are numbers that hardly get smaller: trying it cost most of what the watch asks of the database."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("twins", "0013_body_is_compressed"),
    ]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE twins_{table} ALTER COLUMN state SET STORAGE EXTERNAL",
            f"ALTER TABLE twins_{table} ALTER COLUMN state SET STORAGE EXTENDED",
        )
        for table in ("sensorstate", "patternstate")
    ]
