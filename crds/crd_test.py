#!/usr/bin/env python3
"""Runs the WorkerPool schema against a real API server: crd_test.py --kubeconfig FILE [test name ...]

testdata/good/X.yaml   must be accepted, and reads back as written plus the documented defaults.
testdata/bad/X.yaml    must be refused with an error that matches its first line, `# expect: <regex>`.
X.before.yaml          beside either one is created first, so that X is an update of it.

And the policies of charts/policies, which are about the same pools.

Needs kubectl and nothing else. Leaves the CRD behind and removes what it created besides. An API
server with etcd is enough: no node, no controller.
"""

import argparse
import copy
import json
import re
import secrets
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CRD_FILE = HERE / "workerpools.yaml"
EXAMPLE_DIR = HERE.parent / "e2e" / "examples"
POLICY_DIR = HERE.parent / "charts" / "policies"
CRD_NAME = "workerpools.lanekeeper.dev"
OPENAPI_PATH = "/openapi/v3/apis/lanekeeper.dev/v1alpha1"
NAMESPACE = "wp-test-" + secrets.token_hex(4)
PARALLEL_MAX = 4
SERVED_SECONDS_MAX = 30
POD = {"containers": [{"name": "worker", "image": "worker:1"}]}

kubeconfig = None  # Set once by main.


def kubectl(*args, stdin=None, namespace=NAMESPACE):
    """Returns the finished process; the caller looks at returncode, stdout and stderr."""
    command = ["kubectl", "--kubeconfig", kubeconfig, f"--namespace={namespace}", *map(str, args)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)


