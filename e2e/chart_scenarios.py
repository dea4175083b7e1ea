#!/usr/bin/env python3
"""The chart with real helm on the real cluster: installed, upgraded from the chart before with jobs running,
killed at, tested, uninstalled, and installed again; then two releases side by side.

Needs a cluster with the images (cluster.sh up, nats-up, images) and no WorkerPools but its own; what
`cluster.sh deploy` installed is removed first, because there is one operator for a pool. Prints what it
measured, and writes the manifests that were installed to --manifests FILE: e2e/test.py holds the audit log
against their roles.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "charts"))
import cluster_calls as calls
import privileges
import releases
from cluster_calls import ROOT, apply, condition, get, kubectl, must, pool, run, wait_for
from releases import CHART, Story, Submitter, helm, left_behind, measured

RELEASE, NAMESPACE, STUDIO = "lanekeeper", releases.SYSTEM, "chart-studio"
OPERATOR = "app.kubernetes.io/name=lanekeeper,app.kubernetes.io/component=operator"
LANES = [{"name": "short", "workers": {"min": 1, "max": 3, "slots": 4},
          "scaling": {"jobsPerWorker": 8, "scaleDownWindow": "5s"}},
         {"name": "long", "class": "Long", "workers": {"max": 3},
          "scaling": {"jobsPerWorker": 1, "scaleDownWindow": "5s"}}]


def setUpModule():
    releases.require_empty_cluster("chart-")


def previous_chart(folder):
    """The chart of the last commit, or else of the working tree, with a version before this one's."""
    chart = Path(folder) / "previous"
    chart.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD:charts/lanekeeper"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode == 0:
        subprocess.run(["tar", "-x", "-C", chart], input=archive.stdout, check=True)
    else:
        shutil.copytree(CHART, chart, dirs_exist_ok=True)
    told = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**told, "version": "0.0.1"}), encoding="utf-8")
    return chart


