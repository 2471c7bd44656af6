"""
Every error this package raises on purpose.

Raw facts go to ``super().__init__``, the sentence is built in ``__str__``: so an error survives pickling between
processes with its facts. ``transient`` says whether trying again can help; everything else fails for good.
"""

from __future__ import annotations

from airflow_model_provider.exceptions.base import ModelRegistryError
from airflow_model_provider.exceptions.connections import (
    InvalidConfiguration,
    OutcomeUnknown,
    RegistryUnavailable,
    SchemaMismatch,
    StoreUnavailable,
    WrongRegistry,
)
from airflow_model_provider.exceptions.definitions import (
    DeferredValueUsed,
    DefinitionError,
    InvalidDefinition,
    InvalidName,
    LoadingWhileBuilding,
    MissingModelContext,
    UnknownStage,
)
from airflow_model_provider.exceptions.gates import GateFailed, PromotionOvertaken, PromotionRefused
from airflow_model_provider.exceptions.registry import (
    AlreadyExists,
    AmbiguousArtifact,
    ArtifactNotFound,
    DeploymentClash,
    MetadataConflict,
    MetadataNotFound,
    ModelNotFound,
    NothingToRestore,
    PinConflict,
    StageConflict,
    StageNotAssigned,
    StageOccupied,
    StageProtected,
    VersionDeleted,
    VersionInUse,
    VersionNotFound,
    VersionNotReady,
    VersionSealed,
)
from airflow_model_provider.exceptions.runs import (
    InvalidSelector,
    NoRunDate,
    PipelineFailed,
    UnknownAttribute,
    WaitTimedOut,
)
from airflow_model_provider.exceptions.transfer import (
    ExportFailed,
    ImportConflict,
    InvalidExport,
    NotExportable,
)
from airflow_model_provider.exceptions.values import (
    DigestMismatch,
    LoadFailed,
    MaterializerUnusable,
    MissingDependency,
    NotSerializable,
    NotSigned,
    PayloadMissing,
    PayloadReplaced,
    PickleForbidden,
    UnknownFormat,
    UntrustedTypes,
    WrongType,
)

__all__ = [
    "AlreadyExists",
    "AmbiguousArtifact",
    "ArtifactNotFound",
    "DeferredValueUsed",
    "DefinitionError",
    "DeploymentClash",
    "DigestMismatch",
    "ExportFailed",
    "GateFailed",
    "ImportConflict",
    "InvalidConfiguration",
    "InvalidDefinition",
    "InvalidExport",
    "InvalidName",
    "InvalidSelector",
    "LoadFailed",
    "LoadingWhileBuilding",
    "MaterializerUnusable",
    "MetadataConflict",
    "MetadataNotFound",
    "MissingDependency",
    "MissingModelContext",
    "ModelNotFound",
    "ModelRegistryError",
    "NoRunDate",
    "NotExportable",
    "NotSerializable",
    "NotSigned",
    "NothingToRestore",
    "OutcomeUnknown",
    "PayloadMissing",
    "PayloadReplaced",
    "PickleForbidden",
    "PinConflict",
    "PipelineFailed",
    "PromotionOvertaken",
    "PromotionRefused",
    "RegistryUnavailable",
    "SchemaMismatch",
    "StageConflict",
    "StageNotAssigned",
    "StageOccupied",
    "StageProtected",
    "StoreUnavailable",
    "UnknownAttribute",
    "UnknownFormat",
    "UnknownStage",
    "UntrustedTypes",
    "VersionDeleted",
    "VersionInUse",
    "VersionNotFound",
    "VersionNotReady",
    "VersionSealed",
    "WaitTimedOut",
    "WrongRegistry",
    "WrongType",
]
