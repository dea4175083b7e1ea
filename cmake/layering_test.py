#!/usr/bin/env python3
"""Holds the rooms to the layering of README.md: who may include what.

    layering_test.py [ROOT]     checks the tree; every violation is a line FILE:LINE: what and why
    layering_test.py --self     shows that each rule finds a planted violation

The rules are the tables below; change a rule there, and nowhere else.
"""
import pathlib
import re
import sys

# Rooms without I/O, clocks, threads and third-party headers, and what they may include of ours.
PURE_ROOMS = {
    "worker-runtime/job": ("worker-runtime/job/", "worker-runtime/base/result.h",
                           "worker-runtime/base/backoff.h", "worker-runtime/base/duration.h",
                           "worker-runtime/base/text.h", "worker-runtime/base/time.h"),
    "operator/scaling": ("operator/scaling/", "worker-runtime/job/", "worker-runtime/base/result.h",
                         "worker-runtime/base/backoff.h", "worker-runtime/base/duration.h",
                           "worker-runtime/base/time.h"),
}
IMPURE_HEADERS = {"atomic", "condition_variable", "csignal", "cstdio", "filesystem", "fstream",
                  "future", "iostream", "istream", "mutex", "semaphore", "shared_mutex",
                  "stop_token", "thread"}
IMPURE_CALLS = re.compile(r"\b(?:system_clock|steady_clock)::now\b|\b(?:std::)?(?:getenv|time)\(")

# Which rooms each room may include from. A room may always include itself.
ROOM_DEPENDENCIES = {
    "worker-runtime/base": (),
    "worker-runtime/job": ("worker-runtime/base",),
    "worker-runtime/nats": ("worker-runtime/base", "worker-runtime/job"),
    "worker-runtime/telemetry": ("worker-runtime/base",),
    "worker-runtime/runner": ("worker-runtime/base", "worker-runtime/job", "worker-runtime/nats",
                              "worker-runtime/telemetry"),
    "worker-runtime/handlers": ("worker-runtime/base", "worker-runtime/job"),
    "worker-runtime/gateway": ("worker-runtime/base", "worker-runtime/job", "worker-runtime/nats",
                               "worker-runtime/telemetry"),
    "worker-runtime/client": ("worker-runtime/base", "worker-runtime/job"),
    "worker-runtime/examples": ("worker-runtime/",),
    "worker-runtime": ("worker-runtime/",),
    "operator/scaling": ("worker-runtime/base", "worker-runtime/job"),
    "operator/control": ("operator/scaling", "worker-runtime/base", "worker-runtime/job"),
    "operator/kubernetes": ("operator/control", "operator/manifest/yaml_json.h",
                            "operator/scaling", "worker-runtime/base",
                            "worker-runtime/client/whole_response.h",
                            "worker-runtime/gateway/authorizer.h",
                            "worker-runtime/handlers/process.h", "worker-runtime/job"),
    "operator/jetstream": ("operator/control", "operator/scaling", "worker-runtime/base",
                           "worker-runtime/gateway/decisions.h", "worker-runtime/job",
                           "worker-runtime/nats"),
    "operator/local": ("operator/control", "operator/kubernetes/worker_pool_json.h",
                       "operator/manifest", "operator/scaling", "worker-runtime/base",
                       "worker-runtime/handlers", "worker-runtime/job", "worker-runtime/nats"),
    "operator/manifest": ("operator/control", "operator/kubernetes/worker_pool_json.h",
                          "operator/scaling", "worker-runtime/base", "worker-runtime/job"),
    "operator/simulate": ("operator/control", "operator/manifest", "operator/scaling",
                          "worker-runtime/base", "worker-runtime/job"),
    "operator": ("operator/", "worker-runtime/"),
    "e2e": ("operator/", "worker-runtime/", "e2e/"),
    "cli": ("cli/", "operator/", "worker-runtime/"),
}

# Third-party headers and the only places they may be included from.
THIRD_PARTY = [
    (re.compile(r"nats/|nats\.h"), ("worker-runtime/nats/", "e2e/bench/")),
    (re.compile(r"cpprest/|pplx/"), ("operator/kubernetes/", "worker-runtime/gateway/http_",
                                     "worker-runtime/client/",
                                     "worker-runtime/handlers/http_handler",
                                     "worker-runtime/telemetry/", "e2e/")),
    (re.compile(r"boost/"), ("operator/kubernetes/", "worker-runtime/gateway/http_transport",
                             "e2e/bench/")),
    (re.compile(r"yaml-cpp/"), ("operator/kubernetes/crd_parity_test",
                               "operator/manifest/")),
    (re.compile(r"prometheus/"), ("worker-runtime/telemetry/", "worker-runtime/runner/",
                                  "worker-runtime/gateway/http_metrics",
                                  "operator/operator_metrics")),
    (re.compile(r"spdlog/"), ("worker-runtime/base/log.cpp",)),
    (re.compile(r"CLI/"), ("worker-runtime/worker_main.cpp", "operator/operator_main.cpp",
                           "operator/gateway_main.cpp",
                           "operator/simulate/simulate_flags", "operator/simulate/simulate_main",
                           "worker-runtime/examples/", "cli/", "e2e/")),
]