class ReleaseStory(Story):
    """One release from its beginning to its end."""

    submitter = None

    @classmethod
    def setUpClass(cls):
        apply(calls.namespace(NAMESPACE), calls.namespace(STUDIO))
        cls.folder = tempfile.TemporaryDirectory()
        cls.other_streams = set(calls.streams())

    @classmethod
    def tearDownClass(cls):
        if cls.submitter:
            cls.submitter.stop()
        calls.remove_namespace(STUDIO)
        run("helm", "uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait")
        calls.remove_streams([one for one in calls.streams() if one.startswith(f"LK_{STUDIO}_")])
        cls.folder.cleanup()

    @staticmethod
    def next_job(number):
        lane, milliseconds = ("long", 4000) if number % 25 == 0 else ("short", 300)
        return {"type": "sleep", "lane": lane, "payload": milliseconds}

    def gateway(self):
        return calls.gateway_of(NAMESPACE, "lanekeeper-gateway", self.token())

    def token(self):
        cls = type(self)
        if not getattr(cls, "minted", None):
            apply(*calls.submitter(STUDIO, "web", f"lanekeeper:{NAMESPACE}:{RELEASE}:job-submitter"))
            cls.minted = calls.token_of(STUDIO, "web")
        return cls.minted

    def operators(self):
        return [one for one in get("pods", NAMESPACE, selector=OPERATOR) if "deletionTimestamp" not in one["metadata"]]

    def leaders(self):
        """Names of the pods that say they lead."""
        return [name for name, text in calls.metrics_of_pods(NAMESPACE, OPERATOR).items()
                if sum(value for _, value in calls.samples(text, "lanekeeper_leader")) == 1]

    def test_01_chart_before_becomes_ready(self):
        # The CRD may be there already, from `cluster.sh deploy`.
        took = helm("install", RELEASE, "--take-ownership", chart=previous_chart(self.folder.name))
        measured.append(f"install of the chart before, to Ready: {took:.1f} s (bar: 30 s on a quiet machine)")

    def test_02_pool_works(self):
        apply(pool(STUDIO, "media", LANES))
        wait_for("the pool is Ready", lambda: condition(STUDIO, "media", "Ready").get("status") == "True")
        wait_for("both gateways know it", lambda: calls.known_to_every_gateway(NAMESPACE, STUDIO, "media", self.token()))
        type(self).submitter = Submitter(self.gateway(), f"/v1/pools/{STUDIO}/media/jobs", self.next_job)
        self.submitter.start()
        wait_for("jobs of both lanes run", lambda: all(
            lane.get("running", 0) > 0 for lane in get("workerpool", STUDIO, "media")["status"]["lanes"]))

    def test_03_upgrade_with_jobs_running_and_other_values(self):
        workers = {one["metadata"]["uid"] for one in get("deployments", STUDIO)}
        accepted = len(self.submitter.accepted)
        took = helm("upgrade", RELEASE, values={
            "operator": {"replicas": 2, "logLevel": "debug"}, "gateway": {"logLevel": "debug"},
            "policies": {"podBaseline": {"enabled": True}}})
        measured.append(f"upgrade from the chart before, to Ready: {took:.1f} s (bar: 30 s on a quiet machine)")
        self.assertEqual({one["metadata"]["uid"] for one in get("deployments", STUDIO)}, workers)
        self.assertGreater(len(self.submitter.accepted), accepted, "jobs were taken meanwhile")
        # An operator without a lease had to be gone before one with a lease began.
        self.assertEqual(get("deployment", NAMESPACE, "lanekeeper-operator")["spec"]["strategy"]["type"], "Recreate")

    def test_04_two_operators_and_one_leads(self):
        self.assertEqual(len(self.operators()), 2)
        leader, = wait_for("somebody leads", self.leaders)
        holder = get("lease", NAMESPACE, "lanekeeper-operator")["spec"]["holderIdentity"]
        self.assertIn(leader, holder)
        # Whoever deletes the Lease has another one a moment later.
        kubectl("delete", "lease", "lanekeeper-operator", f"--namespace={NAMESPACE}")
        wait_for("there is a Lease again", lambda: (get("lease", NAMESPACE, "lanekeeper-operator") or {}).get(
            "spec", {}).get("holderIdentity"))
        wait_for("one leads again", lambda: len(self.leaders()) == 1)
        kubectl("delete", "pod", leader, f"--namespace={NAMESPACE}", "--wait=false")
        wait_for("another leads", lambda: len(found := self.leaders()) == 1 and found != [leader])

    def test_05_next_upgrade_rolls_and_keeps_the_lease(self):
        helm("upgrade", RELEASE, values={"operator": {"replicas": 2, "sampleInterval": "400ms"}})
        self.assertEqual(get("deployment", NAMESPACE, "lanekeeper-operator")["spec"]["strategy"]["type"],
                         "RollingUpdate")
        wait_for("one leads", lambda: len(self.leaders()) == 1)

    def test_06_helm_test_passes(self):
        helm("test", RELEASE)

    def test_07_gateway_that_is_killed_loses_no_job(self):
        def running():
            return [one["metadata"]["name"] for one in get("pods", NAMESPACE,
                                                           selector="app.kubernetes.io/component=gateway")
                    if all(c["ready"] for c in one["status"].get("containerStatuses", [{"ready": False}]))]

        wait_for("two gateways", lambda: len(running()) == 2)
        for _ in range(3):
            before = len(self.submitter.accepted)
            victims = gateway_pids()
            if victims:
                os.kill(victims[0], signal.SIGKILL)
            else:  # Another machine's cluster: the nearest thing to a SIGKILL.
                kubectl("delete", "pod", running()[0], f"--namespace={NAMESPACE}", "--grace-period=0", "--force")
            wait_for("jobs are taken by the other", lambda: len(self.submitter.accepted) > before + 20)
        measured.append(f"submits that a killed or replaced gateway cost a second try: {self.submitter.failed}")

    def test_08_no_job_was_lost_or_ran_twice(self):
        accepted = self.submitter.stop()
        self.assertEqual(self.submitter.refused, [])
        self.assertGreater(sum(lane == "long" for lane in accepted.values()), 5)
        gateway, left = self.gateway(), dict(accepted)

        def ended():
            for one in list(left)[:500]:
                status, job, _ = gateway.ask("GET", f"/v1/jobs/{one}")
                if status == 503:
                    return False  # NATS did not answer in time.
                self.assertEqual(status, 200, (one, job))
                if job["state"] not in ("waiting", "running"):
                    self.assertEqual((job["state"], job["crashes"], job["interruptions"], job["attempts"],
                                      len(job["runs"])), ("done", 0, 0, 0, 1), job)
                    del left[one]
            return not left

        wait_for("every accepted job is done", ended)
        measured.append(f"jobs accepted through it all, each done in its first run: {len(accepted)}")

    def test_09_pods_have_no_writable_root_and_no_root_user(self):
        for one in get("pods", NAMESPACE, selector=f"app.kubernetes.io/instance={RELEASE}"):
            context = one["spec"]["containers"][0]["securityContext"]
            self.assertTrue(context["readOnlyRootFilesystem"] and one["spec"]["securityContext"]["runAsNonRoot"])
            self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
            self.assertEqual(one["status"]["phase"], "Running")

    def test_09_images_need_no_shell(self):
        # Nothing in /usr/bin, which is /bin too.
        pods = []
        for program in ("operator", "gateway", "worker"):
            image = os.environ.get(f"LANEKEEPER_E2E_{program.upper()}_IMAGE", f"lanekeeper/{program}:e2e")
            pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"bare-{program}", "namespace": STUDIO},
                         "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False,
                                  "volumes": [{"name": "nothing", "emptyDir": {}}], "containers": [{
                                      "name": "bare", "image": image, "imagePullPolicy": "IfNotPresent",
                                      "args": ["--help"],
                                      "volumeMounts": [{"name": "nothing", "mountPath": "/usr/bin"}],
                                      "securityContext": {"readOnlyRootFilesystem": True, "runAsNonRoot": True,
                                                          "allowPrivilegeEscalation": False,
                                                          "capabilities": {"drop": ["ALL"]}}}]}})
        apply(*pods)
        for one in pods:
            name = one["metadata"]["name"]
            wait_for(f"{name} has ended well", lambda it=name: get("pod", STUDIO, it)["status"]["phase"] == "Succeeded")
            kubectl("delete", "pod", name, f"--namespace={STUDIO}", "--wait=false")

    def test_10_uninstall_leaves_pools_and_workers_and_nothing_of_its_own(self):
        type(self).workers = {one["metadata"]["name"]: one["metadata"]["uid"] for one in get("deployments", STUDIO)}
        helm("uninstall", RELEASE, "--wait", "--timeout=120s")
        # Pods have their grace.
        wait_for("nothing of the release is left", lambda: left_behind(NAMESPACE) == [])
        self.assertEqual([one["metadata"]["name"] for one in get("workerpools", STUDIO)], ["media"])
        self.assertEqual({one["metadata"]["name"]: one["metadata"]["uid"] for one in get("deployments", STUDIO)},
                         self.workers)

    def test_11_a_next_release_becomes_ready_and_takes_over(self):
        took = helm("install", RELEASE, values={"operator": {"replicas": 2}})
        measured.append(f"install of this chart, to Ready: {took:.1f} s (bar: 30 s on a quiet machine)")
        type(self).minted = None  # The role that the account was bound to is another one of the same name.
        type(self).after = self.gateway()
        wait_for("a job is done", self.long_job_is_done)
        self.assertEqual({one["metadata"]["name"]: one["metadata"]["uid"] for one in get("deployments", STUDIO)},
                         self.workers, "taken over, not made again")

    def long_job_is_done(self):
        status, job, _ = self.after.ask("POST", f"/v1/pools/{STUDIO}/media/jobs",
                                                 {"type": "sleep", "lane": "long", "payload": 50},
                                                 {"Prefer": "wait=10"}, 30)
        return status == 200 and job["state"] == "done"

    def test_11_b_what_happens_again_is_counted_in_its_event(self):
        def counted():
            return any(one["reason"] == "ScaledUp" and one.get("count", 1) > 1 for one in get("events", STUDIO))

        def again():
            wait_for("the lane is at rest", lambda: get("deployment", STUDIO, "media-long")["spec"]["replicas"] == 0)
            wait_for("a job is done", self.long_job_is_done)
            return counted()

        wait_for("the same sentence a second time", again)

    def test_12_removal_in_order_leaves_what_is_documented(self):
        kubectl("delete", "workerpools", "--all", f"--namespace={STUDIO}", "--timeout=120s")
        helm("uninstall", RELEASE, "--wait", "--timeout=120s")
        wait_for("nothing of the release is left", lambda: left_behind(NAMESPACE) == [])
        wait_for("no worker is left", lambda: not get("pods", STUDIO) and not get("deployments", STUDIO))
        self.assertTrue(get("crd", name="workerpools.lanekeeper.dev"))
        # What charts/README.md says: the queues of pools without deletePolicy Delete, and what they share.
        documented = {f"LK_{STUDIO}_media_short", f"LK_{STUDIO}_media_long", f"LK_{STUDIO}_media_DEAD", "KV_LK_jobs",
                      "KV_LK_keys", "KV_LK_pools", "LK_LEDGER"}
        self.assertEqual(set(calls.streams()) - self.other_streams - documented, set())


