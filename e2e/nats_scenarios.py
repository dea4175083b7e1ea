#!/usr/bin/env python3
"""The chart and NATS, with real Secrets and pods: tenants with accounts of their own, TLS whose certificates are
replaced while jobs run, and the bundled server.

Needs a cluster with the images (cluster.sh up, nats-up, images) and no WorkerPools but its own; what
`cluster.sh deploy` installed is removed first, because there is one operator for a pool.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "charts"))
import cluster_calls as calls
import nats_servers as servers
import privileges
import releases
from cluster_calls import ROOT, apply, condition, get, kubectl, must, pool, run, wait_for
from releases import Story, Submitter, helm, left_behind, measured

RELEASE, GATE = "lanekeeper", "gate"
OF_RELEASE = f"app.kubernetes.io/instance={RELEASE}"
LANES = [{"name": "short", "workers": {"max": 2, "slots": 4}, "scaling": {"jobsPerWorker": 8, "scaleDownWindow": "5s"}}]
JOB = {"type": "sleep", "lane": "short", "payload": 50}


def setUpModule():
    releases.require_empty_cluster("nats-")


def is_ready(where, name="media"):
    return condition(where, name, "Ready").get("status") == "True"


def hand_in(gateway, where, **more):
    """The id of a job that was taken."""
    status, answer, _ = gateway.ask("POST", f"/v1/pools/{where}/media/jobs", {**JOB, **more})
    if status != 202:
        raise AssertionError((status, answer))
    return answer["id"]


def await_done(gateway, jobs):
    left = list(jobs)

    def done():
        while left and gateway.ask("GET", f"/v1/jobs/{left[-1]}")[1].get("state") == "done":
            left.pop()
        return not left

    wait_for(f"{len(left)} jobs are done", done)


def pods_of(where, selector=""):
    """{name: (uid, restarts)} of pods that are not about to go."""
    return {one["metadata"]["name"]: (one["metadata"]["uid"], sum(
        container["restartCount"] for container in one["status"].get("containerStatuses", [])))
            for one in get("pods", where, selector=selector) if "deletionTimestamp" not in one["metadata"]}


def runbook(heading):
    """The shell blocks of that section of charts/README.md."""
    text = (ROOT / "charts/README.md").read_text(encoding="utf-8")
    section, = re.findall(rf"(?ms)^## {heading}\n(.*?)^## ", text)
    return re.findall(r"(?ms)^```sh\n(.*?)^```", section)


class NatsStory(Story):
    """A release in NAMESPACE, pools in TENANTS, which may have a gateway each, and files of this run."""

    TENANTS = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="lanekeeper-nats-scenarios-"))
        cls.servers = []
        cls.addClassCleanup(cls.clean_up)
        # Of a run before this one.
        run("kubectl", "delete", "namespace", "--ignore-not-found", "--timeout=120s", cls.NAMESPACE, *cls.TENANTS)
        apply(*[calls.namespace(one) for one in (cls.NAMESPACE, *cls.TENANTS)])

    @classmethod
    def clean_up(cls):
        for one in cls.TENANTS:
            calls.remove_pools(one)
        with ThreadPoolExecutor(4) as at_once:
            for where in (cls.NAMESPACE, *cls.TENANTS):
                at_once.submit(run, "helm", "uninstall", RELEASE if where == cls.NAMESPACE else GATE,
                               f"--namespace={where}", "--ignore-not-found", "--wait")
        for one in cls.servers:
            one.stop()
        run("kubectl", "delete", "namespace", "--wait=false", "--ignore-not-found", cls.NAMESPACE, *cls.TENANTS)
        shutil.rmtree(cls.folder)

    @classmethod
    def helm(cls, verb, values=None):
        """Seconds that it took until all was ready."""
        more = ["--take-ownership"] if verb == "install" else []  # Of the CRD, which may be there.
        return helm(verb, RELEASE, *more, namespace=cls.NAMESPACE, values=values)

    @classmethod
    def follow(cls, commands, folder, *here):
        """Runs commands of the runbook in the folder, with images, no certificate for the gateway, and pairs of names of here."""
        trial = ("--set gateway.insecure=true --set gateway.preStopSeconds=0 --set operator.image.tag=e2e "
                 "--set gateway.image.tag=e2e --take-ownership --wait --timeout=120s")
        for there, name in (("--set gateway.tls.secretName=gateway-tls", trial), ("lanekeeper-system", cls.NAMESPACE),
                            (" charts/", f" {ROOT}/charts/"), *here):
            commands = commands.replace(there, name)
        done = subprocess.run(["bash", "-euc", commands], cwd=folder, env=calls.ENVIRONMENT, capture_output=True, text=True,
                              timeout=300, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{commands}\n{done.stdout}{done.stderr}")

    def await_doubt(self, where, name, words):
        """Waits until the pool's condition says these words, and that nothing of it reaches NATS."""
        seen = wait_for(f"{where}/{name} says {words}", lambda: (one := condition(where, name, "QueueReachable")).get(
            "status") == "False" and words in one["message"] and one)
        self.assertEqual(seen["reason"], "NatsDisconnected")
        self.assertEqual(condition(where, name, "Ready")["status"], "False")

    @classmethod
    def gateway(cls):
        """The release's, for an account that may submit, pause and resume in the first of TENANTS."""
        where = cls.TENANTS[0]
        if "token" not in vars(cls):
            apply(*calls.submitter(where, "web", f"lanekeeper:{cls.NAMESPACE}:{RELEASE}:job-operator"))
            cls.token = calls.token_of(where, "web")
        return calls.gateway_of(cls.NAMESPACE, "lanekeeper-gateway", cls.token)

    def await_pool(self):
        """Until the pool of the first of TENANTS is Ready, and jobs can be handed in for it."""
        where, token = self.TENANTS[0], self.gateway().token
        wait_for("the pool is Ready", lambda: is_ready(where))
        wait_for("gateways know it", lambda: calls.known_to_every_gateway(self.NAMESPACE, where, "media", token))


