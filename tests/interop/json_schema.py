#!/usr/bin/env python3
"""Validates a JSON document on standard input against the JSON Schema in a file, of whatever draft it names.

    json_schema.py SCHEMA <DOCUMENT

Exits 1 at the first fault.
"""
import json
import pathlib
import sys

try:
    from jsonschema.validators import validator_for
except ImportError:
    sys.exit("json_schema.py needs the package jsonschema: pip install jsonschema")


def main(schema):
    schema = json.loads(pathlib.Path(schema).read_text())
    validator = validator_for(schema)(schema)
    for error in validator.iter_errors(json.load(sys.stdin)):
        sys.exit(f"{error.json_path}: {error.message}")
    print("valid")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
