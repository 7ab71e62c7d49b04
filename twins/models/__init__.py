"""The tables of the twins: what was accepted and where it lies, what is believed of each asset, who may come in."""

from twins.models.access import ApiToken, Scope
from twins.models.corrections import Correction
from twins.models.documents import KeptAnswer, PersistedDocument
from twins.models.health import Assessment, AssessmentSource, HealthModel, ModelStatus
from twins.models.ingestion import Batch, LakeFile, LatestReading
from twins.models.intake import DeadLetter, LetterForm, SeriesRule
from twins.models.learning import LearningPlan
from twins.models.ledger import HealthBand, HealthRecord, HealthWarning, WarningVerdict
from twins.models.policy import DesignReliability, HealthPolicy, RollUpPolicy, RollUpRule
from twins.models.watching import Finding, FindingKind, PatternState, SensorState

__all__ = [
    "ApiToken",
    "Assessment",
    "AssessmentSource",
    "Batch",
    "Correction",
    "DeadLetter",
    "DesignReliability",
    "Finding",
    "FindingKind",
    "HealthBand",
    "HealthModel",
    "HealthPolicy",
    "HealthRecord",
    "HealthWarning",
    "KeptAnswer",
    "LakeFile",
    "LatestReading",
    "LearningPlan",
    "LetterForm",
    "ModelStatus",
    "PatternState",
    "PersistedDocument",
    "RollUpPolicy",
    "RollUpRule",
    "Scope",
    "SensorState",
    "SeriesRule",
    "WarningVerdict",
]
