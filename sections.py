#
# This file is part of TEN Framework, an open source project.
# Licensed under the Apache License, Version 2.0.
# See the LICENSE file for more information.
#
"""The sections of a configuration: how one is read, and the nested ones."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    model_validator,
)

from . import coerce
from .redaction import redact_value

Text = Annotated[str, BeforeValidator(coerce.text)]
Word = Annotated[str, BeforeValidator(coerce.word)]
Line = Annotated[str, BeforeValidator(coerce.line)]
Identifier = Annotated[str, BeforeValidator(coerce.identifier)]
Flag = Annotated[bool, BeforeValidator(coerce.flag)]
Texts = Annotated[list[str], BeforeValidator(coerce.text_list)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(coerce.json_object)]

SectionT = TypeVar("SectionT", bound="Section")


class ConfigError(ValueError):
    """Properties that cannot be used.

    Attributes:
        problems: one line each: ``<property>: <what is wrong>; <what to do>``.
            None of them shows a secret.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        plural = "" if len(problems) == 1 else "s"
        super().__init__(
            f"tavus: {len(problems)} problem{plural}: " + " | ".join(problems)
        )


class Section(BaseModel):
    """Properties of which a blank one (``""``, ``[]``, ``{}``) is not set."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True
    )

    def __repr__(self) -> str:
        values = redact_value(self.model_dump(exclude_unset=True))
        return f"{type(self).__name__}({values})"

    __str__ = __repr__

    @model_validator(mode="before")
    @classmethod
    def _leave_out_blank(cls, value: Any) -> dict[str, Any]:
        return {
            name: item
            for name, item in coerce.json_object(value).items()
            if not coerce.is_blank(item)
        }

    @classmethod
    def read(
        cls: type[SectionT], properties: Mapping[str, Any]
    ) -> tuple[SectionT, list[str], set[str]]:
        """What can be read of ``properties``, and what cannot.

        Args:
            properties: the values by name; unknown names are left out.

        Returns:
            The section, with the defaults of the properties that have
            problems; the problems; the names of those properties.

        Raises:
            ConfigError: ``properties`` is no mapping.
        """
        if not isinstance(properties, Mapping):
            raise ConfigError(
                [
                    f"properties: {coerce.shown(properties)} is not an "
                    'object; write {"tavus_api_key": "…"}'
                ]
            )
        known: dict[str, Any] = {}
        problems: list[str] = []
        failed: set[str] = set()
        for name in list(cls.model_fields):
            if name not in properties:
                continue
            try:
                coerce.check_json(properties[name])
            except coerce.At as problem:
                problems.append(f"{name}{problem.path}: {problem}")
                failed.add(name)
            else:
                known[name] = properties[name]
        try:
            section = cls.model_validate(known)
        except ValidationError as error:
            for item in error.errors(include_url=False, include_input=False):
                problems.append(_problem(item))
                failed.add(str(item["loc"][0]))
            good = {k: v for k, v in known.items() if k not in failed}
            section = cls.model_validate(good)
        return section, problems, failed


def _problem(item: Any) -> str:
    """One line for an error that pydantic collected from our validators."""
    problem = item["ctx"]["error"]
    path = problem.path if isinstance(problem, coerce.At) else ""
    return f"{'.'.join(map(str, item['loc']))}{path}: {problem}"


class PersonaSpec(Section):
    """The persona that ``auto_create_persona`` makes. Tavus checks the rest.

    Source: docs.tavus.io, create persona. Other fields are sent unchanged.
    """

    model_config = ConfigDict(extra="allow")

    persona_name: Line = ""
    pal_name: Line = ""
    system_prompt: Text = ""
    pipeline_mode: Annotated[
        str, coerce.choice("full", "echo", "speech-to-speech")
    ] = "full"
    default_replica_id: Identifier = ""
    default_face_id: Identifier = ""
    layers: JsonObject = {}
    document_ids: Texts = []
    document_tags: Texts = []
    objectives_id: Identifier = ""
    guardrails_id: Identifier = ""


class RecordingStorage(Section):
    """Where recordings go. None of the fields is a secret.

    Source: Tavus's OpenAPI, ``recording_storage_config``. Other fields are
    sent unchanged.
    """

    model_config = ConfigDict(extra="allow")

    provider: Annotated[str, coerce.choice("s3", "gcs", "azure_blob")] = ""
    bucket_name: Word = ""
    bucket_region: Word = ""
    assume_role_arn: Word = ""
    external_id: Word = ""
    project_id: Word = ""
    workload_identity_provider: Word = ""
    service_account_email: Word = ""
    storage_account: Word = ""
    container: Word = ""
    tenant_id: Word = ""
    client_id: Word = ""

    def missing(self) -> list[str]:
        """The fields that the provider needs and that are not set."""
        needed = _STORAGE_NEEDS.get(self.provider, ("provider",))
        return [name for name in needed if not getattr(self, name)]


_STORAGE_NEEDS = {
    "s3": ("bucket_name", "bucket_region", "assume_role_arn"),
    "gcs": (
        "bucket_name",
        "project_id",
        "workload_identity_provider",
        "service_account_email",
    ),
    "azure_blob": ("storage_account", "container", "tenant_id", "client_id"),
}
