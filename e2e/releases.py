"""Releases of the chart with real helm on the real cluster, for scenarios: chart_scenarios.py, nats_scenarios.py."""
import argparse
import http.client
import sys
import threading
import time
import unittest
import uuid
from pathlib import Path

import yaml

import cluster_calls as calls
from cluster_calls import NATS_URL, ROOT, get, must, run

SYSTEM = "lanekeeper-system"
CHART = ROOT / "charts/lanekeeper"
COMMON = {"nats": {"url": NATS_URL}, "operator": {"image": {"tag": "e2e"}},
          "gateway": {"image": {"tag": "e2e"}, "insecure": True}}
# Whatever a release of the chart may make, but the CRD.
KINDS = ("deployments,replicasets,statefulsets,pods,services,configmaps,serviceaccounts,secrets,roles,rolebindings,leases,"
         "poddisruptionbudgets,networkpolicies,clusterroles,clusterrolebindings,validatingadmissionpolicies,"
         "validatingadmissionpolicybindings,persistentvolumeclaims,events")
manifests_file = None  # Set once, by main.
measured = []


def merged(base, over):
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}


def helm(verb, release, *args, chart=CHART, namespace=SYSTEM, values=None, **more):
    """helm, with the values on top of what all releases here have. Seconds it took."""
    started = time.monotonic()
    if verb in ("install", "upgrade"):
        args = (chart, "--wait", "--timeout=300s", "--values=-", *args)
        more = {"stdin": yaml.safe_dump(merged(COMMON, values or {})), "seconds": 360, **more}
    must("helm", verb, release, *args, f"--namespace={namespace}", **more)
    took = time.monotonic() - started
    if verb in ("install", "upgrade") and manifests_file and (chart, namespace) == (CHART, SYSTEM):
        with open(manifests_file, "a", encoding="utf-8") as out:
            out.write(must("helm", "get", "manifest", release, f"--namespace={namespace}"))
    return took


class Submitter(threading.Thread):
    """Hands jobs in for as long as it is not stopped; each is tried under one key until it is taken."""

    def __init__(self, gateway, path, next_job):
        super().__init__(daemon=True)
        self.gateway, self.path, self.next_job = gateway, path, next_job
        self.accepted, self.refused, self.failed = {}, [], 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.wait(0.05):
            self.submit(uuid.uuid4().hex, self.next_job(len(self.accepted)))

    def submit(self, key, job):
        while not self.stopping.is_set():
            try:
                status, answer, _ = self.gateway.ask("POST", self.path, job, {"Idempotency-Key": key}, seconds=5)
            except (OSError, http.client.HTTPException):
                self.failed += 1  # A replica that was killed; the key makes the next try the same job.
                time.sleep(0.05)
                continue
            if status in (200, 202):
                self.accepted[answer["id"]] = job["lane"]
                return
            self.refused.append((status, answer))
            time.sleep(0.2)

    def stop(self):
        self.stopping.set()
        self.join(30)
        return self.accepted


class Story(unittest.TestCase):
    """A step a test, in the order of their names; those after one that failed have nothing to stand on."""

    NAMESPACE = SYSTEM  # Of the release.
    broken = None  # The step that failed.

    def setUp(self):
        if type(self).broken:
            self.skipTest(f"{type(self).broken} failed before it")

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before and not type(self).broken:
            type(self).broken = self._testMethodName
            explain(self.NAMESPACE)


def require_empty_cluster(own):
    """No pools but those whose namespaces begin with `own`, and nothing of `cluster.sh deploy`."""
    served = run("kubectl", "get", "workerpools", "--all-namespaces").returncode == 0
    foreign = [one["metadata"]["namespace"] for one in get("workerpools")
               if not one["metadata"]["namespace"].startswith(own)] if served else []
    if foreign:
        raise AssertionError(f"there are WorkerPools in {foreign}: these scenarios need the cluster for themselves")
    for one in {one["metadata"]["namespace"] for one in get("workerpools")} if served else ():
        calls.remove_pools(one)  # Of a run before this one.
    must(calls.CLUSTER, "undeploy")


def left_behind(namespace):
    """Whatever has the chart's labels, or is in the namespace and not Kubernetes' own."""
    found = [f"{one['kind']}/{one['metadata']['name']}" for one in get(KINDS.replace(",events", ""),
                                                                     selector="app.kubernetes.io/name=lanekeeper")]
    for one in get("secrets,configmaps,serviceaccounts,leases,deployments,pods,services,roles,rolebindings", namespace):
        if one["metadata"]["name"] not in ("default", "kube-root-ca.crt"):
            found.append(f"{one['kind']}/{one['metadata']['name']}")
    return sorted(set(found))


def explain(namespace):
    for command in (["get", "workerpools,deployments,pods", "-A", "-o", "wide"],
                    ["get", "workerpools", "-A", "-o", "jsonpath={.items[*].status}"],
                    ["get", "events", "-n", namespace], ["describe", "pods", "-n", namespace],
                    ["logs", "-n", namespace, "-l", "app.kubernetes.io/component=operator", "--tail=40", "--prefix"],
                    ["logs", "-n", namespace, "-l", "app.kubernetes.io/component=gateway", "--tail=40", "--prefix"]):
        print(f"--- kubectl {' '.join(command)}\n{run('kubectl', *command).stdout[-6000:]}", file=sys.stderr)


def main(description):
    global manifests_file
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifests")
    arguments, rest = parser.parse_known_args()
    if arguments.manifests:
        manifests_file = Path(arguments.manifests).resolve()
        manifests_file.write_text("", encoding="utf-8")
    started = time.monotonic()
    program = unittest.main(argv=[sys.argv[0], *rest], verbosity=2, exit=False)
    for line in measured:
        print(line)
    print(f"took {time.monotonic() - started:.0f} s")
    sys.exit(0 if program.result.wasSuccessful() else 1)
