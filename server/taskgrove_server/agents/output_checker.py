"""Holds an output against its schema; a program of its own, because both may come from anybody.

    python -I output_checker.py SECONDS

A pattern may be made to match for years, and references to double the work at each step: so this runs apart, and may
take SECONDS of a processor. Standard input is {"schema": "...", "output": "..." or null}, standard output is
{"problem": "..." or null, "mismatch": "..." or null}: what is wrong with the schema, or else with the output.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import resource
import sys
import threading
from typing import Any, cast

import jsonschema
import referencing
import referencing.exceptions
import referencing.jsonschema
from jsonschema import validators

#: Bytes of memory. What is checked has at most 1 MiB.
_MEMORY = 1 << 30

#: Differences that are told, and characters of each.
_MOST = 10
_LONGEST = 500

#: A schema or an output that nests deeper is none that anybody means; the stack has room for as much.
_DEPTH = 10_000
_STACK = 256 << 20


def main() -> None:
    """Answers the question on standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1]) + 1))
    with contextlib.suppress(OSError, ValueError):
        # Not everywhere.
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    question = json.load(sys.stdin)
    answer: dict[str, str | None] = {}
    sys.setrecursionlimit(_DEPTH)
    threading.stack_size(_STACK)
    thread = threading.Thread(target=_answer, args=(question, answer))
    thread.start()
    thread.join()
    if not answer:
        # Not checked: the traceback is on standard error.
        sys.exit(1)
    json.dump(answer, sys.stdout)


def _answer(question: dict[str, Any], answer: dict[str, str | None]) -> None:
    problem = mismatch = None
    try:
        validator = _validator(_load(question["schema"]))
        if question["output"] is not None:
            mismatch = _mismatch(validator, question["output"])
    except referencing.exceptions.Unresolvable as error:
        # One that is followed only now, such as a dynamic one.
        problem = _nowhere(error.ref)
    except RecursionError:
        problem = "it nests too deeply, or refers to itself without end"
    except ValueError as error:
        problem = str(error)
    answer |= {"problem": problem, "mismatch": mismatch}


def _load(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _nowhere(reference: str) -> str:
    return f"its reference {_cut(reference)} leads nowhere, as only places in itself are looked up"


def _validator(value: object) -> Any:
    """Returns what checks outputs; raises ValueError for a schema that is none."""
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - a problem of the schema
    schema = cast(dict[str, Any], value)
    draft: Any = jsonschema.Draft202012Validator
    if "$schema" in schema:
        named: object = schema["$schema"]
        unknown: Any = None
        draft = validators.validator_for({"$schema": named}, default=unknown) if isinstance(named, str) else unknown
        if draft is None:
            raise ValueError(f"its `$schema`, {_cut(named)}, is no draft that is known")
    try:
        draft.check_schema(schema, format_checker=draft.FORMAT_CHECKER)
    except jsonschema.SchemaError as error:
        raise ValueError(_told(error)) from error
    # Without a registry of ours, references to other hosts would be fetched.
    registry: Any = cast(Any, referencing.Registry)()
    specification: Any = referencing.jsonschema.specification_with(draft.META_SCHEMA["$schema"])
    root = specification.create_resource(schema)
    uri = root.id() or ""
    _resolve(root, registry.with_resource(uri, root).resolver(uri))
    return draft(schema, registry=registry)


def _resolve(inside: Any, resolver: Any) -> None:
    """Raises ValueError for a reference that leads nowhere, in a schema or one of those inside it."""
    contents = cast(dict[str, object], inside.contents) if isinstance(inside.contents, dict) else {}
    for key in ("$ref", "$dynamicRef", "$recursiveRef"):
        reference = contents.get(key)
        if isinstance(reference, str):
            try:
                resolver.lookup(reference)
            except referencing.exceptions.Unresolvable as error:
                raise ValueError(_nowhere(reference)) from error
    for inner in inside.subresources():
        _resolve(inner, resolver.in_subresource(inner))


def _mismatch(validator: Any, text: str) -> str | None:
    try:
        output = _load(text)
    except ValueError as error:
        return f"it is no JSON: {error}"
    found = [_told(error) for error in itertools.islice(validator.iter_errors(output), _MOST)]
    return "\n".join(found) or None


def _told(error: Any) -> str:
    return f"{_cut(error.json_path)}: {_cut(error.message)}"


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


if __name__ == "__main__":
    main()
