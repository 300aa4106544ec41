#!/usr/bin/env python3
"""Prints what the jobs of a workflow file run, as JSON: `[{"job": …, "script": …}, …]`.

    workflow_lines.py FILE

A step of GitHub Actions (`run:`) is one script; the lines of a job of GitLab CI (`script:`) are one together.
"""
import json
import pathlib
import sys

import yaml


def main(path):
    document = yaml.safe_load(pathlib.Path(path).read_text())
    found = []
    if "jobs" in document:
        for name, job in document["jobs"].items():
            for step in job["steps"]:
                if "run" in step:
                    found.append({"job": name, "script": step["run"]})
    else:
        for name, job in document.items():
            if isinstance(job, dict) and "script" in job:
                found.append({"job": name, "script": "\n".join(job["script"])})
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
