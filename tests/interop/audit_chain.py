#!/usr/bin/env python3
"""Checks a chain of grantd audit events, as an auditor would: JSON lines in, a verdict out.

    grantd audit export --state /var/lib/grantd | python3 audit_chain.py
"""
import hashlib
import json
import sys

before = None
count = 0
for raw in sys.stdin.buffer:
    line = raw.rstrip(b"\n")
    event = json.loads(line)
    number = int(event["sequence"])

    def check(good, problem):
        if not good:
            sys.exit(f"event {number}: {problem}")

    covered = line[: line.rindex(b',"hash"')]
    check(hashlib.sha256(covered).hexdigest() == event["hash"], "altered")
    if before is None:
        check(number > 1 or event["prev"] == "0" * 64, "not the first of its chain")
    else:
        check(number == int(before["sequence"]) + 1, "events are missing before it")
        check(event["prev"] == before["hash"], "it does not follow the event before it")
        if event["lineage"] != before["lineage"]:
            check(event["type"] == "dev.grantd.daemon.lineage_renewed.v1", "another lineage")
            check(event["data"]["old_head"] == before["hash"], "another lineage")
    before = event
    count += 1
print(f"{count} events, good" + (f", head {before['hash']}" if before else ""))