class Tenants(NatsStory):
    """Two tenants of an operator's JWTs on one server, one of a server that knows nkeys, which is the platform's too.

    That one, NORTH, is set up by the commands of the runbook.
    """

    NAMESPACE = "nats-tenants-system"
    TENANTS = NORTH, SOUTH, EAST, OUTSIDE = ("nats-north", "nats-south", "nats-east", "nats-outside")
    ALLOWED = TENANTS[:3]
    ACCOUNT = f"system:serviceaccount:{NAMESPACE}:lanekeeper-operator"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_keys, *cls.steps = runbook("Tenants, step by step")
        cls.keyed = None
        cls.walk(make_keys)
        platform, north = (servers.Nkey(cls.folder / f"{name}.nk") for name in ("platform", cls.NORTH))
        cls.keyed = servers.NatsServer(cls.folder / "keyed", servers.accounts({"PLATFORM": platform, "NORTH": north}))
        cls.servers.append(cls.keyed)
        jwt, cls.stranger = (servers.JwtOperator(cls.folder / name) for name in ("jwt", "stranger"))
        for one, accounts in ((jwt, ("SOUTH", "EAST")), (cls.stranger, ("SOUTH",))):
            for account in accounts:
                one.add_account(account)
        cls.signed = servers.NatsServer(cls.folder / "signed", jwt.config())
        cls.servers.append(cls.signed)
        cls.south, cls.east = jwt.add_user("SOUTH", "app"), jwt.add_user("EAST", "app")
        cls.platform_access = platform.access
        # Of each tenant: its server, what the Secret holds, and what the nats CLI takes.
        cls.of = {cls.NORTH: (cls.keyed, north.seed, north.access),
                  cls.SOUTH: (cls.signed, cls.south.read_text(encoding="utf-8"), [f"--creds={cls.south}"]),
                  cls.EAST: (cls.signed, cls.east.read_text(encoding="utf-8"), [f"--creds={cls.east}"])}
        apply(calls.secret(cls.NAMESPACE, "first-nats", **{"seed": platform.seed}))
        for where in (cls.SOUTH, cls.EAST):
            apply(calls.secret(where, "tenant-nats", **{"user.creds": cls.of[where][1]}),
                  calls.secret(where, "gate-tokens", tokens=f"token-of-{where} web {where}\n"))

    @classmethod
    def walk(cls, commands):
        """Takes a step of the runbook, for NORTH."""
        image = os.environ.get("LANEKEEPER_E2E_WORKER_IMAGE", "lanekeeper/worker:e2e")
        cls.follow(re.sub(r"\bnorth\b", cls.NORTH, commands), cls.folder,
                   ("--take-ownership", "--take-ownership --set gateway.replicas=1"),
                   ("{" + cls.NORTH + "}", "{" + ",".join(cls.ALLOWED) + "}"),
                   ('"$(openssl rand -hex 20) web', f'"token-of-{cls.NORTH} web'),
                   ("nats://nats.nats.svc:4222", cls.keyed.url if cls.keyed else ""),
                   ("image: registry.example.com/media-worker:1",
                    f"image: {image}, imagePullPolicy: IfNotPresent, command: [lanekeeper-example-worker]"))

    def may_get_secrets(self):
        """The namespaces in which the operator may."""
        return [one for one in (self.NAMESPACE, *self.TENANTS) if run(
            "kubectl", "auth", "can-i", "get", "secrets", f"--as={self.ACCOUNT}", f"--namespace={one}").returncode == 0]

    def pool_of(self, where, name="media", secret="tenant-nats"):
        server = self.of[where][0] if where in self.of else self.signed
        return pool(where, name, LANES, nats={"url": server.url, "credentialsSecret": {"name": secret}})

    @staticmethod
    def gate(where):
        return calls.gateway_of(where, "gate-lanekeeper-gateway", f"token-of-{where}")

    def test_01_without_tenants_no_pool_has_a_connection_of_its_own(self):
        self.helm("install", {"nats": {"url": self.keyed.url, "credentialsSecret": {"name": "first-nats", "key": "seed"}},
                              "gateway": {"replicas": 1}})
        for where in (self.SOUTH, self.EAST):
            apply(self.pool_of(where))
            seen = wait_for("it is refused", lambda at=where: (one := condition(at, "media", "Ready")).get(
                "reason") == "InvalidSpec" and one)
            self.assertIn("spec.nats", seen["message"])
            self.assertEqual(get("deployments", where), [])
        self.assertEqual(self.may_get_secrets(), [])

    def test_02_jobs_of_every_tenant_are_done_by_its_workers(self):
        def gate(where):
            helm("install", GATE, namespace=where, values={
                "operator": {"enabled": False},
                "nats": {"url": self.signed.url, "credentialsSecret": {"name": "tenant-nats"}},
                "gateway": {"replicas": 1, "preStopSeconds": 0, "auth": "tokens", "tokens": {"secretName": "gate-tokens"}}})

        def north():
            for commands in self.steps:  # The platform, the tenant, the tenant's gateway.
                self.walk(commands)

        with ThreadPoolExecutor(3) as at_once:
            walking = at_once.submit(north)
            list(at_once.map(gate, (self.SOUTH, self.EAST)))
            walking.result()
        self.assertEqual(self.may_get_secrets(), list(self.ALLOWED))
        for where in self.ALLOWED:
            wait_for(f"{where}/media is Ready", lambda at=where: is_ready(at))
            wait_for("its gateway knows it", lambda at=where: calls.known_to_every_gateway(
                at, at, "media", f"token-of-{at}"))
        jobs = {where: [hand_in(self.gate(where), where) for _ in range(5)] for where in self.ALLOWED}
        for where in self.ALLOWED:
            await_done(self.gate(where), jobs[where])
            worker = get("pods", where, selector="lanekeeper.dev/pool=media")[0]
            self.assertEqual([one["name"] for one in worker["spec"]["volumes"]
                              if one["name"] == "lanekeeper-nats"], ["lanekeeper-nats"])

    def test_03_nobody_sees_the_streams_of_another(self):
        own = {where: {name for name in server.streams(access) if name.startswith("LK_nats")}
               for where, (server, _, access) in self.of.items()}
        for where, names in own.items():
            self.assertIn(f"LK_{where}_media_short", names)
            self.assertTrue(all(name.startswith(f"LK_{where}_") for name in names), names)
        self.assertEqual([one for one in self.keyed.streams(self.platform_access) if one.startswith("LK_nats")], [])
        for where in self.ALLOWED:
            for other in set(self.ALLOWED) - {where}:
                self.assertEqual(self.gate(where).ask("GET", f"/v1/pools/{other}/media/jobs")[0], 403)
        # On the server of both, by the other's names.
        theirs = self.lane_of(self.EAST, self.EAST)
        self.assertEqual(self.lane_of(self.SOUTH, self.EAST)["error"]["description"], "stream not found")
        access = self.of[self.SOUTH][2]
        for subject in theirs["config"]["subjects"]:
            self.assertIn("no responders", self.signed.cli(access, "request", subject.replace("*", "x"), "{}")[1].lower())
        self.assertEqual(self.lane_of(self.EAST, self.EAST)["state"]["last_seq"], theirs["state"]["last_seq"])
        # On the other server they are nobody.
        for server, access in ((self.keyed, access), (self.signed, self.of[self.NORTH][2])):
            self.assertIn("Authorization Violation", server.cli(access, "stream", "ls")[1])

    def lane_of(self, asker, owner):
        """What JetStream tells the one of the other's lane."""
        server, _, access = self.of[asker]
        return json.loads(server.cli(access, "request", f"$JS.API.STREAM.INFO.LK_{owner}_media_short", "", "--raw")[1])

    def test_04_bad_credentials_are_the_trouble_of_one_pool(self):
        bad = self.stranger.add_user("SOUTH", "app").read_text(encoding="utf-8")
        apply(calls.secret(self.SOUTH, "other-nats", **{"user.creds": bad}), self.pool_of(self.SOUTH, "other", "other-nats"))
        self.await_doubt(self.SOUTH, "other", "Authorization Violation")
        for where in self.ALLOWED:
            self.assertTrue(is_ready(where), where)
        await_done(self.gate(self.SOUTH), [hand_in(self.gate(self.SOUTH), self.SOUTH)])
        # The Secret is right, and so is the pool, without anybody's restart.
        apply(calls.secret(self.SOUTH, "other-nats", **{"user.creds": self.of[self.SOUTH][1]}))
        wait_for("it is Ready", lambda: is_ready(self.SOUTH, "other"))

    def test_05_secrets_of_other_namespaces_are_not_there(self):
        taker = self.pool_of(self.EAST, "taker", "other-nats")  # South has one of that name.
        for what, secret, words in (("named with its namespace", {"name": "other-nats", "namespace": self.SOUTH},
                                     'unknown field "spec.nats.credentialsSecret.namespace"'),
                                    ("with a path", {"name": f"{self.SOUTH}/other-nats"}, "spec.nats.credentialsSecret.name")):
            with self.subTest(what):
                taker["spec"]["nats"]["credentialsSecret"] = secret
                self.assertIn(words, run("kubectl", "create", "-f", "-", stdin=yaml.safe_dump(taker)).stderr)
        apply(self.pool_of(self.EAST, "taker", "other-nats"), self.pool_of(self.OUTSIDE))
        self.await_doubt(self.EAST, "taker", "other-nats")
        # A namespace that tenants.namespaces does not name.
        self.await_doubt(self.OUTSIDE, "media", "forbidden")
        self.assertTrue(is_ready(self.EAST) and is_ready(self.SOUTH))

    @unittest.skipIf("E2E_KUBECONFIG" in os.environ, "the audit log is somewhere else")
    def test_06_it_asked_for_no_more_secrets_than_that(self):
        manifest = must("helm", "get", "manifest", RELEASE, f"--namespace={self.NAMESPACE}")
        roles = privileges.granted([one for one in yaml.safe_load_all(manifest) if one])
        seen = privileges.used(privileges.read_events(must(calls.CLUSTER, "audit").split()), roles)
        asked = {where for where, _, resource, verb in seen[self.ACCOUNT] if (resource, verb) == ("secrets", "get")}
        self.assertEqual(asked, set(self.TENANTS))
        self.assertEqual(privileges.compare(roles, seen)[0],
                         [f"{self.NAMESPACE}:lanekeeper-operator: get secrets in {self.OUTSIDE} was refused (403)"])

    def test_07_nothing_was_restarted_and_no_key_is_in_a_log(self):
        pods = pods_of(self.NAMESPACE, OF_RELEASE)
        self.assertEqual([restarts for _, restarts in pods.values()], [0, 0])
        log = "".join(kubectl("logs", f"--namespace={self.NAMESPACE}", name) for name in pods)
        for _, credentials, _ in self.of.values():
            for line in credentials.splitlines():
                if len(line) > 50:
                    self.assertNotIn(line, log)