class SideBySide(unittest.TestCase):
    """Two releases, each for one namespace, and a namespace that is nobody's."""

    TENANTS = ("chart-north", "chart-south")

    @classmethod
    def setUpClass(cls):
        apply(*[calls.namespace(one) for one in (*cls.TENANTS, "chart-nobody")])

    @classmethod
    def tearDownClass(cls):
        for one in cls.TENANTS:
            calls.remove_pools(one)
            run("helm", "uninstall", "lk", f"--namespace={one}", "--ignore-not-found", "--wait")
        for one in (*cls.TENANTS, "chart-nobody"):
            calls.remove_namespace(one)
        calls.remove_streams([one for one in calls.streams() if one.startswith("LK_chart-")])

    @staticmethod
    def missing_of(tenant):
        """What the tenant's release asked for outside of its roles, which reach no further than its namespace."""
        if "E2E_KUBECONFIG" in os.environ:
            return []  # The audit log is somewhere else.
        manifest = must("helm", "get", "manifest", "lk", f"--namespace={tenant}")
        roles = privileges.granted([one for one in yaml.safe_load_all(manifest) if one])
        logs = must(calls.CLUSTER, "audit").split()
        seen = privileges.used(privileges.read_events(logs), roles)
        assert seen, "the audit log knows nothing of it"
        return privileges.compare(roles, seen)[0]

    def gateway(self, tenant, token):
        return calls.gateway_of(tenant, "lk-lanekeeper-gateway", token)

    def test_each_works_in_its_own_namespace_without_a_cluster_role(self):
        for tenant in self.TENANTS:
            apply(calls.secret(tenant, "tokens", tokens=f"{tenant}-token web {tenant}\n"))
            helm("install", "lk", namespace=tenant, values={
                "watchNamespace": tenant, "crds": {"install": False},
                "gateway": {"auth": "tokens", "replicas": 1, "tokens": {"secretName": "tokens"}}})
        wide = [one["metadata"]["name"] for kind in ("clusterroles", "clusterrolebindings") for one in get(kind)
                if one["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == "lk"]
        self.assertEqual(wide, [])
        for where in (*self.TENANTS, "chart-nobody"):
            apply(pool(where, "media", LANES))
        for tenant in self.TENANTS:
            with self.subTest(tenant):
                wait_for("the pool is Ready", lambda where=tenant: condition(
                    where, "media", "Ready").get("status") == "True")
                path = f"/v1/pools/{tenant}/media/jobs"
                own = self.gateway(tenant, f"{tenant}-token")
                job = {"type": "sleep", "lane": "short", "payload": 50}
                wait_for("a job is done", lambda at=own, to=path: at.ask(
                    "POST", to, job, {"Prefer": "wait=10"}, 30)[0] == 200)
                other = next(one for one in self.TENANTS if one != tenant)
                self.assertEqual(self.gateway(other, f"{tenant}-token").ask("POST", path, job)[0], 401)
                self.assertEqual(self.gateway(other, f"{other}-token").ask("POST", path, job)[0], 403)
        self.assertEqual(get("deployments", "chart-nobody"), [])
        self.assertFalse((get("workerpool", "chart-nobody", "media") or {}).get("status"))

    def test_restart_of_one_leaves_the_others_pools_known(self):
        north, south = self.TENANTS
        kubectl("rollout", "restart", "deployment/lk-lanekeeper-operator", f"--namespace={north}")
        kubectl("rollout", "status", "deployment/lk-lanekeeper-operator", f"--namespace={north}", "--timeout=120s")
        wait_for("the restarted one has read its pools", lambda: condition(north, "media", "Ready").get(
            "status") == "True")
        job = {"type": "sleep", "lane": "short", "payload": 50}
        self.assertEqual(self.missing_of(north), [])
        for _ in range(5):
            status, answer, _ = self.gateway(south, f"{south}-token").ask("POST", f"/v1/pools/{south}/media/jobs", job)
            self.assertEqual(status, 202, answer)
            time.sleep(0.5)


def gateway_pids():
    """The gateways' processes as this machine sees them, the youngest last; none when they are elsewhere."""
    found = subprocess.run(["pgrep", "-x", "-f", "/usr/local/bin/lanekeeper-gateway --insecure"],
                           capture_output=True, text=True, check=False)
    return [int(one) for one in found.stdout.split()]


if __name__ == "__main__":
    releases.main(__doc__)
