from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("twins", "0014_states_stand_as_they_are"),
    ]

    operations = [
        migrations.AlterField(
            model_name="batch",
            name="body",
            field=models.BinaryField(help_text="Arrow IPC stream; sensor, time, value, quality.", null=True),
        ),
    ]
