"""The chart on a real API server. Run by chart_test.py --kubeconfig FILE."""
import time
import unittest

import yaml

from rendering import CASES, CHART, NAMESPACE, ROOT, merged, must, objects, render, rendered, run

kubeconfig = None  # Set once, by chart_test.py.


def kubectl(*args, stdin=None):
    return run("kubectl", "--kubeconfig", kubeconfig, *args, stdin=stdin)


def helm(*args, stdin=None):
    return run("helm", "--kubeconfig", kubeconfig, *args, stdin=stdin)


# What is not in an API server by itself: only that there are such kinds.
PROMETHEUS_KINDS = {"servicemonitors": "ServiceMonitor", "prometheusrules": "PrometheusRule"}


def prometheus_crd(plural, kind):
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.monitoring.coreos.com"},
            "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced",
                     "names": {"plural": plural, "kind": kind},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                         "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}


def await_established(*crds):
    """`kubectl wait` fails, instead of waiting, on a CRD that is so new that it has no conditions yet."""
    for _ in range(300):
        done = kubectl("wait", "--for=condition=Established", "--timeout=60s", *crds)
        if done.returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(done.stderr)


class ApiServerTest(unittest.TestCase):
    NAMESPACES = (NAMESPACE, "studio", "other", "north", "south")
    FLAGS = ("--set", "nats.url=nats://nats.nats.svc:4222,gateway.insecure=true")

    @classmethod
    def setUpClass(cls):
        if kubeconfig is None:
            raise unittest.SkipTest("needs --kubeconfig")
        # Some tests remove the CRD, and with it every pool.
        if kubectl("get", "workerpools", "--all-namespaces", "-o", "name").stdout:
            raise AssertionError("there are WorkerPools on this API server: these tests need one of their own")
        # Refuses or warns of what Pod Security's strictest level does not allow.
        made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}}
            for name in cls.NAMESPACES]
        made += [prometheus_crd(*names) for names in PROMETHEUS_KINDS.items()]
        cls.apply(made)
        crd, = [one for one in objects(rendered("default")) if one["kind"] == "CustomResourceDefinition"]
        cls.apply([crd])
        names = [f"crd/{plural}.monitoring.coreos.com" for plural in PROMETHEUS_KINDS]
        await_established("crd/workerpools.lanekeeper.dev", *names)

    @classmethod
    def tearDownClass(cls):
        kubectl("delete", "crd", *[f"{plural}.monitoring.coreos.com" for plural in PROMETHEUS_KINDS])

    @classmethod
    def apply(cls, what, *flags):
        done = kubectl("apply", "--server-side", "--force-conflicts", *flags, "-f", "-",
                       stdin=yaml.safe_dump_all(what))
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stderr

    def delete(self, what):
        kubectl("delete", "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump_all(what))

    def test_manifests_are_accepted(self):
        for case in CASES:
            with self.subTest(case):
                warnings = self.apply(objects(rendered(case)), "--dry-run=server")
                self.assertEqual(warnings, "")

    def may(self, account, rows):
        """Asks all `<yes or no> <verb> <resource> <namespace, or * for every one>` in one go."""
        namespace = account.split(":")[0]
        reviews = []
        for row in rows:
            _, verb, resource, where = row.split()
            resource, _, subresource = resource.partition("/")
            resource, _, group = resource.partition(".")
            reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
                "user": f"system:serviceaccount:{account}",
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
                "resourceAttributes": {"verb": verb, "group": group, "resource": resource,
                                       "subresource": subresource, "namespace": where.strip("*")}}})
        done = kubectl("create", "-o", 'jsonpath={.status.allowed}{"\\n"}', "-f", "-",
                       stdin=yaml.safe_dump_all(reviews))
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = done.stdout.split()
        self.assertEqual(len(answers), len(rows))
        for row, answer in zip(rows, answers):
            with self.subTest(f"{account} {row}"):
                self.assertEqual({"true": "yes", "false": "no"}[answer], row.split()[0])

    # What the operator sends (operator/kubernetes/requests.cpp), in a namespace of a pool.
    OPERATOR_SENDS = (
        "get workerpools.lanekeeper.dev", "list workerpools.lanekeeper.dev", "watch workerpools.lanekeeper.dev",
        "patch workerpools.lanekeeper.dev", "patch workerpools.lanekeeper.dev/status",
        "update workerpools.lanekeeper.dev/finalizers", "get deployments.apps", "list deployments.apps",
        "watch deployments.apps", "create deployments.apps", "patch deployments.apps", "delete deployments.apps",
        "list pods", "watch pods", "patch pods", "create events", "patch events")
    OPERATOR_NEVER = (
        "get secrets", "list secrets", "watch secrets", "get configmaps", "create configmaps", "create pods",
        "delete pods", "get pods", "create pods/exec", "get pods/log", "create serviceaccounts/token",
        "create workerpools.lanekeeper.dev", "delete workerpools.lanekeeper.dev", "update deployments.apps",
        "create statefulsets.apps", "create roles.rbac.authorization.k8s.io", "list nodes", "list namespaces",
        "create jobs.batch", "delete events", "deletecollection deployments.apps",
        "create tokenreviews.authentication.k8s.io", "update workerpools.lanekeeper.dev/status")
    GATEWAY_SENDS = ("create tokenreviews.authentication.k8s.io",
                     "create subjectaccessreviews.authorization.k8s.io")
    GATEWAY_NEVER = ("get secrets", "list pods", "get workerpools.lanekeeper.dev", "create deployments.apps",
                     "create workerpools.lanekeeper.dev/jobs", "list configmaps", "create events")

    @staticmethod
    def rows(answer, sent, where):
        return [f"{answer} {one} {where}" for one in sent]

    def roles_of(self, values):
        made = [one for one in objects(render(values)) if "Role" in one["kind"]]
        self.apply(made)
        self.addCleanup(self.delete, made)

    def test_accounts_may_do_what_they_have_to_and_nothing_else(self):
        self.roles_of({"nats": {"url": "nats://n:4222"}, "gateway": {"insecure": True}})
        self.may(f"{NAMESPACE}:media-lanekeeper-operator",
                 self.rows("yes", self.OPERATOR_SENDS, "*") + self.rows("no", self.OPERATOR_NEVER, "studio"))
        self.may(f"{NAMESPACE}:media-lanekeeper-gateway",
                 self.rows("yes", self.GATEWAY_SENDS, "*") + self.rows("no", self.GATEWAY_NEVER, "studio") +
                 self.rows("no", self.OPERATOR_SENDS, "studio"))

    def test_one_namespace_is_one_namespace(self):
        self.roles_of({"nats": {"url": "nats://n:4222"}, "watchNamespace": "studio",
                       "gateway": {"auth": "tokens", "insecure": True, "tokens": {"secretName": "t"}}})
        self.may(f"{NAMESPACE}:media-lanekeeper-operator",
                 self.rows("yes", self.OPERATOR_SENDS, "studio") + self.rows("no", self.OPERATOR_SENDS, "other") +
                 self.rows("no", self.OPERATOR_NEVER, "studio"))
        self.may(f"{NAMESPACE}:media-lanekeeper-gateway", self.rows("no", self.GATEWAY_SENDS, "*"))

    def test_two_replicas_may_write_their_lease_and_no_other(self):
        self.roles_of({"nats": {"url": "nats://n:4222"}, "watchNamespace": "studio", "operator": {"replicas": 2},
                       "gateway": {"enabled": False}})
        leases = "leases.coordination.k8s.io"
        account = f"{NAMESPACE}:media-lanekeeper-operator"
        self.may(account, [f"yes create {leases} {NAMESPACE}", f"no create {leases} studio", f"no get {leases} {NAMESPACE}",
                           f"no list {leases} {NAMESPACE}", f"no delete {leases} {NAMESPACE}"])
        for name, answer in (("media-lanekeeper-operator", "yes"), ("another", "no")):
            done = kubectl("auth", "can-i", "update", f"{leases}/{name}", f"--namespace={NAMESPACE}",
                           f"--as=system:serviceaccount:{account}")
            self.assertEqual(done.stdout.strip(), answer, name)

    def refusal_of(self, pod, lane_pod=None):
        """What the API server says to a pool whose template, or a lane's own, is this pod; empty when it takes it."""
        container = {"name": "worker", "image": "w:1"}
        lane = {"name": "short"}
        if lane_pod is not None:
            lane["template"] = {"spec": merged({"containers": [container]}, lane_pod)}
        pool = {"apiVersion": "lanekeeper.dev/v1alpha1", "kind": "WorkerPool",
                "metadata": {"name": "escape", "namespace": "studio"},
                "spec": {"template": {"spec": merged({"containers": [container]}, pod)}, "lanes": [lane]}}
        done = kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pool))
        return done.stderr if done.returncode != 0 else ""

    @staticmethod
    def worker(**more):
        return {"containers": [{"name": "worker", "image": "w:1", **more}]}

    def test_pod_baseline_refuses_what_escapes(self):
        policies = [one for path in sorted(ROOT.glob("charts/policies/pod-baseline*.yaml"))
                    for one in objects(path.read_text(encoding="utf-8"))]
        self.apply(policies)
        self.addCleanup(self.delete, policies)
        host_path = {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}
        for _ in range(300):  # Until the policy is in force.
            if self.refusal_of(host_path):
                break
            time.sleep(0.2)
        sidecar = {"name": "side", "image": "s:1", "securityContext": {"privileged": True}}
        for pod, words in (
                (host_path, "take the hostPath volume out"),
                ({"hostNetwork": True}, "take hostNetwork"), ({"hostPID": True}, "take hostNetwork"),
                ({"hostIPC": True}, "take hostNetwork"),
                (self.worker(securityContext={"privileged": True}), "take privileged out"),
                ({"initContainers": [sidecar]}, "take privileged out"),
                ({"containers": [{"name": "worker", "image": "w:1"}, sidecar]}, "take privileged out"),
                (self.worker(ports=[{"containerPort": 80, "hostPort": 80}]), "take hostPort out"),
                (self.worker(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}), "shorten capabilities.add"),
                (self.worker(securityContext={"capabilities": {"add": ["ALL"]}}), "shorten capabilities.add"),
                (self.worker(securityContext={"seccompProfile": {"type": "Unconfined"}}), "may not be unconfined"),
                (self.worker(securityContext={"procMount": "Unmasked"}), "may not be unconfined"),
                (self.worker(securityContext={"appArmorProfile": {"type": "Unconfined"}}), "may not be unconfined"),
                ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "may not be unconfined"),
                ({"securityContext": {"windowsOptions": {"hostProcess": True}}}, "may not be unconfined"),
                ({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}, "SELinux"),
                ({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, "shorten sysctls"),
                # What is no boolean is not waved through.
                ({"hostNetwork": "true"}, "hostNetwork")):
            with self.subTest(str(pod)):
                self.assertIn(words, self.refusal_of(pod))
                self.assertIn(words, self.refusal_of({}, pod), "in a lane's own template")
        for pod in ({}, {"volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "s"}}]},
                    {"hostNetwork": False, "securityContext": {"runAsNonRoot": True, "fsGroup": 1}},
                    self.worker(ports=[{"containerPort": 80}], securityContext={
                        "privileged": False, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                        "seccompProfile": {"type": "RuntimeDefault"}})):
            with self.subTest(str(pod)):
                self.assertEqual(self.refusal_of(pod), "")
                self.assertEqual(self.refusal_of({}, pod), "")

    def test_people_may_what_their_role_says(self):
        self.roles_of({"nats": {"url": "nats://n:4222"}, "gateway": {"insecure": True}})
        pools, jobs = "workerpools.lanekeeper.dev", "workerpools.lanekeeper.dev/jobs"
        table = {"pool-viewer": (f"get {pools}", f"list {pools}"),
                 "pool-editor": (f"create {pools}", f"patch {pools}", f"delete {pools}"),
                 "job-reader": (f"get {jobs}",), "job-submitter": (f"get {jobs}", f"create {jobs}"),
                 "job-operator": (f"get {jobs}", f"create {jobs}", f"update {jobs}")}
        every = {one for sent in table.values() for one in sent}
        bindings = [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                     "metadata": {"name": role, "namespace": "studio"},
                     "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                                 "name": f"lanekeeper:{NAMESPACE}:media-lanekeeper:{role}"},
                     "subjects": [{"kind": "ServiceAccount", "name": role, "namespace": "studio"}]}
                    for role in table]
        self.apply(bindings)
        self.addCleanup(self.delete, bindings)
        for role, sent in table.items():
            self.may(f"studio:{role}", self.rows("yes", sent, "studio") + self.rows("no", every - set(sent), "studio") +
                     self.rows("no", sent, "other"))

    def left_behind(self):
        kinds = ("deployments,statefulsets,services,configmaps,serviceaccounts,secrets,roles,rolebindings,"
                 "poddisruptionbudgets,networkpolicies,clusterroles,clusterrolebindings,"
                 "validatingadmissionpolicies,validatingadmissionpolicybindings")
        return must("kubectl", "--kubeconfig", kubeconfig, "get", kinds, "--all-namespaces", "-o", "name",
                    "--selector", "app.kubernetes.io/name=lanekeeper").split()

    def install(self, release, namespace, *flags):
        done = helm("install", release, CHART, "--namespace", namespace, *self.FLAGS, *flags)
        if done.returncode == 0:
            self.addCleanup(helm, "uninstall", release, "--namespace", namespace, "--ignore-not-found")
        return done

    def test_release_comes_changes_and_goes(self):
        kubectl("delete", "crd", "workerpools.lanekeeper.dev", "--ignore-not-found")
        done = self.install("media", NAMESPACE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("http://media-lanekeeper-gateway.lanekeeper-system.svc:8090/v1", done.stdout)
        pool = {"apiVersion": "lanekeeper.dev/v1alpha1", "kind": "WorkerPool",
                "metadata": {"name": "media", "namespace": "studio"},
                "spec": {"template": {"spec": {"containers": [{"name": "worker", "image": "w:1"}]}},
                         "lanes": [{"name": "short"}]}}
        await_established("crd/workerpools.lanekeeper.dev")
        self.apply([pool])
        self.addCleanup(kubectl, "delete", "--namespace=studio", "workerpool", "media", "--ignore-not-found")
        done = helm("upgrade", "media", CHART, "--namespace", NAMESPACE, *self.FLAGS, "--set",
                    "operator.logLevel=debug,gateway.replicas=3,policies.gpuFence.enabled=true")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(kubectl("get", "deployment", "media-lanekeeper-gateway", f"--namespace={NAMESPACE}",
                                 "-o", "jsonpath={.spec.replicas}").stdout, "3")
        done = helm("rollback", "media", "1", "--namespace", NAMESPACE)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = helm("uninstall", "media", "--namespace", NAMESPACE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(kubectl("get", "crd", "workerpools.lanekeeper.dev", "-o",
                                 "jsonpath={.metadata.name} {.metadata.deletionTimestamp}").stdout,
                         "workerpools.lanekeeper.dev ")
        # The CRD is kept, and with it the pools; the next release takes it over.
        self.assertEqual(kubectl("get", "--namespace=studio", "workerpool", "-o", "name").stdout,
                         "workerpool.lanekeeper.dev/media\n")
        done = self.install("media", NAMESPACE)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_crd_that_is_there_is_taken_over_when_told_to(self):
        kubectl("delete", "crd", "workerpools.lanekeeper.dev", "--ignore-not-found")
        self.apply([yaml.safe_load((ROOT / "crds/workerpools.yaml").read_text(encoding="utf-8"))])
        done = self.install("media", NAMESPACE)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('"workerpools.lanekeeper.dev" in namespace "" exists', done.stderr)
        done = self.install("media", NAMESPACE, "--take-ownership")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_releases_live_side_by_side_and_not_on_the_same_pools(self):
        kubectl("delete", "crd", "workerpools.lanekeeper.dev", "--ignore-not-found")
        tenant = ("--set", "crds.install=false,rbac.clusterReviews=true", "--set")
        self.assertEqual(self.install("lk", "studio", "--set", "watchNamespace=studio,rbac.clusterReviews=true")
                         .returncode, 0)
        second = self.install("lk", "other", *tenant, "watchNamespace=other")
        self.assertEqual(second.returncode, 0, second.stderr)
        third = self.install("again", NAMESPACE, *tenant, "watchNamespace=studio")
        self.assertNotEqual(third.returncode, 0)
        self.assertRegex(third.stderr, r'Role "lanekeeper-operator" in namespace "studio" exists')
