#!/usr/bin/env python3
"""Holds the chart to what it says: chart_test.py [--kubeconfig FILE] [--update] [test name ...]

testdata/X.values.yaml   rendered, is X.golden.yaml.
testdata/bad-values.yaml a table of values that are refused, and with which words.

With --kubeconfig, what is rendered is also given to a real API server: it accepts the manifests, the
ServiceAccounts may do what they have to and nothing else, and releases come, change and go. It has to
be one for tests, without WorkerPools: etcd and an API server are enough. The CRD and five empty
namespaces stay behind.

--update writes what is made from something else (golden files, copies, the table in README.md);
read the difference before you commit it.

Needs helm, kubectl, bash, nats and nats-server.
"""

import argparse
import http.server
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

import apiserver_test
from apiserver_test import ApiServerTest  # noqa: F401  One of the tests that are run from here.
from privileges_test import PrivilegesTest  # noqa: F401  Another one.
from rendering import (CASES, CHART, COPIES, E2E_MANIFESTS, FIX, HERE, NAMESPACE, RELEASE, ROOT, RUNBOOK, TABLE_BEGIN, TESTDATA,
                       e2e_manifests, golden_of, merged, must, objects, pod_specs, render, rendered, run, update, value_rows,
                       with_table)


class ChartTest(unittest.TestCase):
    maxDiff = 4000

    def test_version_is_the_projects(self):
        project = re.search(r"project\(lanekeeper VERSION (\S+)",
                            (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")).group(1)
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
        self.assertEqual((chart["version"], chart["appVersion"]), (project, project))

    def test_copies_are_equal(self):
        for source, copy in COPIES.items():
            self.assertEqual(source.read_text(encoding="utf-8"), copy.read_text(encoding="utf-8"),
                             f"{copy} is not {source}{FIX}")

    def test_readme_has_every_value(self):
        readme = (CHART / "README.md").read_text(encoding="utf-8")
        self.assertIn(TABLE_BEGIN, readme)
        self.assertEqual(with_table(readme), readme, "the table of values" + FIX)

    def test_every_value_says_what_it_means(self):
        self.assertEqual([name for name, _, meaning in value_rows() if not meaning.endswith(".")], [])

    def test_values_are_one_line_each(self):
        values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
        for name, text, _ in value_rows():
            at = values
            for key in name.split("."):
                at = at[key]
            self.assertEqual(yaml.safe_load(text.split("  #")[0]), at, name)

    def test_schema_knows_every_value_and_no_other(self):
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        known, names = [], {name for name, _, _ in value_rows()}

        def walk(node, path):
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
            if "properties" not in node or ".".join(path) in names:
                known.append(".".join(path))
                return
            self.assertIs(node["additionalProperties"], False, path)
            for key, below in node["properties"].items():
                walk(below, path + [key])

        walk(schema, [])
        self.assertEqual(sorted(known), sorted(names | {"global"}))

    def test_lint(self):
        for case in CASES:
            must("helm", "lint", "--strict", CHART, "--values", TESTDATA / f"{case}.values.yaml")

    def test_package_has_all_it_needs(self):
        with tempfile.TemporaryDirectory() as folder:
            must("helm", "package", CHART, "--destination", folder)
            archive, = Path(folder).iterdir()
            values = TESTDATA / "everything.values.yaml"
            self.assertEqual(must("helm", "template", RELEASE, archive, "--namespace", NAMESPACE,
                                  "--values", values), rendered("everything"))

    def test_golden(self):
        for case in CASES:
            with self.subTest(case):
                golden = (TESTDATA / f"{case}.golden.yaml").read_text(encoding="utf-8")
                self.assertEqual(golden_of(case), golden, f"{case}.golden.yaml{FIX}")

    def test_end_to_end_tests_run_what_is_shipped(self):
        self.assertEqual(E2E_MANIFESTS.read_text(encoding="utf-8"), e2e_manifests(), f"{E2E_MANIFESTS.name}{FIX}")

    def test_bad_values_are_refused(self):
        base = yaml.safe_load((TESTDATA / "default.values.yaml").read_text(encoding="utf-8"))
        rows = yaml.safe_load((TESTDATA / "bad-values.yaml").read_text(encoding="utf-8"))

        def refusal(row):
            return run("helm", "template", RELEASE, CHART, "--values", "-",
                       stdin=yaml.safe_dump(merged(base, row["set"])))

        with ThreadPoolExecutor(4) as pool:
            for row, done in zip(rows, pool.map(refusal, rows)):
                with self.subTest(str(row["set"])):
                    self.assertNotEqual(done.returncode, 0, "accepted")
                    self.assertRegex(done.stderr, row["expect"])

    def test_crd_is_the_projects_and_is_kept(self):
        crd, = [one for one in objects(rendered("default")) if one["kind"] == "CustomResourceDefinition"]
        self.assertEqual(crd["metadata"].pop("annotations"), {"helm.sh/resource-policy": "keep"})
        self.assertEqual(crd, yaml.safe_load((ROOT / "crds/workerpools.yaml").read_text(encoding="utf-8")))

    def test_policies_are_those_of_policies(self):
        for name in ("gpu-fence", "gpu-fence-binding", "pod-baseline", "pod-baseline-binding"):
            wanted = yaml.safe_load((HERE / f"policies/{name}.yaml").read_text(encoding="utf-8"))
            self.assertIn(wanted, objects(rendered("everything")))

    def test_one_namespace_has_no_cluster_role(self):
        found = objects(rendered("one-namespace"))
        kinds = {one["kind"] for one in found}
        self.assertFalse(kinds & {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}, kinds)
        roles = {one["metadata"]["name"]: one["rules"] for one in found if one["kind"] == "Role"}
        wide = {one["metadata"]["name"]: one["rules"] for one in objects(render(
            {"nats": {"url": "nats://n:4222"}, "fullnameOverride": "lk",
             "gateway": {"auth": "none", "insecure": True}}))
            if one["kind"] == "ClusterRole"}
        self.assertEqual(roles, wide)
        self.assertTrue(all(one["metadata"]["namespace"] == "studio" for one in found
                            if one["kind"] in ("Role", "RoleBinding")))

    def test_gateway_alone_is_nothing_cluster_wide_and_no_role(self):
        found = objects(rendered("gateway-alone"))
        self.assertEqual({one["kind"] for one in found} & {
            "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Lease"}, set())
        self.assertTrue(all(one["metadata"]["namespace"] == NAMESPACE for one in found))
        self.assertEqual([one["metadata"]["name"] for one in found if one["kind"] in ("Deployment", "ServiceAccount")],
                         ["lk-gateway", "lk-gateway"])
        self.assertNotIn("lk-operator", rendered("gateway-alone"))

    def test_no_role_reads_secrets_or_says_all(self):
        for case in CASES:
            for one in objects(rendered(case)):
                for rule in one.get("rules") or [] if "Role" in one["kind"] else []:
                    if case == "tenants" and rule["resources"] == ["secrets"]:
                        self.assertEqual((rule["verbs"], one["kind"]), (["get"], "Role"))
                        continue
                    words = rule["apiGroups"] + rule["resources"] + rule["verbs"]
                    self.assertFalse({"*", "secrets", "configmaps", "pods/exec", "escalate", "bind",
                                      "impersonate"} & set(words), (case, one["metadata"]["name"], rule))

    def test_pods_are_confined(self):
        for case in CASES:
            for name, spec in pod_specs(case):
                with self.subTest(f"{case} {name}"):
                    pod = spec["securityContext"]
                    self.assertEqual((pod["runAsNonRoot"], pod["runAsUser"]), (True, 65532))
                    self.assertEqual(pod["seccompProfile"], {"type": "RuntimeDefault"})
                    self.assertIn("automountServiceAccountToken", spec)
                    for container in spec["containers"]:
                        self.assertEqual(container["securityContext"], {
                            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]}})
                        self.assertIn("memory", container["resources"]["limits"])
                        self.assertEqual(set(container["resources"]["requests"]), {"cpu", "memory"})

    def test_two_releases_share_no_name(self):
        def names(release, namespace, watched):
            text = render({"nats": {"url": "nats://n:4222"}, "crds": {"install": False},
                           "watchNamespace": watched, "rbac": {"clusterReviews": True}, "gateway": {"insecure": True},
                           "monitoring": {"serviceMonitor": {"enabled": True}, "dashboard": {"enabled": True},
                                          "prometheusRule": {"enabled": True}},
                           "networkPolicy": {"enabled": True}}, release, namespace)
            return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
                    for one in objects(text)}
        one = names("lanekeeper", "tenant-a", "tenant-a")
        self.assertFalse(one & names("lanekeeper", "tenant-b", "tenant-b"), "same release, other namespace")
        self.assertFalse(one & names("second", "tenant-a", "tenant-b"), "other release, same namespace")
        # Two operators for the same pools are what must not be: these share the operator's role.
        self.assertEqual({name for _, _, name in one & names("second", "tenant-b", "tenant-a")},
                         {"lanekeeper-operator"})

    def test_selectors_are_of_one_component(self):
        for case in CASES:
            found = objects(rendered(case))
            pods = [one["spec"]["template"]["metadata"]["labels"] for one in found
                    if one["kind"] in ("Deployment", "StatefulSet")]
            for one in found:
                if one["kind"] == "Service":
                    selected = [labels for labels in pods if one["spec"]["selector"].items() <= labels.items()]
                    self.assertEqual(len(selected), 1, one["metadata"]["name"])
                if one["kind"] == "ServiceMonitor":
                    wanted = one["spec"]["selector"]["matchLabels"].items()
                    services = [other for other in found if other["kind"] == "Service"
                                and wanted <= other["metadata"]["labels"].items()]
                    self.assertEqual([[port["name"] for port in service["spec"]["ports"]]
                                      for service in services], [["metrics"]])