LINES_MAX = 700
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path):
    """The longest room name that `path` lies in; "" outside all rooms."""
    best = ""
    for room in ROOM_DEPENDENCIES:
        if path.startswith(room + "/") and len(room) > len(best):
            best = room
    return best


def check_include(path, header, ours):
    room = room_of(path)
    is_test = path.endswith("_test.cpp") or "/testing/" in path
    if ours:
        allowed = ROOM_DEPENDENCIES.get(room, ())
        if room and not header.startswith(room + "/") and not header.startswith(allowed):
            yield f"{room} may not include {header}"
        pure = PURE_ROOMS.get(room)
        if pure and not is_test and not header.startswith(pure):
            yield f"{room} is pure and may not include {header}"
        return
    if room in PURE_ROOMS and not is_test:
        if header in IMPURE_HEADERS:
            yield f"{room} is pure and may not include <{header}> (I/O, clock or thread)"
        if "/" in header or header.endswith((".h", ".hpp")):
            yield f"{room} is pure and may not include the third-party <{header}>"
    for pattern, places in THIRD_PARTY:
        if pattern.match(header) and not path.startswith(places):
            yield f"<{header}> may be included only from {', '.join(places)}"


def check_file(path, text):
    lines = text.splitlines()
    if len(lines) > LINES_MAX:
        yield 1, f"{len(lines)} lines, at most {LINES_MAX}: is it one concept?"
    if path.endswith(".h") and "#pragma once" not in text:
        yield 1, "a header without #pragma once"
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if match:
            header = match.group(2)
            ours = header.startswith(("operator/", "worker-runtime/", "e2e/", "cli/"))
            if match.group(1) == '"' and not ours:
                yield number, f'"{header}": include our headers by their path from the root'
            for problem in check_include(path, header, ours):
                yield number, problem
        elif room_of(path) in PURE_ROOMS and not path.endswith("_test.cpp"):
            code = line.split("//")[0]
            if IMPURE_CALLS.search(code):
                yield number, "a pure room reads a clock or the environment"
        if ".detach()" in line.split("//")[0]:
            yield number, "a detached thread"


def check_tree(root):
    problems, files = [], 0
    for top in ("worker-runtime", "operator", "e2e", "cli"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".cpp"):
                continue
            files += 1
            name = path.relative_to(root).as_posix()
            for number, problem in check_file(name, path.read_text(encoding="utf-8")):
                problems.append(f"{name}:{number}: {problem}")
    return files, problems


PLANTED = [
    ("worker-runtime/job/x.h", "#pragma once\n#include <thread>"),
    ("worker-runtime/job/x.h", "#pragma once\n#include <nlohmann/json.hpp>"),
    ("worker-runtime/job/x.cpp", '#include "worker-runtime/base/log.h"'),
    ("operator/scaling/x.cpp", "auto t = std::chrono::steady_clock::now();"),
    ("operator/scaling/x.cpp", '#include "operator/control/ports.h"'),
    ("worker-runtime/runner/x.cpp", '#include "operator/control/ports.h"'),
    ("worker-runtime/runner/x.cpp", "#include <nats/nats.h>"),
    ("worker-runtime/runner/x.cpp", '#include "worker-runtime/handlers/exec_handler.h"'),
    ("worker-runtime/handlers/x.cpp", '#include "worker-runtime/runner/runner.h"'),
    ("operator/jetstream/x.cpp", "#include <nats.h>"),
    ("operator/control/x.cpp", "#include <cpprest/http_client.h>"),
    ("worker-runtime/gateway/gateway.cpp", "#include <cpprest/http_listener.h>"),
    ("operator/control/x.cpp", "#include <yaml-cpp/yaml.h>"),
    ("operator/control/x.cpp", "std::thread([] {}).detach();"),
    ("operator/control/x.cpp", '#include "ports.h"'),
    ("operator/control/x.h", "int x;"),
    ("operator/control/x.cpp", "\n" * (LINES_MAX + 1)),
]


def self_test():
    missed = [plant for plant in PLANTED if not list(check_file(*plant))]
    clean = list(check_file("operator/scaling/x.cpp",
                            '#include <vector>\n#include "operator/scaling/observation.h"'))
    for path, text in missed:
        print(f"not found: {path}: {text[:60]!r}")
    for problem in clean:
        print(f"false alarm: {problem}")
    print(f"{len(PLANTED) - len(missed)} of {len(PLANTED)} planted violations found")
    return 1 if missed or clean else 0


def main():
    if sys.argv[1:] == ["--self"]:
        return self_test()
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    files, problems = check_tree(root)
    for problem in problems:
        print(problem)
    print(f"{files} files, {len(problems)} violations")
    return 1 if problems or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
