#!/usr/bin/env python3
"""`make fuzz-http`: a real gateway, and schemathesis on its own OpenAPI document.

    fuzz_http.py BUILD [--examples N] [--seed N]

BUILD is a build folder with lanekeeper-gateway and lanekeeper-example-worker. Starts a nats-server, a pool with one
lane, a worker and the gateway, lets a few jobs end in every way, and then runs schemathesis twice: with the names of
that pool and its jobs, and with names it makes up. Fails on an answer of 5xx, one that the document does not promise
(status, media type, schema), or a gateway that has died. Everything it starts is a child of its own.

Needs what `e2e/tools/install.sh nats` and `… schemathesis` install.
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("LANEKEEPER_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "lanekeeper"))
sys.path.insert(0, str(ROOT / "worker-runtime" / "client" / "python"))
import lanekeeper  # noqa: E402  pylint: disable=wrong-import-position

NAMESPACE, POOL, LANE = "studio", "media", "short"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
READY_SECONDS_MAX = 60
RUN_SECONDS_MAX = 900


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def until(what, holds):
    end = time.monotonic() + READY_SECONDS_MAX
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"fuzz_http.py: waited in vain for {what}")
        time.sleep(0.05)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


class Stage:
    """The processes. A context: they end with it."""

    def __init__(self, build, folder):
        self.build, self.folder = pathlib.Path(build) / "bin", folder
        self.children = []
        self.nats_port, self.port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.gateway = None

    def __enter__(self):
        nats = self.start("nats", [CACHE / "bin" / "nats-server", "-a", "127.0.0.1", "-p",
                                   str(self.nats_port), "-js", "-sd", str(self.folder / "store")])
        until("nats-server", lambda: self.takes_connections(nats))
        self.make_queue()
        common = {"LANEKEEPER_NATS_URL": f"nats://127.0.0.1:{self.nats_port}", "LANEKEEPER_HTTP_PORT": "0"}
        self.start("worker", [self.build / "lanekeeper-example-worker"], LANEKEEPER_NAMESPACE=NAMESPACE,
                   LANEKEEPER_POOL=POOL, LANEKEEPER_LANE=LANE, LANEKEEPER_SLOTS="8",
                   LANEKEEPER_ATTEMPTS="1", **common)
        self.gateway = self.start("gateway", [self.build / "lanekeeper-gateway"],
                                  LANEKEEPER_GATEWAY_ADDRESS=f"127.0.0.1:{self.port}",
                                  LANEKEEPER_GATEWAY_AUTH="none", **common)
        until("the gateway", lambda: answers(self.url + "/readyz"))
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(timeout=15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def start(self, name, command, **environment):
        with open(self.folder / f"{name}.log", "w", encoding="utf-8") as log:
            child = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log,
                                     env={"PATH": os.environ["PATH"], **environment})
        self.children.append(child)
        return child

    def takes_connections(self, child):
        if child.poll() is not None:
            sys.exit(f"nats-server ended: {(self.folder / 'nats.log').read_text()[-500:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.nats_port)) == 0

    def request(self, subject, value):
        """A request to JetStream; its answer is one of success."""
        command = [CACHE / "bin" / "nats", "--server", f"nats://127.0.0.1:{self.nats_port}", "request",
                   "--raw", subject, json.dumps(value)]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        if "error" in answer:
            sys.exit(f"fuzz_http.py: {subject}: {answer['error']}")

    def make_queue(self):
        """What the operator makes: the lane, its dead letters, the buckets, and the pool's description."""
        lane = f"LK_{NAMESPACE}_{POOL}_{LANE}"

        def stream(name, subject, **config):
            self.request(f"$JS.API.STREAM.CREATE.{name}",
                         {"name": name, "subjects": [subject], "storage": "file", "discard": "new",
                          "allow_direct": True, **config})

        stream(lane, f"lk.jobs.{NAMESPACE}.{POOL}.{LANE}", retention="workqueue", max_msgs=10000)
        stream(f"LK_{NAMESPACE}_{POOL}_DEAD", f"lk.dead.{NAMESPACE}.{POOL}.*")
        for bucket in ("LK_jobs", "LK_pools"):
            stream(f"KV_{bucket}", f"$KV.{bucket}.>", max_msgs_per_subject=1, allow_rollup_hdrs=True,
                   deny_delete=True, allow_msg_ttl=True, subject_delete_marker_ttl=0)
        self.request(f"$JS.API.CONSUMER.CREATE.{lane}.workers",
                     {"stream_name": lane, "action": "create",
                      "config": {"durable_name": "workers", "name": "workers", "ack_policy": "explicit",
                                 "ack_wait": 30_000_000_000, "max_deliver": -1, "max_ack_pending": 100_000}})
        self.request(f"$KV.LK_pools.{NAMESPACE}.{POOL}.spec",
                     {"v": 1, "namespace": NAMESPACE, "pool": POOL, "routing": "Routes", "paused": False,
                      "lanes": [{"name": LANE, "class": "Short", "stream": lane, "consumer": "workers",
                                 "max_depth": 10000, "tracking": "Full", "timeout_ms": 30000}],
                      "routes": [{"type": "thumbnail", "lane": LANE}]})