def must(*args, **options):
    """Returns what kubectl printed; raises with its error otherwise."""
    done = kubectl(*args, **options)
    if done.returncode != 0:
        raise RuntimeError(f"kubectl {' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout


def read_manifests(path, namespace=NAMESPACE):
    """The objects of a file as kubectl reads it, without defaults."""
    read = ("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", path)
    text, objects = must(*read, namespace=namespace), []
    while text := text.strip():
        found, end = json.JSONDecoder().raw_decode(text)
        objects, text = objects + found.get("items", [found]), text[end:]
    return objects


def with_defaults(spec):
    """What the API server makes of a spec: the defaults of README.md, spelled out once more."""
    spec = copy.deepcopy(spec)
    spec.setdefault("paused", False)
    spec.setdefault("routing", "Routes")
    spec.setdefault("queue", {}).setdefault("deletePolicy", "Retain")
    nats = spec.get("nats", {})
    if "credentialsSecret" in nats:
        nats["credentialsSecret"].setdefault("key", "user.creds")
    if "caSecret" in nats.get("tls", {}):
        nats["tls"]["caSecret"].setdefault("key", "ca.crt")
    for lane in spec["lanes"]:
        lane.setdefault("class", "Short")
        lane.setdefault("queue", {})
        jobs = lane.setdefault("jobs", {})
        jobs.setdefault("attempts", 5)
        jobs.setdefault("crashes", 2)
        jobs.setdefault("tracking", "Full")
        backoff = jobs.setdefault("backoff", {})
        backoff.setdefault("initial", "1s")
        backoff.setdefault("max", "5m")
        lane.setdefault("workers", {}).setdefault("min", 0)
        lane["workers"].setdefault("max", 10)
        lane.setdefault("scaling", {}).setdefault("mode", "Act")
    return spec


def pool(name, **spec):
    """A WorkerPool as JSON, for the tests that need no file."""
    spec = {"template": {"spec": POD}, "lanes": [{"name": "short"}], **spec}
    return {"apiVersion": "lanekeeper.dev/v1alpha1", "kind": "WorkerPool", "metadata": {"name": name}, "spec": spec}


def manifests(folder):
    return [path for path in sorted((HERE / "testdata" / folder).glob("*.yaml")) if ".before" not in path.suffixes]


def before_files(folder):
    return [flag for path in sorted((HERE / "testdata" / folder).glob("*.before.yaml")) for flag in ("-f", path)]


def apply_good(path):
    """As a tool does it: server-side apply."""
    return kubectl("apply", "--server-side", "--dry-run=server", "-o", "json", "-f", path), read_manifests(path)[0]


def apply_bad(path):
    """As a person does it: plain `kubectl apply`."""
    return kubectl("apply", "--dry-run=server", "-f", path)


def install_crd():
    must("apply", "--server-side", "--force-conflicts", "-f", CRD_FILE)
    must("wait", "--for=condition=Established", f"crd/{CRD_NAME}", "--timeout=30s")
    # An API server goes on with the schema of before for a moment. It publishes the new one last.
    schema = json.loads(must("get", "crd", CRD_NAME, "-o", "json"))["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    deadline = time.monotonic() + SERVED_SECONDS_MAX
    while own_part(published_schema()) != own_part(schema):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the API server did not publish the schema within {SERVED_SECONDS_MAX} s")
        time.sleep(0.2)
    return schema


def published_schema():
    done = kubectl("get", "--raw", OPENAPI_PATH)
    found = json.loads(done.stdout)["components"]["schemas"] if done.returncode == 0 else {}
    return found.get("dev.lanekeeper.v1alpha1.WorkerPool", {})


def own_part(schema):
    """What a published schema has of the CRD's own: Kubernetes describes the other fields itself."""
    fields = schema.get("properties", {})
    return [schema.get("x-kubernetes-validations"), fields.get("spec"), fields.get("status")]


def setUpModule():
    global schema, good_results, bad_results
    schema = install_crd()
    must("create", "namespace", NAMESPACE)
    unittest.addModuleCleanup(remove_namespace)  # Also when a line below fails.
    must("apply", "--server-side", *before_files("good"))
    must("apply", *before_files("bad"))
    with ThreadPoolExecutor(PARALLEL_MAX) as threads:
        good = threads.map(apply_good, manifests("good"))
        bad = threads.map(apply_bad, manifests("bad"))
        good_results = dict(zip(manifests("good"), good))
        bad_results = dict(zip(manifests("bad"), bad))


def remove_namespace():
    kubectl("delete", "workerpools", "--all", "--wait=false")
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


class GoodTest(unittest.TestCase):
    """One test per file in testdata/good, added below."""

    maxDiff = None

    def check(self, path):
        done, written = good_results[path]
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["spec"], with_defaults(written["spec"]))


class BadTest(unittest.TestCase):
    """One test per file in testdata/bad, added below."""

    def check(self, path):
        first_line = path.read_text().splitlines()[0]
        self.assertRegex(first_line, "^# expect: .")
        done = bad_results[path]
        self.assertNotEqual(done.returncode, 0, f"accepted: {done.stdout}")
        self.assertRegex(done.stderr, first_line.removeprefix("# expect: "))
        # One mistake, one field. The API server adds a line of its own (<nil>) when it stopped early.
        fields = {found for found in re.findall(r"^\* (\S+):", done.stderr, re.MULTILINE) if found != "<nil>"}
        self.assertLessEqual(len(fields), 1, done.stderr)


def add_tests(case, folder):
    for path in manifests(folder):
        setattr(case, "test_" + path.stem.replace("-", "_"), lambda self, path=path: self.check(path))


add_tests(GoodTest, "good")
add_tests(BadTest, "bad")


class ExampleTest(unittest.TestCase):
    maxDiff = None

    def check(self, file, lanes):
        home, example = read_manifests(EXAMPLE_DIR / file, namespace="studio")
        self.assertEqual((home["kind"], home["metadata"]["name"]), ("Namespace", "studio"))
        self.assertEqual([lane["name"] for lane in example["spec"]["lanes"]], lanes)
        example["metadata"]["namespace"] = NAMESPACE  # A dry run cannot create the example's own.
        read = must("apply", "--server-side", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(example))
        self.assertEqual(json.loads(read)["spec"], with_defaults(example["spec"]))

    def test_mixed(self):
        self.check("mixed.yaml", ["short", "long", "gpu"])

    def test_gpu(self):
        self.check("gpu.yaml", ["interactive", "batch"])

    def test_exec(self):
        self.check("exec.yaml", ["shell"])


class LimitTest(unittest.TestCase):
    """Limits that would make long files."""

    def check(self, expect, **spec):
        done = kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pool("bad", **spec)))
        self.assertNotEqual(done.returncode, 0, f"accepted: {done.stdout}")
        self.assertRegex(done.stderr, expect)

    def check_pod(self, expect, metadata=None, **container):
        container = {"name": "worker", "image": "worker:1", **container}
        self.check(expect, template={"metadata": metadata or {}, "spec": {"containers": [container]}})

    def test_pod_has_at_most_64_labels_and_64_annotations(self):
        for kind in ("labels", "annotations"):
            with self.subTest(kind):
                many = {f"key-{i}": "x" for i in range(65)}
                self.check_pod(rf"spec\.template\.metadata\.{kind}: Too many: 65: must have at most 64", {kind: many})

    def test_label_value_has_at_most_63_characters(self):
        self.check_pod(r"spec\.template\.metadata\.labels\.team: Too long: .* 63", {"labels": {"team": "x" * 64}})

    def test_annotation_has_at_most_262144_characters(self):
        annotations = {"note": "x" * 262145}
        self.check_pod(r"spec\.template\.metadata\.annotations\.note: Too long: .* 262144", {"annotations": annotations})

    def test_variable_has_at_most_131072_characters_in_its_value(self):
        env = [{"name": "X", "value": "x" * 131073}]
        self.check_pod(r"spec\.template\.spec\.containers\[0\]\.env\[0\]\.value: Too long: .* 131072", env=env)

    def test_container_name_has_at_most_63_characters(self):
        self.check_pod(r"spec\.template\.spec\.containers\[0\]\.name: Too long: .* 63", name="x" * 64)

    def test_image_has_at_most_1024_characters(self):
        self.check_pod(r"spec\.template\.spec\.containers\[0\]\.image: Too long: .* 1024", image="x" * 1025)

    def test_container_has_at_most_256_variables(self):
        env = [{"name": f"V{i}", "value": "x"} for i in range(257)]
        self.check_pod(r"spec\.template\.spec\.containers\[0\]\.env: Too many: 257: must have at most 256", env=env)

    def test_variable_has_at_most_512_characters_in_its_name(self):
        env = [{"name": "X" * 513, "value": "x"}]
        self.check_pod(r"spec\.template\.spec\.containers\[0\]\.env\[0\]\.name: Too long: .* 512", env=env)

    def test_stream_and_consumer_names_have_at_most_255_characters(self):
        for field in ("stream", "consumer"):
            with self.subTest(field):
                queue = {"stream": "ORDERS", "consumer": "workers", field: "x" * 256}
                expect = rf"spec\.lanes\[0\]\.queue\.{field}: Too long: .* 255"
                self.check(expect, lanes=[{"name": "short", "queue": queue}])

    def test_duration_has_at_most_32_characters(self):
        lane = {"name": "short", "jobs": {"timeout": "0" * 31 + "1s"}}
        self.check(r"spec\.lanes\[0\]\.jobs\.timeout: Too long: .* 32", lanes=[lane])

    def test_many_lanes_with_many_variables_stay_inside_the_rules_cost_limit(self):
        env = [{"name": f"VARIABLE_{i}", "value": "x"} for i in range(256)]
        lanes = [
            {"name": f"lane-{i}", "template": {"spec": {"containers": [{"name": "worker", "image": "w:1", "env": env}]}}}
            for i in range(16)
        ]
        must("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pool("large", lanes=lanes)))

    def test_many_lanes_with_many_limits_stay_inside_it_too(self):
        limits = {f"example-{i}.com/a-resource-that-is-no-{'gpu' * 5}": "1" for i in range(32)}
        containers = [{"name": f"c{i}", "image": "w:1", "resources": {"limits": limits}} for i in range(16)]
        template = {"spec": {"containers": containers, "initContainers": containers}}
        lanes = [{"name": f"lane-{i}", "template": template} for i in range(16)]
        must("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pool("large", template=template, lanes=lanes)))

    def test_many_routes_to_many_lanes_stay_inside_it_too(self):
        lanes = [{"name": f"lane-{'x' * 20}-{i}"} for i in range(16)]
        routes = [{"type": f"{'t' * 120}{i}", "lane": lanes[-1]["name"]} for i in range(128)]
        must("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pool("large", lanes=lanes, routes=routes)))
        routes.append({"type": "one-more", "lane": lanes[0]["name"]})
        self.check(r"spec\.routes: Too many: 129: must have at most 128", lanes=lanes, routes=routes)

    def test_route_type_has_at_most_128_characters(self):
        self.check(r"spec\.routes\[0\]\.type: Too long: .* 128", routes=[{"type": "x" * 129, "lane": "short"}])

    def test_container_has_at_most_32_limits(self):
        limits = {f"example-{i}.com/a": "1" for i in range(33)}
        expect = r"containers\[0\]\.resources\.limits: Too many: 33: must have at most 32"
        self.check_pod(expect, resources={"limits": limits})

    def test_pod_has_at_most_16_init_containers_and_16_claims(self):
        for field in ("initContainers", "resourceClaims"):
            with self.subTest(field):
                spec = {**POD, field: [{"name": f"x{i}"} for i in range(17)]}
                lanes = [{"name": "gpu", "class": "Gpu", "workers": {"gpus": 1}}]
                expect = rf"spec\.template\.spec\.{field}: Too many: 17: must have at most 16"
                self.check(expect, template={"spec": spec}, lanes=lanes)


class GpuFenceTest(unittest.TestCase):
    """charts/policies: GPU lanes only in namespaces that were told so, and no more than those allow."""

    FILES = [flag for name in ("gpu-fence", "gpu-fence-binding") for flag in ("-f", POLICY_DIR / f"{name}.yaml")]
    # What is allowed: by name, the label's and the annotation's value.
    NAMESPACES = {"none": (None, None), "all": ("allowed", None), "four": ("allowed", "4"), "typo": ("allowed", "4x")}

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(cls.remove)
        for name, (label, annotation) in cls.NAMESPACES.items():
            metadata = {"name": cls.namespace(name)}
            if label:
                metadata["labels"] = {"lanekeeper.dev/gpu": label}
            if annotation:
                metadata["annotations"] = {"lanekeeper.dev/gpus-max": annotation}
            must("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
        # From before the fence.
        must("create", "-f", "-", stdin=json.dumps(cls.gpu_pool("old")), namespace=cls.namespace("none"))
        must("apply", "--server-side", *cls.FILES)
        # The API server takes a moment to know a new policy, and one to know a new namespace.
        deadline = time.monotonic() + SERVED_SECONDS_MAX
        while cls.create("none", cls.gpu_pool("x")).returncode == 0 or cls.create("all", cls.gpu_pool("x")).returncode != 0:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the policy is not in force after {SERVED_SECONDS_MAX} s")
            time.sleep(0.2)

    @classmethod
    def remove(cls):
        kubectl("delete", "--ignore-not-found", *cls.FILES)
        for name in cls.NAMESPACES:
            kubectl("delete", "workerpools", "--all", "--wait=false", namespace=cls.namespace(name))
            kubectl("delete", "namespace", cls.namespace(name), "--wait=false")

    @staticmethod
    def namespace(name):
        return f"{NAMESPACE}-{name}"

    @staticmethod
    def gpu_pool(name, template=None, budget=None, **workers):
        lane = {"name": "gpu", "class": "Gpu", "workers": {"max": 2, **({} if template else {"gpus": 2}), **workers}}
        if template:
            lane["template"] = {"spec": template}
        return pool(name, lanes=[{"name": "short"}, lane], **({"budget": budget} if budget else {}))

    @classmethod
    def create(cls, name, manifest, *flags):
        flags = flags or ("--dry-run=server",)
        return kubectl("create", *flags, "-f", "-", stdin=json.dumps(manifest), namespace=cls.namespace(name))

    def accepts(self, name, manifest):
        done = self.create(name, manifest)
        self.assertEqual(done.returncode, 0, done.stderr)

    def refuses(self, name, manifest, expect):
        done = self.create(name, manifest)
        self.assertNotEqual(done.returncode, 0, f"accepted: {done.stdout}")
        self.assertRegex(done.stderr, expect)

    def test_namespace_without_the_label_has_no_gpu_lanes(self):
        expect = r"namespace \S+-none may not have lanes of class Gpu: ask the platform team for the label"
        self.refuses("none", self.gpu_pool("a"), expect)
        self.accepts("none", pool("b"))

    def test_namespace_with_the_label_has_as_many_as_it_wants(self):
        self.accepts("all", self.gpu_pool("a", max=10000, gpus=64))

    def test_cap_counts_every_worker_there_may_be(self):
        self.accepts("four", self.gpu_pool("a"))
        expect = r"may take up to 6 GPUs, and namespace \S+-four allows 4 per pool: set spec\.budget\.gpus to at most 4"
        self.refuses("four", self.gpu_pool("a", max=3), expect)

    def test_cap_counts_all_gpu_lanes_together(self):
        manifest = self.gpu_pool("a")
        manifest["spec"]["lanes"].append({**manifest["spec"]["lanes"][1], "name": "more"})
        self.refuses("four", manifest, "may take up to 8 GPUs")

    def test_budget_is_as_good_as_fewer_workers(self):
        self.accepts("four", self.gpu_pool("a", max=100, budget={"gpus": 4}))
        self.refuses("four", self.gpu_pool("a", max=100, budget={"gpus": 5}), "may take up to 5 GPUs")
        self.accepts("four", self.gpu_pool("a", budget={"gpus": 100}))
        self.refuses("four", self.gpu_pool("a", max=3, budget={"workers": 1}), "may take up to 6 GPUs")

    def test_cap_counts_limits_and_claims_of_the_template(self):
        def with_limits(*limits):
            containers = [{"name": f"c{i}", "image": "w:1", "resources": {"limits": l}} for i, l in enumerate(limits)]
            return {"containers": [*POD["containers"], *containers]}

        self.accepts("four", self.gpu_pool("a", with_limits({"nvidia.com/gpu": 1, "cpu": "8"}, {"amd.com/gpu": "1"})))
        self.refuses("four", self.gpu_pool("a", with_limits({"nvidia.com/gpu": 1}, {"amd.com/gpu": "2"})), "up to 6 GPUs")
        claims = {**POD, "resourceClaims": [{"name": f"gpu-{i}", "resourceClaimName": "x"} for i in range(3)]}
        self.refuses("four", self.gpu_pool("a", claims), "up to 6 GPUs")
        self.refuses("four", self.gpu_pool("a", claims, gpus=4), "up to 8 GPUs")

    def test_cap_counts_the_template_of_the_pool_too(self):
        template = {"spec": {"containers": [{**POD["containers"][0], "resources": {"limits": {"nvidia.com/gpu": 5}}}]}}
        lanes = [{"name": "gpu", "class": "Gpu", "workers": {"max": 1}}]
        self.refuses("four", pool("a", template=template, lanes=lanes), "up to 5 GPUs")

    def test_annotation_that_is_no_number_refuses(self):
        self.refuses("typo", self.gpu_pool("a"), r"lanekeeper\.dev/gpus-max .* must be a whole number, is \"4x\"")

    def test_pool_from_before_the_fence_lives_and_dies_but_does_not_change(self):
        namespace = self.namespace("none")

        def patch(change):
            return kubectl("patch", "wp", "old", "--type=merge", "-p", json.dumps(change), namespace=namespace)

        # What the operator does to every pool.
        self.assertEqual(patch({"metadata": {"finalizers": ["lanekeeper.dev/queues"]}}).returncode, 0)
        self.assertRegex(patch({"spec": {"paused": True}}).stderr, "may not have lanes of class Gpu")
        must("delete", "wp", "old", "--wait=false", namespace=namespace)
        self.assertEqual(patch({"metadata": {"finalizers": []}}).returncode, 0)
        self.assertNotEqual(kubectl("get", "wp", "old", namespace=namespace).returncode, 0)


class StatusTest(unittest.TestCase):
    STATUS = {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "LanesReady",
                "message": "1 lane is ready.",
                "lastTransitionTime": "2026-11-24T10:00:00Z",
            }
        ],
        "summary": {"lanes": "short 12/3", "waiting": 9, "running": 3, "workers": 4, "ready": 2, "deadLetters": 7},
        "lanes": [
            {
                "name": "short",
                "waiting": 9,
                "running": 3,
                "parked": 1,
                "oldestWaitSeconds": 5,
                "deadLetters": 7,
                "workers": {"desired": 4, "ready": 2, "busy": 1, "idle": 1, "draining": 0, "unschedulable": 1},
                "paused": True,
                "predictedWaitSeconds": 40,
                "release": "1 of 2 released, 1 busy, oldest for 00:12:40",
                "decision": {
                    "workers": 4,
                    "reason": "BacklogGrew",
                    "message": "4 workers: 12 jobs, 3 per worker.",
                    "time": "2026-11-24T10:00:00Z",
                    "terms": [{"term": "demand", "workers": 4, "note": "12 jobs / 3"}, {"term": "bounds", "workers": 4}],
                },
            }
        ],
    }

    def create(self, name):
        must("create", "-f", "-", stdin=json.dumps({**pool(name), "status": self.STATUS}))
        return self.read(name)

    def read(self, name):
        return json.loads(must("get", "wp", name, "-o", "json"))

    def patch(self, name, change, *flags):
        return kubectl("patch", "wp", name, "--type=merge", "-p", json.dumps(change), *flags)

    def write_status(self, name, status):
        return self.patch(name, {"status": status}, "--subresource=status")

    def test_cannot_be_set_on_create(self):
        self.assertNotIn("status", self.create("status-create"))

    def test_cannot_be_changed_through_the_pool(self):
        self.create("status-patch")
        self.write_status("status-patch", self.STATUS)
        self.assertEqual(self.patch("status-patch", {"status": {"summary": {"waiting": 1000}}}).returncode, 0)
        self.assertEqual(self.read("status-patch")["status"], self.STATUS)

    def test_keeps_every_documented_field(self):
        self.create("status-fields")
        done = self.write_status("status-fields", self.STATUS)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.read("status-fields")["status"], self.STATUS)

    def test_write_changes_neither_spec_nor_generation(self):
        created = self.create("status-spec")
        change = {"status": self.STATUS, "spec": {"paused": True}}
        self.assertEqual(self.patch("status-spec", change, "--subresource=status").returncode, 0)
        read = self.read("status-spec")
        self.assertEqual(read["spec"], created["spec"])
        self.assertEqual(read["metadata"]["generation"], created["metadata"]["generation"])

    def test_condition_status_is_one_of_three_words(self):
        self.create("status-word")
        condition = {**self.STATUS["conditions"][0], "status": "yes"}
        done = self.write_status("status-word", {"conditions": [condition]})
        self.assertRegex(done.stderr, r'status\.conditions\[0\]\.status: Unsupported value: "yes"')

    def test_shows_in_the_columns(self):
        self.create("status-columns")
        self.write_status("status-columns", self.STATUS)
        head, row = must("get", "wp", "status-columns").splitlines()
        self.assertEqual(head.split(), "NAME READY WAITING RUNNING WORKERS READY-WORKERS DEAD AGE".split())
        self.assertEqual(row.split()[:-1], "status-columns True 9 3 4 2 7".split())
        head, row = must("get", "wp", "status-columns", "-o", "wide").splitlines()
        self.assertEqual(head.split(), "NAME READY WAITING RUNNING WORKERS READY-WORKERS DEAD LANES REASON AGE".split())
        self.assertRegex(row, r" 7 +short 12/3 +1 lane is ready\. ")


class DiscoveryTest(unittest.TestCase):
    def test_get_all_includes_pools(self):
        must("create", "-f", "-", stdin=json.dumps(pool("in-all")))
        self.assertIn("workerpool.lanekeeper.dev/in-all", must("get", "all", "-o", "name").splitlines())

    def test_short_name_is_wp_and_pools_are_namespaced(self):
        rows = must("api-resources", "--api-group=lanekeeper.dev", "--no-headers").splitlines()
        self.assertEqual([row.split() for row in rows], ["workerpools wp lanekeeper.dev/v1alpha1 true WorkerPool".split()])


class ManualTest(unittest.TestCase):
    """The descriptions are the manual: kubectl explain has to know everything."""

    def explain(self, path):
        return " ".join(must("explain", path).split())

    def test_explain_scaling_tells_the_rule_and_the_defaults(self):
        text = self.explain("wp.spec.lanes.scaling")
        self.assertIn("How the number of workers follows the queue.", text)
        self.assertIn("(waiting + running) / jobsPerWorker", text)
        self.assertIn("Default by class: Short 15s, Long 60s, Gpu ten times the measured cold start", text)

    def test_explain_reaches_into_both_templates(self):
        for path in ("wp.spec.template.spec.containers.env", "wp.spec.lanes.template.spec.containers.env"):
            self.assertIn("LANEKEEPER_", self.explain(path))

    def test_every_field_has_a_description(self):
        for path, field in walk(schema, "wp"):
            if path == "wp.metadata":
                continue  # Kubernetes describes it, and accepts no other description.
            with self.subTest(path):
                self.assertGreaterEqual(len(field.get("description", "")), 9)

    def test_every_default_is_told(self):
        for path, field in walk(schema, "wp"):
            if field.get("default", {}) != {}:
                told = json.dumps(field["default"]).strip('"')
                with self.subTest(path):
                    self.assertRegex(field["description"], rf"Default {told}\b")

    def test_every_bound_is_told(self):
        for path, field in walk(schema["properties"]["spec"], "wp.spec"):
            for bound in ("minimum", "maximum"):
                if bound in field:
                    with self.subTest(path):
                        self.assertRegex(field["description"], rf"\b{field[bound]}\b")

    def test_every_string_list_and_map_has_a_limit(self):
        """Without limits the API server cannot bound the cost of the rules and refuses the CRD."""
        limits = {"string": {"maxLength", "enum"}, "array": {"maxItems"}}
        for path, field in walk(schema["properties"]["spec"], "wp.spec"):
            wanted = {"maxProperties"} if "additionalProperties" in field else limits.get(field.get("type"))
            if wanted:
                with self.subTest(path):
                    self.assertTrue(wanted & field.keys(), f"has none of {wanted}")


def walk(node, path):
    """Every field below `node`, as (path, schema)."""
    for name, field in node.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from walk(field, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if inner in node:
            yield f"{path}[]", node[inner]
            yield from walk(node[inner], f"{path}[]")


def main():
    global kubeconfig
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", required=True, help="never guessed: the test creates and deletes things")
    parser.add_argument("--verbose", action="store_true", help="one line per test")
    parser.add_argument("tests", nargs="*", help="such as BadTest or BadTest.test_timeout_zero; default: all")
    args = parser.parse_args()
    kubeconfig = args.kubeconfig

    module = sys.modules[__name__]
    loader = unittest.TestLoader()
    tests = loader.loadTestsFromNames(args.tests, module) if args.tests else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(verbosity=2 if args.verbose else 1).run(tests)
    # A test may fail in several of its subtests; a failing setUpModule is no test that ran.
    failed = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}
    print(f"{max(result.testsRun - len(failed), 0)} passed, {len(failed)} failed")
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