class Tls(NatsStory):
    """A server that asks everybody for a certificate: of operator and gateway by the chart, of workers by their pool."""

    NAMESPACE = "nats-tls-system"
    TENANTS = STUDIO, = ("nats-tls",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first, cls.second = (servers.Authority(cls.folder / name, name) for name in ("first", "second"))
        cls.server_files = cls.first.sign("nats", server=True)
        cls.server = servers.NatsServer(cls.folder / "server", cls.config([cls.first]), "tls")
        cls.servers.append(cls.server)
        cls.certificates = {servers.fingerprint(cls.first.sign(where)[0]) for where in (cls.NAMESPACE, cls.STUDIO)}

    @classmethod
    def config(cls, authorities):
        return servers.tls(cls.folder, *cls.server_files, authorities)

    @classmethod
    def renew_secrets(cls, authority, trusted):
        """Gives system and workers another certificate each, and the authorities to trust. Their fingerprints."""
        for where in (cls.NAMESPACE, cls.STUDIO):
            certificate, key = authority.sign(where)
            apply(calls.secret(where, "nats-ca", **{"ca.crt": trusted}),
                  {**calls.secret(where, "nats-client", **{"tls.crt": certificate.read_text(encoding="utf-8"),
                                                           "tls.key": key.read_text(encoding="utf-8")}),
                   "type": "kubernetes.io/tls"})
            yield servers.fingerprint(certificate)

    def shown(self):
        """The certificates that are shown, by fingerprint, one for each connection; "" while one is being made."""
        return [one["tls_peer_certs"][0]["cert_sha256"] if one.get("tls_peer_certs") else ""
                for one in self.server.connections()]

    def pods_now(self):
        return {**pods_of(self.NAMESPACE, OF_RELEASE), **pods_of(self.STUDIO)}

    def test_01_jobs_run_over_tls(self):
        commands, = runbook("Certificates for NATS")
        self.follow(re.sub(r"\bstudio\b", self.STUDIO, commands), self.first.folder,
                    ("tls://nats.nats.svc:4222", self.server.url))
        lanes = [{**LANES[0], "workers": {"min": 1, "max": 1, "slots": 4}}]
        apply(pool(self.STUDIO, "media", lanes, nats={"url": self.server.url, "tls": {
            "caSecret": {"name": "nats-ca"}, "clientCertificateSecret": {"name": "nats-client"}}}))
        self.await_pool()
        await_done(self.gateway(), [hand_in(self.gateway(), self.STUDIO) for _ in range(5)])
        wait_for("everybody shows what they were given", lambda: set(self.shown()) == self.certificates)

    def test_02_pool_without_certificate_or_authority_says_so(self):
        authority = {"caSecret": {"name": "nats-ca"}}
        for name, nats, words in (("bare", {"tls": authority}, "connecting: "), ("strange", {}, "certificate")):
            apply(pool(self.STUDIO, name, LANES, nats={"url": self.server.url, **nats}))
            self.await_doubt(self.STUDIO, name, words)
            kubectl("delete", "workerpool", name, f"--namespace={self.STUDIO}", "--timeout=120s")
        self.assertTrue(is_ready(self.STUDIO))

    def test_03_certificates_are_replaced_while_jobs_run(self):
        cls = type(self)
        cls.pods = self.pods_now()
        self.assertEqual(len(self.pods), 4)
        cls.submitter = Submitter(self.gateway(), f"/v1/pools/{self.STUDIO}/media/jobs", lambda number: JOB)
        self.addClassCleanup(self.submitter.stop)
        self.submitter.start()
        connected = len(self.shown())
        self.server.reload(self.config([self.first, self.second]))
        renewed = set(self.renew_secrets(self.second, self.first.certificate + self.second.certificate))
        wait_for("everybody shows the new ones", lambda: len(now := self.shown()) >= connected and
                 set(now) == renewed, 300)
        self.assertEqual(self.submitter.refused, [])
        # The old authority is gone for good, on the server's side too, and nobody is spared connecting anew.
        cls.server_files = self.second.sign("nats", server=True)
        self.server.write(self.config([self.second]))
        self.server.stop()
        self.server.start()
        taken = len(self.submitter.accepted)
        wait_for("jobs are taken again", lambda: len(self.submitter.accepted) > taken + 20)
        wait_for("all are there again", lambda: len(self.shown()) >= connected)

    def test_04_no_job_was_lost_and_nobody_was_restarted(self):
        accepted = self.submitter.stop()
        await_done(self.gateway(), accepted)
        measured.append(f"jobs accepted while the certificates were replaced, all done: {len(accepted)}")
        self.assertEqual(self.pods_now(), self.pods)


class Bundled(NatsStory):
    """natsServer.enabled: the server is a pod of the release, and its volume outlives it."""

    NAMESPACE = "nats-bundle-system"
    TENANTS = STUDIO, = ("nats-bundle",)
    CLAIM = "data-lanekeeper-nats-0"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.own_volume = "E2E_KUBECONFIG" not in os.environ  # Else that cluster's default StorageClass makes one.
        image, tag = os.environ.get("LANEKEEPER_E2E_NATS_IMAGE", "lanekeeper/nats:e2e").rsplit(":", 1)
        cls.values = {"nats": {"url": ""}, "gateway": {"replicas": 1, "preStopSeconds": 0}, "natsServer": {
            "enabled": True, "image": {"repository": image, "tag": tag},
            "storage": {"size": "1Gi", "className": "nats-scenarios" if cls.own_volume else ""}}}
        if cls.own_volume:
            run("kubectl", "delete", "persistentvolume", "nats-scenarios", "--ignore-not-found", "--timeout=60s")
            # As soon as the claim is gone, which goes with its namespace.
            cls.addClassCleanup(run, "kubectl", "delete", "persistentvolume", "nats-scenarios", "--ignore-not-found",
                                "--wait=false")
            disk = cls.folder / "disk"
            disk.mkdir()
            cls.folder.chmod(0o755)
            node, = get("nodes")
            apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "nats-scenarios"}, "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "nats-scenarios",
                "persistentVolumeReclaimPolicy": "Retain", "local": {"path": str(disk)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [node["metadata"]["name"]]}]}]}}}})

    def lane(self, what, body):
        status, answer, _ = self.gateway().ask("POST", f"/v1/pools/{self.STUDIO}/media/lanes/short/{what}", body)
        self.assertLess(status, 300, answer)

    def waiting_jobs(self):
        """Ids of jobs that wait behind a pause."""
        self.lane("pause", {"for": "1h"})
        return [hand_in(self.gateway(), self.STUDIO) for _ in range(3)]

    def server(self):
        return pods_of(self.NAMESPACE, "app.kubernetes.io/component=nats")

    def others(self):
        return pods_of(self.NAMESPACE, "app.kubernetes.io/component in (operator, gateway)")

    def test_01_jobs_run(self):
        took = self.helm("install", self.values)
        measured.append(f"install with the bundled NATS, to Ready: {took:.1f} s")
        apply(pool(self.STUDIO, "media", LANES))
        self.await_pool()
        await_done(self.gateway(), [hand_in(self.gateway(), self.STUDIO)])

    def test_02_jobs_that_wait_outlive_an_upgrade_that_replaces_the_server(self):
        slow = hand_in(self.gateway(), self.STUDIO, payload=6000)
        wait_for("a job runs", lambda: self.gateway().ask("GET", f"/v1/jobs/{slow}")[1].get(
            "state") == "running")
        jobs, before, others = self.waiting_jobs(), self.server(), self.others()
        self.helm("upgrade", releases.merged(self.values, {"natsServer": {"syncInterval": "2m"}}))
        after = self.server()
        self.assertEqual((list(before), len(after)), (list(after), 1))
        self.assertNotEqual(before, after)
        self.await_pool()
        # The one that ran was settled by the worker that ran it, and nobody else was restarted.
        await_done(self.gateway(), [slow])
        job = self.gateway().ask("GET", f"/v1/jobs/{slow}")[1]
        self.assertEqual((len(job["runs"]), job["crashes"], job["interruptions"]), (1, 0, 0), job)
        self.assertEqual(self.others(), others)
        self.lane("resume", {})
        await_done(self.gateway(), jobs)

    def test_03_uninstall_leaves_the_volume_and_the_next_release_has_the_jobs(self):
        jobs = self.waiting_jobs()
        helm("uninstall", RELEASE, "--wait", "--timeout=120s", namespace=self.NAMESPACE)
        # As NOTES says. Pods have their grace.
        wait_for("its volume is all that is left", lambda: left_behind(self.NAMESPACE) == [f"PersistentVolumeClaim/{self.CLAIM}"])
        self.assertIsNotNone(get("customresourcedefinition", name="workerpools.lanekeeper.dev"))
        self.helm("install", self.values)
        self.await_pool()
        self.lane("resume", {})
        await_done(self.gateway(), jobs)


if __name__ == "__main__":
    releases.main(__doc__)
