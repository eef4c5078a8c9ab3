"""Reading the file of an agent or a fleet against its model; every mistake has its position."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo

from limpet._config_problem import ConfigError
from limpet._model_problems import problems_of
from limpet._setting_types import STRICT, FilePath
from limpet._yaml_nodes import YamlReader
from limpet._yaml_positions import node_at
from limpet.remote._subjects import Subjects, check_slug

ModelT = TypeVar("ModelT", bound=BaseModel)


class FileModel(BaseModel):
    """Keys and values of a file: no other keys, and no value is taken for another."""

    model_config = ConfigDict(**STRICT, frozen=True)


def _slug(given: str) -> str:
    return check_slug(given, "the name")


def _prefix(given: str) -> str:
    return Subjects(given).prefix


def _beside_the_file(given: str, info: ValidationInfo) -> str:
    return str(info.context / given) if isinstance(info.context, Path) else given


Slug: TypeAlias = Annotated[str, AfterValidator(_slug)]
"""A name that can be a token of a subject."""

Prefix: TypeAlias = Annotated[str, AfterValidator(_prefix)]
"""What the subjects of a fleet begin with."""

ConfigPath: TypeAlias = Annotated[FilePath, AfterValidator(_beside_the_file)]
"""A path; a relative one is relative to the directory of the file."""


def schema_of(model: type[BaseModel], kind: str) -> dict[str, Any]:
    """Return the JSON Schema of the files that a model describes, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:limpet:{kind}:1",
        **model.model_json_schema(),
        "title": f"The file of {'an' if kind[0] in 'aeiou' else 'a'} {kind}",
    }


def read_model(file: str | Path, model: type[ModelT], what: str) -> ModelT:
    """Return what a file of one document has.

    Args:
        file: The YAML file.
        model: What it may have.
        what: The kind of file: the paths of keys begin with it.

    Raises:
        MissingExtraError: ruamel.yaml is not installed.
        ConfigError: The file cannot be read, or has mistakes; it lists all of them.
    """
    reader = YamlReader.open(file, extra="nats")
    documents = list(reader.documents())
    if not (documents or reader.problems):
        message = f"{file}: the file is empty"
        raise ConfigError(message)
    for node in documents[1:]:
        reader.problem(node, "", "this is a second document; the file may have one")
    found = None
    if documents:
        value = reader.value(documents[0], what)
        known = {(problem.line, problem.column) for problem in reader.problems}
        try:
            found = model.model_validate(value, context=Path(reader.file).resolve().parent)
        except ValidationError as error:
            for wrong in problems_of(error, model):
                node, where = node_at(documents[0], what, wrong.steps, at_key=wrong.at_key)
                mark = node.start_mark
                if (mark.line + 1, mark.column + 1) not in known:  # no value was read there
                    reader.problem(node, where, wrong.message)
    if reader.problems or found is None:
        raise ConfigError(problems=sorted(reader.problems))
    return found
