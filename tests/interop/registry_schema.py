#!/usr/bin/env python3
"""Validates registry files against the JSON Schema that `grantd schema` prints, by a validator of draft 2020-12.

    registry_schema.py SCHEMA FILE…

Prints `valid FILE` or `invalid FILE: PLACE: WHY` for each, and exits 1 where one is invalid.
"""
import datetime
import json
import pathlib
import sys
import tomllib

try:
    from jsonschema import Draft202012Validator
except ImportError:
    sys.exit("registry_schema.py needs the package jsonschema: pip install jsonschema")


def plain(value):
    """TOML's dates as texts, as TOML's language servers hand them to a validator."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value


def main(schema, *files):
    schema = json.loads(pathlib.Path(schema).read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    wrong = False
    for file in files:
        document = plain(tomllib.loads(pathlib.Path(file).read_text()))
        error = next(validator.iter_errors(document), None)
        if error is None:
            print(f"valid {file}")
        else:
            wrong = True
            print(f"invalid {file}: {error.json_path}: {error.message}")
    sys.exit(wrong)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
