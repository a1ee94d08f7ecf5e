"""Composed configurations as typed settings: a wrong key or a value of another kind is one error that names it."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError

from engine.commands.cv_schema import CV
from engine.commands.metrics import METRICS
from engine.errors import InputError, unknown

T = TypeVar("T")
WANTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a name", list: "a list"}


def structured(schema: type[T], config: DictConfig) -> T:
    """The settings of a command, ``cv`` and each of ``metric`` by its own class.

    Args:
        schema: dataclass of all settings; ``dataset`` stays open in it.
        config: as composed; who runs the jobs of a sweep (``launcher``) is left out.

    Raises:
        InputError: an unknown key, a value of the wrong type, or none where one is needed; names the key.
    """
    # The launcher is the sweep's: a job does not know who runs it.
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "launcher"])
    if missing := OmegaConf.missing_keys(own):  # asked of what was given: a default must not take its place
        raise InputError(f"{min(missing)} has no value; give {min(missing)}=VALUE")
    merged = part(schema, own, "")
    if "cv" in own:
        merged.cv = part(_class("cv.kind", own.cv.get("kind"), CV), own.cv, "cv.")
    for name, given in (own.get("metric") or {}).items():
        if name not in METRICS:
            raise unknown("setting", f"metric.{name}", [f"metric.{known}" for known in METRICS])
        merged.metric[name] = part(METRICS[str(name)], given, f"metric.{name}.")
        if missing := OmegaConf.missing_keys(merged.metric[name]):
            others = [other for other in map(str, own.metric) if other != name]
            raise InputError(
                f"metric.{name} has settings but lacks {', '.join(sorted(missing))}: it is not among the metrics "
                f"chosen; wanted metric=[{','.join([*others, str(name)])}]"
            )
    try:
        settings = OmegaConf.to_object(merged)
    except MissingMandatoryValue as error:
        key = min(OmegaConf.missing_keys(merged))
        raise InputError(f"{key} has no value; give {key}=VALUE") from error
    except OmegaConfBaseException as error:
        raise InputError(f"cannot use the settings: {_line(error)}") from error
    assert isinstance(settings, schema)
    return settings


def part(schema: type, config: object, prefix: str) -> Any:
    """The configuration with the types of a dataclass. ``prefix`` comes before its keys in errors, such as ``cv.``"""
    if not isinstance(config, DictConfig):
        raise InputError(f"{prefix.rstrip('.')}={config}: wanted settings, such as {prefix}KEY=VALUE")
    try:
        return OmegaConf.merge(OmegaConf.structured(schema), config)
    except ConfigKeyError as error:
        parent = str(error.full_key).removesuffix(str(error.key))
        siblings = [f"{prefix}{parent}{key}" for key in _fields(error.object_type)]
        known = [f"{prefix}{key}" for key in keys(OmegaConf.structured(schema))]
        raise unknown("setting", f"{prefix}{error.full_key}", [*siblings, *known]) from error
    except ValidationError as error:
        key = f"{prefix}{error.full_key}"
        if (kind := _wanted(error.object_type, error.key)) is not None:
            raise InputError(f"{key}={_shown(error.value)}: wanted {kind}") from error
        raise InputError(f"{key}: {_line(error)}") from error
    except OmegaConfBaseException as error:
        raise InputError(f"cannot use the settings: {_line(error)}") from error


def keys(config: DictConfig) -> list[str]:
    """All keys, dotted, parents before children."""
    found: list[str] = []

    def walk(node: Mapping[Any, object], prefix: str) -> None:
        for key, value in node.items():
            found.append(f"{prefix}{key}")
            if isinstance(value, Mapping):
                walk(value, f"{prefix}{key}.")

    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    walk(container, "")
    return found


def _class(key: str, given: object, known: Mapping[str, type]) -> type:
    if given not in known:
        raise unknown(key, given, known)
    return known[str(given)]


def _wanted(owner: object, key: object) -> str | None:
    """What a field of a dataclass takes, in words."""
    hints = get_type_hints(owner) if isinstance(owner, type) else {}
    hint = hints.get(str(key))
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    named = [WANTED.get(get_origin(each) or each) for each in choices if each is not type(None)]
    if len(named) != 1 or named[0] is None:
        return None
    return named[0] + (" or null" if type(None) in choices else "")


def _fields(owner: object) -> list[str]:
    return [field.name for field in fields(owner)] if isinstance(owner, type) and is_dataclass(owner) else []


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[0].split())