class ProgramsTest(unittest.TestCase):
    """What the chart tells the programs is what they read."""

    SOURCES = {"operator": "operator/operator_main.cpp", "gateway": "operator/gateway_main.cpp"}

    def test_variables_are_read_by_the_program(self):
        # Both programs read what concerns their connection in one place.
        connection = (ROOT / "worker-runtime/nats/connect_settings.cpp").read_text(encoding="utf-8")
        names = "".join((ROOT / f"worker-runtime/job/{name}.h").read_text(encoding="utf-8")
                        for name in ("names", "nats_settings"))
        constants = dict(re.findall(r'(kEnv\w+) = "(LANEKEEPER_\w+)"', names))
        for case in CASES:
            for name, spec in pod_specs(case):
                container = spec["containers"][0]
                if container["name"] not in self.SOURCES:
                    continue
                source = (ROOT / self.SOURCES[container["name"]]).read_text(encoding="utf-8")
                if '#include "worker-runtime/nats/connect_settings.h"' in source:
                    source += connection
                read = set(re.findall(r'"(LANEKEEPER_\w+)"', source))
                read |= {constants[used] for used in re.findall(r"\bkEnv\w+", source)}
                told = {one["name"] for one in container["env"] if one["name"].startswith("LANEKEEPER_")}
                self.assertEqual(told - read, set(), f"{case} {name}")

    def test_images_share_their_libraries_and_are_this_version(self):
        version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["version"]
        libraries = set()
        for name in ("operator", "worker-runtime", "worker-runtime/gateway"):
            text = (ROOT / name / "Dockerfile").read_text(encoding="utf-8")
            libraries.add(re.search(r"^RUN (.*?[^\\])$", text, re.M | re.S).group(1))
            self.assertIn(f"\nARG VERSION={version}\n", text, name)
            self.assertIn("\nUSER 65532:65532\n", text, name)
            self.assertRegex(text, r'\nENTRYPOINT \["/usr/local/bin/[-a-z]+"\]\n$', "without a shell")
            labels = set(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="', text))
            self.assertEqual(labels, {"title", "description", "licenses", "version", "revision", "base.name"}, name)
        self.assertEqual(len(libraries), 1, "the RUN lines differ: images would not share that layer")


class HelmTestPod(unittest.TestCase):
    """The script of `helm test`, run here against a server of ours."""

    def ask(self, status):
        class Server(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(status if self.path == "/readyz" else 404)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        pod, = [one for one in objects(rendered("everything")) if one["kind"] == "Pod"]
        container, = pod["spec"]["containers"]
        script, name, *targets = container["args"]
        self.assertEqual(targets, ["media-lanekeeper-operator:8080", "media-lanekeeper-gateway:8090"])
        # Without the half minute of patience.
        script = script.replace("tries = 30", "tries = 1")
        return run(*container["command"], script, name, f"127.0.0.1:{server.server_port}",
                   f"localhost:{server.server_port}")

    def test_passes_when_all_are_ready(self):
        done = self.ask(200)
        self.assertEqual((done.returncode, done.stdout.count("200")), (0, 2), done)

    def test_fails_when_one_is_not(self):
        done = self.ask(503)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("503", done.stdout)


class MonitoringTest(unittest.TestCase):
    def exported(self):
        """Every metric that a program exports, by the literals of its source."""
        names = set()
        for folder in ("operator", "worker-runtime"):
            for source in (ROOT / folder).rglob("*.cpp"):
                if not source.name.endswith("_test.cpp"):
                    names |= set(re.findall(r'"(lanekeeper_[a-z_]+)"', source.read_text(encoding="utf-8")))
        return names

    def test_alerts_and_dashboard_use_what_is_exported(self):
        exported = self.exported()
        self.assertIn("lanekeeper_lane_sampled", exported)
        for name in ("alerts.yaml", "alerts-gateway.yaml", "alerts-leader.yaml", "alerts-tenants.yaml",
                     "dashboard.json"):
            text = (CHART / "files" / name).read_text(encoding="utf-8")
            used = {re.sub(r"_(bucket|sum|count)$", "", metric) for metric in
                    re.findall(r"\blanekeeper_[a-z_]+", text)}
            self.assertTrue(used, name)
            self.assertEqual(used - exported, set(), name)

    def test_alerts_name_the_release(self):
        rule, = [one for one in objects(rendered("everything")) if one["kind"] == "PrometheusRule"]
        alerts = {one["alert"]: one for one in rule["spec"]["groups"][0]["rules"]}
        services = {one["metadata"]["name"] for one in objects(rendered("everything")) if one["kind"] == "Service"}
        for alert in ("LanekeeperOperatorDown", "LanekeeperGatewayDown"):
            named = re.search(r'service="([^"]+)"', alerts[alert]["expr"]).group(1)
            self.assertIn(named, services)
        self.assertIn("> 7200", alerts["LanekeeperJobsWaitLong"]["expr"])
        for name, alert in alerts.items():
            self.assertEqual(alert["annotations"]["runbook_url"], f"https://example.com/runbook#{name.lower()}")
            self.assertIn(alert["labels"]["severity"], ("warning", "critical"))
            self.assertNotRegex(alert["expr"], r"\b(NAMESPACE|OPERATOR|GATEWAY|WAIT_SECONDS_MAX)\b")

    def test_dashboard_is_json_with_unique_panels(self):
        dashboard = json.loads((CHART / "files/dashboard.json").read_text(encoding="utf-8"))
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))


