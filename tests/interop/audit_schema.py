#!/usr/bin/env python3
"""Validates grantd audit events against the JSON Schemas of docs/schemas/audit.

    audit_schema.py SCHEMAS [FILE…]      events as JSON lines from the files, or standard input

Prints how many events of each type were valid; exits 1 at the first that is not.
"""
import collections
import json
import pathlib
import sys

try:
    from jsonschema import Draft202012Validator
except ImportError:
    sys.exit("audit_schema.py needs the package jsonschema: pip install jsonschema")


def load(folder):
    validators = {}
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        kind = schema["properties"]["type"]["const"]
        assert kind == f"dev.grantd.{path.stem}.v1", f"{path}: named otherwise than its type"
        validators[kind] = Draft202012Validator(schema)
    return validators


def main(folder, *files):
    validators = load(folder)
    seen = collections.Counter()
    for stream in [open(name, "rb") for name in files] or [sys.stdin.buffer]:
        for raw in stream:
            event = json.loads(raw)
            kind = event.get("type")
            if kind not in validators:
                sys.exit(f"no schema for {kind!r}: {raw!r}")
            for error in validators[kind].iter_errors(event):
                sys.exit(f"{kind}: {error.json_path}: {error.message}: {raw!r}")
            seen[kind] += 1
    for kind, count in sorted(seen.items()):
        print(f"{count:8}  {kind}")
    print(f"{sum(seen.values()):8}  events, all valid against {len(validators)} schemas")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