def submit_seeds(url):
    """A few jobs that have ended in every way; their ids."""
    client = lanekeeper.Client(url)
    ids = []
    for job_type, payload in (("sleep", "1"), ("steps", "2"), ("poison", ""), ("fail", ""), ("unknown", "")):
        ids.append(client.submit(NAMESPACE, POOL, lanekeeper.NewJob(type=job_type, payload=payload)).id)
    for job_id in ids:
        client.wait(job_id, READY_SECONDS_MAX)
    cancelled = client.submit(NAMESPACE, POOL, lanekeeper.NewJob(type="sleep", payload="600000")).id
    client.cancel(cancelled)
    return ids + [cancelled]


def run_schemathesis(stage, name, examples, seed, parameters):
    """True: nothing was found."""
    config = stage.folder / f"{name}.toml"
    lines = [f'"path.{key}" = {json.dumps(value)}' for key, value in parameters.items()]
    config.write_text("[parameters]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    command = [CACHE / "schemathesis" / "bin" / "schemathesis", "--config-file", config, "run",
               stage.url + "/v1/openapi.json", "--checks", CHECKS, "--max-examples", str(examples),
               "--seed", str(seed), "--phases", "examples,coverage,fuzzing", "--request-timeout", "30",
               "--continue-on-failure", "--suppress-health-check", "all", "--no-color",
               "--warnings", "off"]
    print(f"schemathesis, {name}: {examples} examples an operation, seed {seed}", flush=True)
    try:
        status = subprocess.run([str(part) for part in command], cwd=stage.folder, check=False,
                                env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzz_http_hooks",
                                     "PYTHONPATH": str(pathlib.Path(__file__).resolve().parent)},
                                timeout=RUN_SECONDS_MAX).returncode
    except subprocess.TimeoutExpired:
        print(f"schemathesis, {name}: not through after {RUN_SECONDS_MAX} s")
        return False
    return status == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--examples", type=int, default=40, help="of each operation (40)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (1)")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lanekeeper-schemathesis-"))
    holds = True
    with Stage(options.build, folder) as stage:
        ids = submit_seeds(stage.url)
        real = {"namespace": NAMESPACE, "pool": POOL, "lane": LANE}
        for job_id in (ids[0], ids[2]):
            holds &= run_schemathesis(stage, f"with the names of a pool and job {job_id}", options.examples,
                                      options.seed, {**real, "id": job_id, "sequence": 1})
        holds &= run_schemathesis(stage, "with any names", options.examples, options.seed, {})
        ended = stage.gateway.poll()
        if ended is not None:
            print(f"the gateway has ended with {ended}; the end of its log:")
            print((folder / "gateway.log").read_text(encoding="utf-8", errors="replace")[-3000:])
            holds = False
        elif not answers(stage.url + "/healthz"):
            print("the gateway does not answer any more")
            holds = False
    if holds:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"logs: {folder}")
    print(json.dumps({"name": "fuzz-http", "value": 0 if holds else 1, "unit": "runs with findings", "bar": 0,
                      "holds": holds, "how": CHECKS}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
