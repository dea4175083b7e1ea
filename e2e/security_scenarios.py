#!/usr/bin/env python3
"""Manifests and requests that try to get at what is not theirs, on the real cluster: each is refused, counted,
and in the log once. What has a test of its own closer to the code is named in e2e/README.md's table.

Needs the cluster with operator and gateway (cluster.sh deploy).
"""
import base64
import json
import socket
import time
import unittest
import uuid
from pathlib import Path

import yaml

import cluster_calls as calls
from cluster_calls import ROOT, apply, condition, get, kubectl, nats, pool, run, wait_for

SYSTEM, GATEWAY = "lanekeeper-system", "app.kubernetes.io/component=gateway"
OPERATOR = "app.kubernetes.io/component=operator"
RUN = uuid.uuid4().hex[:6]
LANES = [{"name": "short", "workers": {"min": 1, "max": 1}}]
JOBS_ROLE = f"lanekeeper:{SYSTEM}:lanekeeper:job-operator"


def container(**more):
    return {"containers": [{**pool("x", "x", [])["spec"]["template"]["spec"]["containers"][0], **more}]}


ESCAPES = {
    "files of the node": {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]},
    "network of the node": {"hostNetwork": True},
    "a privileged container": container(securityContext={"privileged": True}),
}


class Stage(unittest.TestCase):
    """A namespace for each name in NAMESPACES, with an ending of this run's own."""

    NAMESPACES = ()
    LABELS = {}

    @classmethod
    def setUpClass(cls):
        cls.names = {one: f"sec-{RUN}-{one}" for one in cls.NAMESPACES}
        apply(*[calls.namespace(name, **cls.LABELS) for name in cls.names.values()])

    @classmethod
    def tearDownClass(cls):
        for name in cls.names.values():
            calls.remove_namespace(name)
        prefixes = tuple(f"LK_{name}_" for name in cls.names.values())
        calls.remove_streams([one for one in calls.streams() if one.startswith(prefixes)])

    def events(self, namespace, reason):
        return [one["message"] for one in get("events", namespace) if one["reason"] == reason]

    @staticmethod
    def counted(selector, metric, label=""):
        """The sum of a counter over the pods, of the samples with that label."""
        return sum(value for text in calls.metrics_of_pods(SYSTEM, selector).values()
                   for labels, value in calls.samples(text, metric) if label in labels)


