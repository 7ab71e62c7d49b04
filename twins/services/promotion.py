"""Which of a design's models is in force: people may bring back a retired one, or step back to the one before."""

from __future__ import annotations

import hashlib

from django.db import transaction

from assets.models import Design
from twins.exceptions import ModelRefused
from twins.models import HealthModel, ModelStatus


@transaction.atomic
def promote_model(*, model: HealthModel) -> HealthModel:
    """Put a retired or candidate model in force; raises ModelRefused, and then nothing has changed.

    What was refused when it was trained stays refused, and so do bytes that are not those that were trained.
    """
    Design.objects.select_for_update().get(pk=model.design_id)
    found = HealthModel.objects.get(pk=model.pk)
    if found.status == ModelStatus.CHAMPION:
        return found
    if found.status == ModelStatus.REFUSED:
        raise ModelRefused(f"Model {found.pk} was refused when it was trained: {found.reason}")
    if hashlib.sha256(bytes(found.artefact or b"")).hexdigest() != found.sha256:
        raise ModelRefused(f"Model {found.pk} is not the one that was trained (its SHA-256 differs): train it again.")
    for champion in HealthModel.objects.filter(design=found.design_id, status=ModelStatus.CHAMPION).defer("artefact"):
        champion.status, champion.reason = ModelStatus.RETIRED, f"Replaced by model {found.pk}, which was brought back."
        champion.save(update_fields=["status", "reason"])
    found.status, found.reason = ModelStatus.CHAMPION, ""
    found.save(update_fields=["status", "reason"])
    return found


@transaction.atomic
def roll_back(*, design: Design) -> HealthModel:
    """Put the model before the champion in force again; raises ModelRefused where there is none."""
    champion = HealthModel.objects.filter(design=design, status=ModelStatus.CHAMPION).defer("artefact").first()
    retired = HealthModel.objects.filter(design=design, status=ModelStatus.RETIRED).defer("artefact")
    if champion is not None:
        retired = retired.filter(trained_at__lte=champion.trained_at).exclude(pk__gt=champion.pk)
    before = retired.order_by("-trained_at", "-pk").first()
    if before is None:
        raise ModelRefused(
            f"{design} has no earlier model to go back to: train it, or leave the ageing curve to speak."
        )
    return promote_model(model=before)
