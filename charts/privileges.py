#!/usr/bin/env python3
"""Holds what the programs asked an API server for against the roles they are given.

privileges.py --audit FILE [--audit FILE ...] --manifests FILE [...] [--only-missing]

Reads audit logs (JSON lines, level Metadata) and rendered manifests. For every ServiceAccount that the
manifests bind, it says what was refused, what was asked where the role does not reach, and which verbs
were granted and never used. --only-missing leaves out the last: of a short run.
Exit status: 0 when the roles are just right.
"""
import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import yaml

# Granted, and never a request of its own: (group, resource, verb) and why it is there.
NEEDED_OTHERWISE = {
    ("apps", "deployments", "create"): "asked about when a server-side apply, which is a patch, makes a Deployment",
    ("lanekeeper.dev", "workerpools/finalizers", "update"):
        "asked by admission (OwnerReferencesPermissionEnforcement) about a Deployment that names its owner",
}


def account_of(subject):
    return f"system:serviceaccount:{subject['namespace']}:{subject['name']}"


def granted(manifests):
    """{account: {(namespace, or "" for all): {(group, resource, verb)}}}, of ServiceAccounts that are bound."""
    roles, found = {}, defaultdict(lambda: defaultdict(set))
    for one in manifests:
        if one["kind"] in ("Role", "ClusterRole"):
            roles[one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]] = {
                (group, resource, verb) for rule in one["rules"] for group in rule["apiGroups"]
                for resource in rule["resources"] for verb in rule["verbs"]}
    for one in manifests:
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            where = one["metadata"].get("namespace", "")
            reference = one["roleRef"]
            role = roles[reference["kind"], where if reference["kind"] == "Role" else "", reference["name"]]
            for subject in one["subjects"]:
                found[account_of(subject)][where] |= role
    return found


def used(events, accounts):
    """{account: {(namespace, group, resource, verb): [status codes]}} of what these asked for."""
    found = defaultdict(lambda: defaultdict(set))
    for event in events:
        account = event["user"]["username"]
        reference = event.get("objectRef")
        if account not in accounts or not reference:
            continue
        resource = reference["resource"]
        if reference.get("subresource"):
            resource += "/" + reference["subresource"]
        asked = (reference.get("namespace", ""), reference.get("apiGroup", ""), resource, event["verb"])
        found[account][asked].add(event.get("responseStatus", {}).get("code", 0))
    return found


def compare(granted_to, used_by):
    """(missing, spare): sentences; both empty when every role is just right."""
    missing, spare = [], []
    for account, places in sorted(granted_to.items()):
        name = account.removeprefix("system:serviceaccount:")
        seen = used_by.get(account, {})
        for (namespace, group, resource, verb), codes in sorted(seen.items()):
            what = f"{verb} {resource}{'.' + group if group else ''} in {namespace or 'all namespaces'}"
            reach = places.get("", set()) | (places.get(namespace, set()) if namespace else set())
            if (group, resource, verb) not in reach:
                why = "was refused (403)" if codes == {403} else "is not in its roles"
                missing.append(f"{name}: {what} {why}")
            elif codes == {403}:
                # Not always: a release that is uninstalled loses its roles before its pods end.
                missing.append(f"{name}: {what} was always refused (403)")
        done = {(group, resource, verb) for _, group, resource, verb in seen}
        for where, rules in sorted(places.items()):
            for rule in sorted(rules - done - set(NEEDED_OTHERWISE)):
                spare.append(f"{name}: {rule[2]} {rule[1]}{'.' + rule[0] if rule[0] else ''} in "
                             f"{where or 'all namespaces'} was never asked for")
    return missing, spare


def read_events(paths):
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # The last one may still be being written.
                    yield json.loads(line)


def read_manifests(paths):
    return [one for path in paths for one in yaml.safe_load_all(Path(path).read_text(encoding="utf-8")) if one]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", action="append", required=True)
    parser.add_argument("--manifests", nargs="+", required=True)
    parser.add_argument("--only-missing", action="store_true")
    arguments = parser.parse_args()
    roles = granted(read_manifests(arguments.manifests))
    seen = used(read_events(arguments.audit), roles)
    missing, spare = compare(roles, seen)
    for account in sorted(roles):
        rows = sorted({f"{verb} {resource}" for _, _, resource, verb in seen.get(account, {})})
        print(f"{account.removeprefix('system:serviceaccount:')}: {len(rows)} different requests: {', '.join(rows)}")
    for sentence in missing + ([] if arguments.only_missing else spare):
        print(sentence)
    for (group, resource, verb), why in NEEDED_OTHERWISE.items():
        print(f"no request of its own: {verb} {resource}.{group}: {why}")
    sys.exit(1 if missing or (spare and not arguments.only_missing) else 0)


if __name__ == "__main__":
    main()