class RunbookTest(unittest.TestCase):
    def setUp(self):
        self.runbook = RUNBOOK.read_text(encoding="utf-8")

    def test_has_every_alert_as_a_heading(self):
        for name in ("alerts.yaml", "alerts-gateway.yaml", "alerts-leader.yaml", "alerts-tenants.yaml"):
            for alert in yaml.safe_load((CHART / "files" / name).read_text(encoding="utf-8")):
                self.assertIn(f"\n#### {alert['alert']}\n", self.runbook)

    def test_has_every_condition_and_reason(self):
        words = set()
        for name, pattern in (
                ("operator/control/conditions.cpp", r'\.(?:type|reason) = "(\w+)"'),
                ("operator/control/reconciler.cpp", r'\.(?:type|reason) = "(\w+)"'),
                ("operator/control/reconcile_lanes.cpp", r'\.reason = "(\w+)"'),
                ("operator/scaling/decide_workers.cpp", r'return "([A-Z]\w+)";'),
                ("operator/scaling/wording.cpp", r'return "([A-Z]\w+)";'),
                ("operator/scaling/wording.cpp", r'\? "([A-Z]\w+)" : "[A-Z]\w+"'),
                ("operator/scaling/wording.cpp", r'\? "[A-Z]\w+" : "([A-Z]\w+)"')):
            found = re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"))
            words |= set(found)
        self.assertLessEqual({"Ready", "CapacityShort", "InvalidSpec", "NoAnswer", "JobsInterrupted",
                              "CappedByBudget", "ScaledUp", "ScaledDown"}, words)
        self.assertEqual([word for word in sorted(words - {"Unknown"}) if f"`{word}`" not in self.runbook], [])


