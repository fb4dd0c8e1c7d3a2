"""Settings as rows: for `config show`, the reference page and the JSON Schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seedcore.config.masking import mask
from seedcore.config.settings import Settings, fields
from seedcore.config.values import environment_names, from_text, kind, nearest, shown as written
from seedcore.errors import ConfigError, NotFound


def describe(
    settings: Settings, keys: Sequence[str] = (), *, defaults: bool = False
) -> list[dict[str, Any]]:
    """Return one row per setting: key, value (credentials masked), origin, default, names, meaning.

    Args:
        settings: The settings in force.
        keys: Only these, by setting name or environment name. Default: those that somebody set.
        defaults: Also those that nobody set.

    Raises:
        NotFound: There is no setting of that name.
    """
    wanted = [_name_of(key) for key in keys]
    rows: list[dict[str, Any]] = []
    for field in fields():
        origin = settings.origins.get(field.name)
        shown = field.name in wanted if wanted else defaults or origin is not None
        if not shown:
            continue
        value = getattr(settings, field.name)
        rows.append(
            {
                "key": field.name,
                "value": mask(field.name, value)
                if field.metadata["secret"]
                else written(field, value),
                "origin": origin or "default",
                "default": written(field, field.default),
                "unit": field.metadata["unit"],
                "environment": list(environment_names(field)),
                "meaning": field.metadata["meaning"],
            }
        )
    return rows


def schema() -> dict[str, Any]:
    """Return a JSON Schema (2020-12) of a configuration file, for editors."""
    settings = {field.name: _schema_of(field) for field in fields()}
    in_profile = {name: rule for name, rule in settings.items() if name != "profile"}
    in_profile["protected"] = {
        "type": "boolean",
        "description": "ask before commands that change the schema or many tasks",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "SeedCore configuration file",
        "type": "object",
        "properties": {
            **settings,
            "profiles": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": in_profile,
                    "additionalProperties": False,
                },
            },
        },
        "additionalProperties": False,
    }


def _schema_of(field: Any) -> dict[str, Any]:
    types = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
    rule: dict[str, Any] = {"description": field.metadata["meaning"]}
    name = types[kind(field)]
    # Numbers with a unit may be written with it (`5m`, `64KiB`); lists of words as arrays.
    takes_words = field.metadata["unit"] or field.metadata["unset"]
    rule["type"] = [name, "string"] if takes_words else name
    if name == "string" and "comma-separated" in field.metadata["meaning"]:
        rule["type"] = ["string", "array"]
        rule["items"] = {"type": "string"}
    if (default := written(field, field.default)) is not None:
        rule["default"] = default
    if field.metadata["choices"]:
        rule["enum"] = list(field.metadata["choices"])
    if field.metadata["least"] is not None:
        rule["minimum"] = field.metadata["least"]
    if field.metadata["most"] is not None:
        rule["maximum"] = field.metadata["most"]
    return rule


def convert(key: str, text: str | None) -> tuple[str, str | int | float | bool | None]:
    """Return the name of a setting and the value that a word means for it.

    Args:
        key: Its name, or one of its environment names.
        text: The word; None stays None.

    Raises:
        NotFound: There is no setting of that name.
        ConfigError: The word means no value of it.
    """
    name = _name_of(key)
    if text is None:
        return name, None
    field = next(f for f in fields() if f.name == name)
    try:
        return name, from_text(field, text)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}", code="config.value") from None


def mask_secret(name: str, value: object) -> object:
    """Return what may be shown of a setting's value."""
    secret = next((f.metadata["secret"] for f in fields() if f.name == name), False)
    return mask(name, value) if secret else value


def _name_of(key: str) -> str:
    known = {field.name: field.name for field in fields()}
    for field in fields():
        known.update({name.lower(): field.name for name in environment_names(field)})
    found = known.get(key.lower())
    if found is None:
        near = nearest(key, list(known))
        raise NotFound(
            f"there is no setting {key!r}",
            code="config.unknown_key",
            hint=f"did you mean {known[near]}?" if near else "seedcore config show --defaults",
        )
    return found
