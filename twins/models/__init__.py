"""The tables of the twins: what was accepted and where it lies, what is believed of each asset, who may come in."""

from twins.models.access import ApiToken, Scope
from twins.models.health import Assessment, AssessmentSource, HealthModel, ModelStatus
from twins.models.ingestion import Batch, LakeFile, LatestReading

__all__ = [
    "ApiToken",
    "Assessment",
    "AssessmentSource",
    "Batch",
    "HealthModel",
    "LakeFile",
    "LatestReading",
    "ModelStatus",
    "Scope",
]