class BackupTest(unittest.TestCase):
    """The commands of the runbook, against a real nats-server that loses everything."""

    def nats(self, *args):
        return must("nats", "--server", f"nats://127.0.0.1:{self.port}", *args)

    def start(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = folder / "nats.conf"
        config.write_text(f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{folder}" }}\n',
                          encoding="utf-8")
        server = subprocess.Popen(["nats-server", "--config", config], stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        for _ in range(600):
            if run("nats", "--server", f"nats://127.0.0.1:{self.port}", "account", "info").returncode == 0:
                return
            time.sleep(0.1)
        self.fail("nats-server does not answer")

    def test_jobs_and_leases_come_back(self):
        runbook = RUNBOOK.read_text(encoding="utf-8")
        backup = "backup account ./lanekeeper-backup --force"
        restore = "backup restore account ./lanekeeper-backup"
        self.assertIn(f"\nnats {backup}\n", runbook)
        self.assertIn(f"\nnats {restore}\n", runbook)
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            kept = str(folder / "backup")
            (folder / "first").mkdir()
            self.start(folder / "first")
            self.nats("stream", "add", "LK_studio_media_short", "--subjects", "lk.jobs.studio.media.short",
                      "--retention", "work", "--storage", "file", "--defaults")
            self.nats("consumer", "add", "LK_studio_media_short", "workers", "--pull", "--ack", "explicit",
                      "--deliver", "all", "--defaults")
            self.nats("kv", "add", "LK_jobs")
            self.nats("kv", "put", "LK_jobs", "studio.media.short.report-7", "{}")
            for number in range(3):
                self.nats("request", "lk.jobs.studio.media.short", f"job {number}")
            self.nats("consumer", "next", "LK_studio_media_short", "workers", "--no-ack")
            self.nats(*backup.replace("./lanekeeper-backup", kept).split())
            (folder / "second").mkdir()
            self.start(folder / "second")
            self.nats(*restore.replace("./lanekeeper-backup", kept).split())
            lane = json.loads(self.nats("consumer", "info", "LK_studio_media_short", "workers", "--json"))
            self.assertEqual((lane["num_pending"], lane["num_ack_pending"]), (2, 1))
            self.assertEqual(self.nats("kv", "get", "LK_jobs", "studio.media.short.report-7", "--raw").strip(), "{}")
            again = run("nats", "--server", f"nats://127.0.0.1:{self.port}",
                        *restore.replace("./lanekeeper-backup", kept).split())
            self.assertNotEqual(again.returncode, 0)
            self.assertIn('"KV_LK_jobs" exists already', again.stderr + again.stdout)
            self.assertIn('`stream "KV_LK_jobs" exists already`', runbook)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig")
    parser.add_argument("--update", action="store_true")
    arguments, rest = parser.parse_known_args()
    apiserver_test.kubeconfig = arguments.kubeconfig
    if arguments.update:
        update()
        return
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
