"""What is new of a state is stored beside it, in its row, and the state itself now and then."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("twins", "0015_body_is_a_stream"),
    ]

    operations = [
        migrations.AddField(
            model_name="sensorstate",
            name="recent",
            field=models.BinaryField(
                db_default=b"", default=b"", help_text="What has changed since, a small part; empty: nothing."
            ),
        ),
    ]
