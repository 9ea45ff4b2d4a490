"""The file of an assignment: `name`, `default`, and tables [[layers]] with `match` and `pe`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparqsim.base.errors import InputError
from sparqsim.base.record import faults_of
from sparqsim.base.textfile import read_text, toml_of


class LayerTable(BaseModel):
    """A table [[layers]] of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    match: str
    pe: str


class AssignmentFile(BaseModel):
    """A file with an assignment: what runs the layers that no rule takes, and its rules."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    default: str
    layers: list[LayerTable] = Field(default_factory=list)

    @classmethod
    def read(cls, path: str | Path) -> AssignmentFile:
        """Return what a file holds. Raises InputError naming the file, the field and the value."""
        document = toml_of(read_text(path, "a .toml file with an assignment"), path)
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise InputError(f"{path}: {faults_of(error)[0]}") from None