class TemplatesThatReachOut(Stage):
    """Whoever may write a WorkerPool runs pods, as with a Deployment: the namespace's rules are what limits them."""

    NAMESPACES = ("baseline",)
    LABELS = {"pod-security.kubernetes.io/enforce": "baseline"}

    def test_pod_security_of_the_namespace_holds_for_workers(self):
        where = self.names["baseline"]
        for number, (what, pod) in enumerate(ESCAPES.items()):
            with self.subTest(what):
                name = f"escape-{number}"
                apply(pool(where, name, LANES, pod))
                wait_for("the refusal", lambda start=f'pods "{name}-short': [
                    one for one in self.events(where, "FailedCreate")
                    if "violates PodSecurity" in one and start in one])
                self.assertEqual(get("pods", where, selector=f"lanekeeper.dev/pool={name}"), [])
                status = get("workerpool", where, name)["status"]["lanes"][0]["workers"]
                self.assertEqual(status.get("ready", 0), 0)
                kubectl("delete", "workerpool", name, f"--namespace={where}", "--timeout=120s")

    def test_policy_refuses_the_pool_itself(self):
        where = self.names["baseline"]
        policies = [one for path in sorted(ROOT.glob("charts/policies/pod-baseline*.yaml"))
                    for one in yaml.safe_load_all(Path(path).read_text(encoding="utf-8"))]
        apply(*policies)
        self.addCleanup(run, "kubectl", "delete", "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump_all(policies))

        def refusal(pod):
            return run("kubectl", "create", "--dry-run=server", "-f", "-",
                       stdin=yaml.safe_dump(pool(where, "refused", LANES, pod))).stderr

        wait_for("the policy is in force", lambda: refusal(ESCAPES["files of the node"]))
        for what, pod in ESCAPES.items():
            with self.subTest(what):
                self.assertIn("lanekeeper-pod-baseline", refusal(pod))
        self.assertEqual(refusal({}), "")


class ManifestsOfOthers(Stage):
    NAMESPACES = ("mine", "theirs")

    def test_secret_of_another_namespace_is_not_there(self):
        mine, theirs = self.names["mine"], self.names["theirs"]
        apply(calls.secret(theirs, "password", text="theirs"))
        taken = pool(mine, "reader", LANES, container(env=[
            {"name": "TAKEN", "valueFrom": {"secretKeyRef": {"name": "password", "key": "text"}}}]))
        # A template cannot put its pods elsewhere either.
        taken["spec"]["template"]["metadata"] = {"labels": {"app": "reader"}}
        elsewhere = json.loads(json.dumps(taken))
        elsewhere["spec"]["template"]["metadata"]["namespace"] = theirs
        elsewhere["metadata"]["name"] = "elsewhere"
        refused = run("kubectl", "create", "-f", "-", stdin=yaml.safe_dump(elsewhere))
        self.assertIn('unknown field "spec.template.metadata.namespace"', refused.stderr)
        apply(taken)

        def waits():
            return [one for one in get("pods", mine, selector="lanekeeper.dev/pool=reader")
                    for state in one["status"].get("containerStatuses", [])
                    if state["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError"]

        wait_for("the kubelet finds no such Secret", waits)
        wait_for("the event says which", lambda: any(
            'secret "password" not found' in one for one in self.events(mine, "Failed")))
        self.assertEqual(get("pods", theirs), [])
        kubectl("delete", "workerpool", "reader", f"--namespace={mine}", "--timeout=120s")

    def test_deployment_of_somebody_else_is_not_taken_over(self):
        mine = self.names["mine"]
        kubectl("create", "configmap", "owner", f"--namespace={mine}")
        owner = get("configmap", mine, "owner")["metadata"]
        labels = {"app": "foreign"}
        foreign = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
            "name": "taken-short", "namespace": mine,
            "labels": {"app.kubernetes.io/managed-by": "lanekeeper", "lanekeeper.dev/pool": "taken",
                       "lanekeeper.dev/lane": "short"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"],
                                 "controller": True}]},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "lanekeeper/worker:e2e"}]}}}}
        apply(foreign)
        wait_for("its controller has seen it", lambda: get("deployment", mine, "taken-short")["status"].get(
            "observedGeneration"))
        before = get("deployment", mine, "taken-short")
        errors = self.counted(OPERATOR, "lanekeeper_reconcile_errors_total", 'kind="invalid"')
        apply(pool(mine, "taken", LANES))
        seen = wait_for("the pool says so", lambda: (one := condition(mine, "taken", "Ready")).get(
            "reason") == "WorkloadFailed" and one)
        self.assertIn("ConfigMap", seen["message"])
        self.assertEqual(get("deployment", mine, "taken-short")["metadata"]["resourceVersion"],
                         before["metadata"]["resourceVersion"])
        self.assertEqual(len(wait_for("its event", lambda: self.events(mine, "WorkloadFailed"))), 1)

        def tries():
            log = kubectl("logs", f"--namespace={SYSTEM}", f"--selector={OPERATOR}", "--tail=-1")
            return sum(f"pool={mine}/taken" in line and "belongs to ConfigMap" in line for line in log.splitlines())

        def counted():
            return self.counted(OPERATOR, "lanekeeper_reconcile_errors_total", 'kind="invalid"') - errors

        # Once in the log for each try; tries grow rare.
        wait_for("log and counter agree", lambda: 0 < tries() == counted())
        # The pool goes, and it stays.
        kubectl("delete", "workerpool", "taken", f"--namespace={mine}", "--timeout=120s")
        self.assertEqual(get("deployment", mine, "taken-short")["metadata"]["uid"], before["metadata"]["uid"])

    def test_stream_of_another_pool_cannot_be_named(self):
        mine, theirs = self.names["mine"], self.names["theirs"]
        for stream in (f"LK_{theirs}_media_short", f"LK_{theirs}_media_DEAD", "KV_LK_jobs", "LK_LEDGER"):
            taker = pool(mine, "taker", [{"name": "short", "queue": {"stream": stream, "consumer": "workers"}}])
            done = run("kubectl", "create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(taker))
            self.assertIn("must not start with LK_ or KV_LK_", done.stderr, stream)


class NamesThatAreAlike(Stage):
    """LK_<namespace>_<pool>_<lane>: none of the three may have an underscore or a dot, so no two lanes share one."""

    NAMESPACES = ("a", "a-b")

    def test_lanes_whose_names_join_to_the_same_words_have_queues_of_their_own(self):
        one, other = self.names["a"], self.names["a-b"]
        # a/b-c/d, a-b/c/d and a/b/c-d.
        lanes = ((one, "b-c", "d"), (other, "c", "d"), (one, "b", "c-d"))
        for where, name, lane in lanes:
            apply(pool(where, name, [{"name": lane, "workers": {"max": 1}}]))
        wanted = {f"LK_{where}_{name}_{lane}" for where, name, lane in lanes}
        self.assertEqual(len(wanted), 3)
        wait_for("each has its stream", lambda: wanted <= set(calls.streams()))
        subjects = [json.loads(nats("stream", "info", name, "--json"))["config"]["subjects"] for name in wanted]
        self.assertEqual(len({tuple(each) for each in subjects}), 3, subjects)

    def test_names_with_other_characters_are_refused(self):
        where = self.names["a"]
        for name, lane in (("b_c", "d"), ("b.c", "d"), ("b", "c_d"), ("b", "c.d"), ("b", ">"), ("b", "*"), ("b", "DEAD"),
                           ("b", "../d"), ("b", "c d"), ("b", "d\n")):
            done = run("kubectl", "create", "--dry-run=server", "-f", "-",
                       stdin=yaml.safe_dump(pool(where, name, [{"name": lane}])))
            self.assertNotEqual(done.returncode, 0, (name, lane))


class RequestsOfOthers(Stage):
    """The gateway, asked by nobody, by another tenant, and by somebody who injects."""

    NAMESPACES = ("studio", "other")
    MARK = f"payload-{RUN}"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        studio, other = cls.names["studio"], cls.names["other"]
        for where in (studio, other):
            apply(*calls.submitter(where, "web", JOBS_ROLE),
                  pool(where, "media", [{"name": "short", "workers": {"max": 1}}]))
        cls.tokens = {"studio": calls.token_of(studio, "web"), "other": calls.token_of(other, "web"), "nobody": "",
                      "made up": "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl",
                      "for somebody else": calls.token_of(studio, "web", audience="https://vault.example.com")}
        cls.gateway = calls.gateway_of(SYSTEM, "lanekeeper-gateway")
        cls.jobs = f"/v1/pools/{studio}/media/jobs"

        def accepted():
            status, answer, _ = cls.ask("studio", "POST", cls.jobs, {"type": "sleep", "payload": 10})
            return answer if status == 202 else None

        cls.job = wait_for("the gateway takes a job", accepted)["id"]
        wait_for("it is done", lambda: cls.ask("studio", "GET", f"/v1/jobs/{cls.job}")[1].get("state") == "done")

    @classmethod
    def ask(cls, who, method, path, body=None, headers=(), request=""):
        cls.gateway.token = cls.tokens[who]
        return cls.gateway.ask(method, path, body, {"X-Request-Id": request or uuid.uuid4().hex, **dict(headers)})

    def log(self):
        return kubectl("logs", f"--namespace={SYSTEM}", f"--selector={GATEWAY}", "--tail=-1")

    def counts(self, metric, label, before, more):
        """Waits until every gateway has told of its part of so many more, and of no more than these."""
        now = wait_for(f"{metric} {label} counts {more} more",
                       lambda: (seen := self.counted(GATEWAY, metric, label)) >= before + more and seen)
        self.assertEqual(now - before, more, (metric, label))

    def stored(self):
        """Messages that the lane's stream ever took."""
        told = nats("stream", "info", f"LK_{self.names['studio']}_media_short", "--json")
        return json.loads(told)["state"]["last_seq"]

    def refuse(self, rows):
        """Asks every (what, who, method, path, body, headers, status, problem) and holds log and metrics against it."""
        before, stored = {}, self.stored()
        for problem in {row[7] for row in rows}:
            before[problem] = self.counted(GATEWAY, "lanekeeper_gateway_refusals_total", f'"{problem}"')
        asked = {}
        for what, who, method, path, body, headers, status, problem in rows:
            request = uuid.uuid4().hex
            with self.subTest(what):
                seen = self.ask(who, method, path, body, headers, request)
                self.assertEqual((seen[0], Path(str(seen[1].get("type", seen[1]))).name), (status, problem), seen[1])
            asked[request] = what
        # What is written is read a moment later.
        log = wait_for("each is in the log",
                       lambda: (told := self.log()) and all(one in told for one in asked) and told)
        for request, what in asked.items():
            lines = [line for line in log.splitlines() if request in line]
            self.assertEqual(len(lines), 1, (what, lines))
        for problem, count in before.items():
            self.counts("lanekeeper_gateway_refusals_total", f'"{problem}"', count, sum(row[7] == problem for row in rows))
        self.assertEqual(self.stored(), stored, "something was stored")
        for name in ("studio", "other", "made up", "for somebody else"):
            self.assertNotIn(self.tokens[name], log, f"a token of {name} is in the log")
        self.assertNotIn(self.MARK, log, "a payload is in the log")

    def test_without_a_token_or_with_one_that_is_not_good(self):
        job = {"type": "sleep", "payload": self.MARK}
        self.refuse([(f"{who} {method} {path}", who, method, path, body, {}, 401, "unauthenticated")
                     for who in ("nobody", "made up", "for somebody else")
                     for method, path, body in (("POST", self.jobs, job), ("GET", f"/v1/jobs/{self.job}", None),
                                                ("DELETE", f"/v1/jobs/{self.job}", None),
                                                ("GET", "/v1/pools", None))])

    def test_with_the_token_of_another_tenant(self):
        lane = f"/v1/pools/{self.names['studio']}/media/lanes/short"
        dead = f"/v1/pools/{self.names['studio']}/media/dead"
        rows = [("submits", "POST", self.jobs, {"type": "sleep", "payload": self.MARK}),
                ("lists", "GET", self.jobs, None), ("reads", "GET", f"/v1/jobs/{self.job}", None),
                ("watches", "GET", f"/v1/jobs/{self.job}/events", None),
                ("cancels", "DELETE", f"/v1/jobs/{self.job}", None), ("pauses", "POST", f"{lane}/pause", {"for": "1h"}),
                ("resumes", "POST", f"{lane}/resume", {}), ("reads dead letters", "GET", dead, None),
                ("replays", "POST", f"{dead}/replay", {"filter": {}}),
                ("discards", "POST", f"{dead}/discard", {"filter": {}}),
                ("looks", "GET", f"/v1/pools?namespace={self.names['studio']}", None)]
        rows = [(what, "other", method, path, body, {}, 403, "forbidden") for what, method, path, body in rows]
        rows.append(("reads it through a pool of their own", "other", "GET",
                     f"/v1/pools/{self.names['other']}/media/jobs/{self.job}", None, {}, 404, "job-not-found"))
        self.refuse(rows)

    def test_what_injects_into_subjects_and_headers(self):
        def job(**more):
            return {"type": "sleep", "payload": self.MARK, **more}

        raw = {"Content-Type": "application/octet-stream"}
        other = self.names["other"]
        bad = [("type with a line break", job(type="sleep\r\nLk-Caller: root"), {}),
               ("type with a wildcard", job(type="*"), {}),
               ("key with a line break", job(idempotency_key="a\r\nNats-Rollup: all"), {}),
               ("deadline with a line break", job(deadline="2099-01-01T00:00:00Z\r\nX: y"), {}),
               ("a field of ours", job(caller="root"), {}),
               ("type in a header, wildcard", b"x", {**raw, "Lk-Type": "a>b"}),
               ("a header of ours that is not theirs to set", b"x", {**raw, "Lk-Caller": "root"}),
               ("job id of another job", b"x", {**raw, "Lk-Job-Id": self.job}),
               ("timeout that is none", b"x", {**raw, "Lk-Timeout": "1h; DROP"})]
        rows = [(what, "studio", "POST", self.jobs, body, headers, 400, "invalid-request") for what, body, headers in bad]
        rows += [(f"lane {lane!r}", "studio", "POST", self.jobs, job(lane=lane), {}, status, problem)
                 for lane, status, problem in (
                     ("*", 400, "invalid-request"), (">", 400, "invalid-request"),
                     ("short.>", 400, "invalid-request"), ("../short", 400, "invalid-request"),
                     (f"short.{other}", 400, "invalid-request"), ("SHORT", 400, "invalid-request"),
                     ("none", 404, "lane-not-found"))]
        rows += [(f"path {path}", "studio", "GET", path, None, {}, status, problem) for path, status, problem in (
            ("/v1/pools/*/media/jobs", 400, "invalid-request"), ("/v1/pools/%3E/media/jobs", 400, "invalid-request"),
            (f"/v1/pools/{self.names['studio']}%2e{other}/media/jobs", 400, "invalid-request"),
            ("/v1/pools/%2e%2e/media/jobs", 400, "invalid-request"),
            (f"/v1/pools/{self.names['studio']}/../{other}/media/jobs", 404, "no-such-path"),
            ("/v1/jobs/a%0d%0aX-Evil:1", 400, "invalid-request"),
            (f"/v1/jobs/LK_{self.names['studio']}_media_*.1", 404, "job-not-found"),
            (f"/v1/pools/{self.names['studio']}/media/jobs/..%2F..%2F{other}", 404, "job-not-found"))]
        self.refuse(rows)

    def send(self, data):
        """What the gateway answers to bytes, until it closes; reset counts as the end."""
        with socket.create_connection((self.gateway.host, self.gateway.port), timeout=20) as connection:
            answer = b""
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    answer += part
            except OSError:
                pass
        return answer

    def test_requests_that_are_too_large_or_no_http(self):
        stored = self.stored()
        head = (f"POST {self.jobs} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {self.tokens['studio']}\r\n"
                "Content-Type: application/json\r\n").encode()
        rows = (("a header of 1 MiB", "header_too_large", b"431", head + b"X-Big: " + b"a" * 1048576 + b"\r\n\r\n"),
                ("a body of 1 GiB", "body_too_large", b"413", head + b"Content-Length: 1073741824\r\n\r\n"),
                ("two lengths", "malformed", b"400", head + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}"),
                ("a length and chunks", "malformed", b"400",
                 head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST / HTTP/1.1\r\n\r\n"),
                ("a line feed in a header's name", "malformed", b"400", head + b"X-A\nLk-Caller: root\r\n\r\n"),
                ("NATS instead of HTTP", "malformed", b"400", b"PUB lk.jobs.a.b.c 2\r\nX: y\r\n\r\n"))
        for what, counter, status, data in rows:
            with self.subTest(what):
                name = f"lanekeeper_gateway_{counter}_total"
                before = self.counted(GATEWAY, name)
                answer = self.send(data)
                if answer:  # Nobody may have been there to read it: the bytes sent in vain reset the connection.
                    self.assertEqual(answer.split(b" ")[1], status, answer[:200])
                self.counts(name, "", before, 1)
        self.assertEqual(self.stored(), stored, "something was stored")

    def test_payload_is_bytes_and_nothing_else(self):
        payload = "\r\nPUB lk.jobs.a.b.c 2\r\n{}\r\nMSG > * ../../ \u0000"
        studio = self.names["studio"]
        apply(pool(studio, "quiet", [{"name": "short"}], paused=True))  # Nobody takes it out again.

        def accepted():
            return self.ask("studio", "POST", f"/v1/pools/{studio}/quiet/jobs",
                            {"type": "sleep", "payload": payload})[0] == 202

        wait_for("the job is taken", accepted)
        subject = f"lk.jobs.{studio}.quiet.short"
        message = json.loads(nats("stream", "get", f"LK_{studio}_quiet_short", "1", "--json"))
        self.assertEqual(message["subject"], subject)
        self.assertEqual(json.loads(base64.b64decode(message["data"])), payload)
        info = json.loads(nats("stream", "info", f"LK_{studio}_quiet_short", "--json"))
        self.assertEqual(info["state"]["messages"], 1)


if __name__ == "__main__":
    started = time.monotonic()
    program = unittest.main(verbosity=2, exit=False)
    print(f"took {time.monotonic() - started:.0f} s")
    raise SystemExit(0 if program.result.wasSuccessful() else 1)
