"""What the scenarios in Python share: kubectl and helm against the cluster under test, its gateway over
HTTP, and waiting for events with generous deadlines.

Which cluster: E2E_KUBECONFIG, else the one that e2e/cluster/cluster.sh brought up. Which NATS, as pods see
it: LANEKEEPER_E2E_NATS_URL, else that of cluster.sh.
"""
import base64
import http.client
import json
import os
import subprocess
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CLUSTER = ROOT / "e2e/cluster/cluster.sh"
PATIENCE_SECONDS = 180  # A noisy machine may take it; success is fast.


def environment():
    """As `cluster.sh env` says it, for programs that are started."""
    told = subprocess.run([CLUSTER, "env"], capture_output=True, text=True, check=True).stdout
    script = told + 'printf "%s\\n%s\\n%s" "$KUBECONFIG" "$LANEKEEPER_E2E_NATS_URL" "$PATH"'
    values = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split("\n")
    return {**os.environ, "KUBECONFIG": values[0], "LANEKEEPER_E2E_NATS_URL": values[1], "PATH": values[2]}


ENVIRONMENT = environment()
NATS_URL = ENVIRONMENT["LANEKEEPER_E2E_NATS_URL"]
os.environ["PATH"] = ENVIRONMENT["PATH"]  # Where programs are looked for.


def run(*command, stdin=None, seconds=180):
    return subprocess.run(list(map(str, command)), input=stdin, capture_output=True, text=True, cwd=ROOT,
                          env=ENVIRONMENT, timeout=seconds)


def must(*command, stdin=None, seconds=180):
    done = run(*command, stdin=stdin, seconds=seconds)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()}{done.stdout.strip()}")
    return done.stdout


def kubectl(*args, stdin=None, seconds=180):
    return must("kubectl", *args, stdin=stdin, seconds=seconds)


def get(kind, namespace=None, name=None, selector=None):
    """The object, or None; without a name the list of them. Without a namespace, of all."""
    where = [f"--namespace={namespace}"] if namespace else ([] if name else ["--all-namespaces"])
    more = [f"--selector={selector}"] if selector else []
    done = run("kubectl", "get", kind, *([name] if name else []), *where, *more, "-o", "json", "--ignore-not-found")
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    found = json.loads(done.stdout) if done.stdout.strip() else None
    return found if name else (found or {}).get("items", [])


def apply(*objects):
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(objects))


def wait_for(what, holds, seconds=PATIENCE_SECONDS):
    """What `holds` returned, as soon as that is true in Python's sense."""
    end = time.monotonic() + seconds
    while True:
        seen = holds()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for: {what}")
        time.sleep(0.2)


def namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pool(in_namespace, name, lanes, pod=None, **spec):
    """A WorkerPool with the example worker. `pod` is laid over its pod."""
    image = os.environ.get("LANEKEEPER_E2E_WORKER_IMAGE", "lanekeeper/worker:e2e")
    container = {"name": "worker", "image": image, "imagePullPolicy": "IfNotPresent",
                 "command": ["lanekeeper-example-worker"], "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}}}
    return {"apiVersion": "lanekeeper.dev/v1alpha1", "kind": "WorkerPool",
            "metadata": {"name": name, "namespace": in_namespace},
            "spec": {"template": {"spec": {"containers": [container], **(pod or {})}}, "lanes": lanes, **spec}}


def condition(in_namespace, name, kind):
    status = (get("workerpool", in_namespace, name) or {}).get("status", {})
    return next((one for one in status.get("conditions", []) if one["type"] == kind), {})


def remove_pools(in_namespace):
    """By the operator, while there is one; else without: a scenario that failed must not be in the way of the next."""
    if run("kubectl", "delete", "workerpools", "--all", f"--namespace={in_namespace}", "--timeout=60s").returncode != 0:
        left = run("kubectl", "get", "workerpools", f"--namespace={in_namespace}", "-o", "name").stdout.split()
        for one in left:
            run("kubectl", "patch", one, f"--namespace={in_namespace}", "--type=merge",
                "-p", '{"metadata":{"finalizers":null}}')


def remove_namespace(name):
    """Its pools first, while there is an operator that takes their finalizers off; then all, without waiting."""
    remove_pools(name)
    run("kubectl", "delete", "namespace", name, "--wait=false", "--ignore-not-found")


def nats(*args):
    return must("nats", "--server", NATS_URL, *args)


def streams():
    """Names of the streams of the account."""
    return json.loads(nats("stream", "ls", "--all", "--json") or "[]") or []


def remove_streams(names):
    for name in names:
        run("nats", "--server", NATS_URL, "stream", "rm", "--force", name)


def token_of(in_namespace, account, audience=None):
    more = [f"--audience={audience}"] if audience else []
    return kubectl("create", "token", account, f"--namespace={in_namespace}", *more).strip()


def submitter(in_namespace, account, role, kind="ClusterRole"):
    """Objects of a ServiceAccount that may what the role says."""
    return [{"apiVersion": "v1", "kind": "ServiceAccount",
             "metadata": {"name": account, "namespace": in_namespace}},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
             "metadata": {"name": f"{account}-jobs", "namespace": in_namespace},
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
             "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": in_namespace}]}]


def secret(in_namespace, name, **texts):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": in_namespace},
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}}


class Gateway:
    """One gateway over HTTP, with a connection for each request: a Service chooses a replica by connection."""

    def __init__(self, host, port, token=""):
        self.host, self.port, self.token = host, port, token

    def ask(self, method, path, body=None, headers=(), seconds=30):
        """(status, JSON or text, headers). A connection that fails raises OSError or HTTPException."""
        told = {"Connection": "close", **dict(headers)}
        if self.token:
            told["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            told.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            connection.request(method, path, body=body, headers=told)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text), dict(answer.getheaders())
        except ValueError:
            return answer.status, text, dict(answer.getheaders())


def gateway_of(in_namespace, service, token=""):
    """That of a Service, by its address: this machine has no DNS of the cluster."""
    spec = get("service", in_namespace, service)["spec"]
    return Gateway(spec["clusterIP"], spec["ports"][0]["port"], token)


def known_to_every_gateway(in_namespace, pool_namespace, name, token=""):
    """Whether each of a release's gateways that run has heard of the pool: a Service may choose any of them."""
    pods = [one for one in get("pods", in_namespace, selector="app.kubernetes.io/component=gateway")
            if "deletionTimestamp" not in one["metadata"]]
    try:
        return bool(pods) and all(
            Gateway(one["status"]["podIP"], 8090, token).ask("GET", f"/v1/pools/{pool_namespace}/{name}/jobs")[0] == 200
            for one in pods)
    except (KeyError, OSError, http.client.HTTPException):
        return False


def samples(text, metric):
    """[(labels as text, value)] of a metric, from what /metrics answers."""
    found = []
    for line in str(text).splitlines():
        if line.startswith(metric) and line[len(metric):len(metric) + 1] in ("{", " "):
            labels, _, value = line[len(metric):].rpartition(" ")
            found.append((labels, float(value)))
    return found


def metrics_of_pods(in_namespace, selector, port=8080):
    """{pod's name: text of /metrics}, of pods that answer."""
    found = {}
    for pod in get("pods", in_namespace, selector=selector):
        address = pod.get("status", {}).get("podIP")
        if not address or "deletionTimestamp" in pod["metadata"]:
            continue
        try:
            status, text, _ = Gateway(address, port).ask("GET", "/metrics", seconds=10)
        except (OSError, http.client.HTTPException):
            continue
        if status == 200:
            found[pod["metadata"]["name"]] = str(text)
    return found
