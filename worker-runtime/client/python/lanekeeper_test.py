#!/usr/bin/env python3
"""Tests of lanekeeper.py.

    lanekeeper_test.py ClientTest     against a gateway of its own that says what a test wants
    lanekeeper_test.py GatewayTest    against the gateway at $LANEKEEPER_TEST_GATEWAY, whose pool
                                      chaos/pool has the lane "lane" and a worker with the example
                                      handlers; client_nats_test starts all that
"""
import base64
import datetime
import http.server
import json
import os
import socket
import tempfile
import threading
import unittest

import lanekeeper

ACCEPTED = (202, {"id": "LK_a_b_c.1.x", "namespace": "studio", "pool": "media", "lane": "short",
                  "position": 3, "eta_seconds": 2})


def problem(status, name, **headers):
    return (status, {"type": "https://lanekeeper.dev/problems/" + name, "title": "T",
                     "status": status, "detail": "as the test wants it"}, headers)


def job(state, revision=1, **more):
    return {"id": "j", "namespace": "studio", "pool": "media", "lane": "short", "state": state,
            "revision": revision, **more}


def event(state, revision):
    return f"event: job\nid: {revision}\ndata: {json.dumps(job(state, revision))}\n\n"


class FakeGateway:
    """`answer(request)` says what is sent: (status, JSON, headers…), text of a stream, or None for
    a connection that breaks."""

    def __init__(self, answer):
        fake = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = {"method": self.command, "path": self.path, "body": body,
                           "headers": {k.lower(): v for k, v in self.headers.items()}}
                fake.requests.append(request)
                said = answer(request)
                if said is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                elif isinstance(said, str):
                    self.close_connection = True
                    self.send_response(200)
                    self.send_header("Content-Type", "text/event-stream")
                    self.end_headers()
                    self.wfile.write(said.encode())
                else:
                    status, value, headers = (*said, {})[:3]
                    text = value if isinstance(value, bytes) else json.dumps(value).encode()
                    self.send_response(status)
                    for name, header in headers.items():
                        self.send_header(name.replace("_", "-"), header)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            do_GET = do_POST = do_DELETE = do_any

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class ClientTest(unittest.TestCase):
    def gateway(self, answer):
        gateway = FakeGateway(answer)
        self.addCleanup(gateway.close)
        return gateway

    def client(self, gateway, **options):
        client = lanekeeper.Client(gateway.url, **options)
        self.addCleanup(client.close)
        return client

    def script(self, *answers):
        """Each request gets the next answer; the last one stays."""
        left = list(answers)
        return self.gateway(lambda _: left.pop(0) if len(left) > 1 else left[0])

    def test_a_submit_says_where_the_job_is(self):
        gateway = self.script(ACCEPTED)
        deadline = datetime.datetime(2026, 11, 26, 3, 0, tzinfo=datetime.timezone.utc)
        submitted = self.client(gateway).submit(
            "studio", "media", lanekeeper.NewJob(type="t", payload=b"\0\xff", timeout=1.5,
                                                 deadline=deadline, headers={"tenant": "acme"}))
        self.assertEqual(submitted, lanekeeper.SubmittedJob("LK_a_b_c.1.x", "short", 3, 2))
        sent = gateway.requests[0]
        self.assertEqual(sent["path"], "/v1/pools/studio/media/jobs")
        self.assertEqual(json.loads(sent["body"]),
                         {"type": "t", "payload_base64": "AP8=", "timeout": "1500ms",
                          "deadline": "2026-11-26T03:00:00+00:00", "headers": {"tenant": "acme"}})

    def test_payloads_are_bytes_text_or_json(self):
        gateway = self.script(ACCEPTED)
        client = self.client(gateway)
        for payload in (b"", "ä", {"a": [1]}):
            client.submit("a", "b", lanekeeper.NewJob(payload=payload))
        self.assertEqual([json.loads(sent["body"]) for sent in gateway.requests],
                         [{}, {"payload_base64": base64.b64encode("ä".encode()).decode()},
                          {"payload": {"a": [1]}}])

    def test_a_submit_whose_answer_was_lost_is_sent_again_under_the_same_key(self):
        gateway = self.script(None, None, ACCEPTED)
        self.client(gateway).submit("a", "b", lanekeeper.NewJob())
        keys = {sent["headers"]["idempotency-key"] for sent in gateway.requests}
        self.assertEqual(len(gateway.requests), 3)
        self.assertEqual(len(keys), 1)
        self.assertEqual(len(keys.pop()), 28)

    def test_the_callers_key_is_sent_as_a_structured_string(self):
        gateway = self.script(ACCEPTED)
        self.client(gateway).submit("a", "b", lanekeeper.NewJob(idempotency_key='a "b" \\c'))
        self.assertEqual(gateway.requests[0]["headers"]["idempotency-key"], '"a \\"b\\" \\\\c"')

    def test_without_retries_no_key_is_made(self):
        gateway = self.script(ACCEPTED)
        self.client(gateway, retries=0).submit("a", "b", lanekeeper.NewJob())
        self.assertNotIn("idempotency-key", gateway.requests[0]["headers"])

    def test_a_full_lane_is_tried_again_when_it_says_so(self):
        gateway = self.script(problem(429, "lane-full", Retry_After="1"), ACCEPTED)
        self.client(gateway).submit("a", "b", lanekeeper.NewJob())
        self.assertEqual(len(gateway.requests), 2)

    def test_a_retry_after_beyond_the_deadline_is_the_callers_to_obey(self):
        gateway = self.script(problem(429, "lane-full", Retry_After="300"))
        with self.assertRaises(lanekeeper.LanekeeperError) as raised:
            self.client(gateway).submit("a", "b", lanekeeper.NewJob())
        error = raised.exception
        self.assertEqual((error.problem, error.status, error.retry_after, error.retryable),
                         ("lane-full", 429, 300, True))
        self.assertEqual(str(error), "submitting to a/b: 429 lane-full: as the test wants it")
        self.assertEqual(len(gateway.requests), 1)

    def test_a_wrong_request_is_sent_once(self):
        gateway = self.script(problem(422, "key-reused"))
        with self.assertRaises(lanekeeper.LanekeeperError) as raised:
            self.client(gateway).submit("a", "b", lanekeeper.NewJob())
        self.assertFalse(raised.exception.retryable)
        self.assertEqual(len(gateway.requests), 1)

    def test_a_gateway_that_is_away_is_retryable(self):
        gateway = FakeGateway(lambda _: None)
        gateway.close()
        with self.assertRaises(lanekeeper.LanekeeperError) as raised:
            lanekeeper.Client(gateway.url, retries=2).get("j")
        self.assertTrue(raised.exception.retryable)
        self.assertEqual(raised.exception.status, 0)

    def test_an_answer_that_is_no_gateways_is_an_error(self):
        gateway = self.script((200, b"<html>sign in</html>"))
        with self.assertRaisesRegex(lanekeeper.LanekeeperError, "sign in"):
            self.client(gateway).get("j")

    def test_a_token_file_is_read_again_for_every_try(self):
        with tempfile.NamedTemporaryFile("w", suffix=".token") as file:
            file.write("first\n")
            file.flush()

            def answer(_):
                with open(file.name, "w", encoding="utf-8") as again:
                    again.write("second")
                return None if len(gateway.requests) < 2 else ACCEPTED

            gateway = self.gateway(answer)
            self.client(gateway, token_file=file.name).submit("a", "b", lanekeeper.NewJob())
        self.assertEqual([sent["headers"]["authorization"] for sent in gateway.requests],
                         ["Bearer first", "Bearer second"])

    def test_of_many_only_the_lines_that_may_pass_are_sent_again(self):
        def answer(_):
            lines = [{"line": 1, "status": 202,
                      "job": {"id": f"id-{len(gateway.requests)}", "lane": "short"}}]
            if len(gateway.requests) == 1:
                lines += [{"line": 2, "status": 503, "problem": problem(503, "away")[1]},
                          {"line": 3, "status": 400, "problem": problem(400, "wrong")[1]}]
            return 200, "\n".join(json.dumps(line) for line in lines).encode()

        gateway = self.gateway(answer)
        results = self.client(gateway).submit_many(
            "a", "b", [lanekeeper.NewJob(), lanekeeper.NewJob(),
                       lanekeeper.NewJob(idempotency_key="mine")])
        self.assertEqual(results[0].id, "id-1")
        self.assertEqual(results[1].id, "id-2")
        self.assertEqual(results[2].problem, "wrong")
        first, second = (sent["body"].splitlines() for sent in gateway.requests)
        self.assertEqual(second, [first[1]])
        self.assertEqual(json.loads(first[2])["idempotency_key"], "mine")

    def test_a_wait_ends_with_the_job(self):
        gateway = self.script((200, job("running")), None, (200, job("done", 7)))
        ended = self.client(gateway).wait("j", 60)
        self.assertEqual((ended.state, ended.revision), ("done", 7))
        self.assertEqual(gateway.requests[0]["headers"]["prefer"], "wait=20")

    def test_a_wait_that_is_too_short_says_what_the_job_does(self):
        gateway = self.script((200, job("running")))
        client = self.client(gateway)
        said = ""
        for _ in range(200):  # In so short a time a slow machine may hear nothing at all.
            with self.assertRaises(lanekeeper.NotEnded) as raised:
                client.wait("j", 0.3)
            said = str(raised.exception)
            if "it is running" in said:
                return
        self.fail(said)

    def test_a_watch_goes_on_after_the_last_event_it_saw(self):
        gateway = self.script("retry: 2000\n\n" + event("running", 4) + ": heartbeat\n\n", None,
                              problem(503, "queue-unavailable"),
                              event("running", 5) + event("done", 6) + "event: end\ndata: {}\n\n")
        seen = list(self.client(gateway).watch("j", 60))
        self.assertEqual([(status.state, status.revision) for status in seen],
                         [("running", 4), ("running", 5), ("done", 6)])
        self.assertNotIn("last-event-id", gateway.requests[0]["headers"])
        self.assertEqual(gateway.requests[3]["headers"]["last-event-id"], "4")

    def test_a_watch_whose_job_ended_unseen_reads_it(self):
        gateway = self.gateway(lambda sent: "event: end\ndata: {}\n\n"
                               if sent["path"].endswith("/events") else (200, job("cancelled")))
        self.assertEqual([status.state for status in self.client(gateway).watch("j", 60)],
                         ["cancelled"])

    def test_a_watch_of_a_job_that_does_not_exist_ends_at_once(self):
        gateway = self.script(problem(404, "job-not-found"))
        with self.assertRaises(lanekeeper.LanekeeperError) as raised:
            list(self.client(gateway).watch("a b/c", 60))
        self.assertEqual(raised.exception.problem, "job-not-found")
        self.assertEqual(gateway.requests[0]["path"], "/v1/jobs/a%20b%2Fc/events")

    def test_a_cancel_whose_answer_was_lost_succeeds_all_the_same(self):
        answers = [None, problem(409, "job-finished"), (200, job("cancelled"))]
        gateway = self.gateway(lambda _: answers.pop(0))
        self.assertEqual(self.client(gateway).cancel("j").state, "cancelled")

    def test_a_cancel_of_a_job_that_is_done_is_refused(self):
        gateway = self.script(problem(409, "job-finished"))
        with self.assertRaises(lanekeeper.LanekeeperError) as raised:
            self.client(gateway).cancel("j")
        self.assertEqual(raised.exception.problem, "job-finished")

    def test_results_are_json_text_or_bytes(self):
        gateway = self.script((200, job("done", result={"a": 1})), (200, job("done", result="x")),
                              (200, job("done", result_base64="AP8=")), (200, job("done")))
        client = self.client(gateway)
        self.assertEqual([client.get("j").result for _ in range(4)],
                         [{"a": 1}, "x", b"\0\xff", None])

    def test_many_threads_share_one_client(self):
        gateway = self.script(ACCEPTED)
        client = self.client(gateway)
        accepted = []

        def submit():
            for _ in range(10):
                accepted.append(client.submit("a", "b", lanekeeper.NewJob()).id)

        threads = [threading.Thread(target=submit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(accepted), 80)

    def test_wrong_options_are_named(self):
        for options in ({"url": "gateway:8080"}, {"url": "http://g", "token": "a",
                                                  "token_file": "b"},
                        {"url": "http://g", "retries": -1}):
            with self.assertRaises(ValueError):
                lanekeeper.Client(**options)
        with self.assertRaises(ValueError):
            self.client(self.script(ACCEPTED)).submit(
                "a", "b", lanekeeper.NewJob(deadline=datetime.datetime(2026, 1, 1)))


@unittest.skipUnless("LANEKEEPER_TEST_GATEWAY" in os.environ, "needs a gateway")
class GatewayTest(unittest.TestCase):
    def setUp(self):
        self.client = lanekeeper.Client(os.environ["LANEKEEPER_TEST_GATEWAY"])
        self.addCleanup(self.client.close)

    def submit(self, **job):
        return self.client.submit("chaos", "pool", lanekeeper.NewJob(**job))

    def test_a_job_is_submitted_and_its_result_comes_back(self):
        submitted = self.submit(type="sleep", payload={"ms": 10})
        self.assertEqual(submitted.lane, "lane")
        ended = self.client.wait(submitted.id, 60)
        self.assertEqual((ended.id, ended.state, ended.result["run"]), (submitted.id, "done", 1))
        self.assertEqual(self.client.get(submitted.id).state, "done")

    def test_a_watch_sees_the_job_end(self):
        submitted = self.submit(type="steps", payload="8")
        seen = list(self.client.watch(submitted.id, 60))
        self.assertEqual(seen[-1].state, "done")
        revisions = [status.revision for status in seen]
        self.assertEqual(revisions, sorted(revisions))
        # Once more, after it has ended: the last state alone.
        self.assertEqual([status.state for status in self.client.watch(submitted.id, 60)], ["done"])

    def test_the_same_key_is_the_same_job_and_another_body_is_refused(self):
        key = os.urandom(8).hex()
        first = self.submit(type="sleep", payload="1", idempotency_key=key)
        self.assertEqual(self.submit(type="sleep", payload="1", idempotency_key=key).id, first.id)
        with self.assertRaises(lanekeeper.LanekeeperError) as raised:
            self.submit(type="sleep", payload="2", idempotency_key=key)
        self.assertEqual(raised.exception.problem, "key-reused")

    def test_many_are_submitted_and_wrong_lines_are_told_apart(self):
        jobs = [lanekeeper.NewJob(type="sleep", payload="1") for _ in range(700)]
        jobs[5] = lanekeeper.NewJob(lane="no-such-lane")
        results = self.client.submit_many("chaos", "pool", jobs)
        self.assertEqual(results[5].problem, "lane-not-found")
        ids = {result.id for result in results if isinstance(result, lanekeeper.SubmittedJob)}
        self.assertEqual(len(ids), 699)

    def test_a_running_job_is_cancelled(self):
        submitted = self.submit(type="sleep", payload="60000")
        for status in self.client.watch(submitted.id, 60):
            if status.state == "running":
                break
        self.assertEqual(self.client.cancel(submitted.id).state, "cancelled")
        self.assertEqual(self.client.wait(submitted.id, 60).state, "cancelled")

    def test_a_dead_letter_says_why(self):
        ended = self.client.wait(self.submit(type="poison").id, 60)
        self.assertEqual((ended.state, ended.dead_reason), ("dead", "rejected"))

    def test_what_does_not_exist_says_so(self):
        with self.assertRaises(lanekeeper.LanekeeperError) as raised:
            self.client.submit("chaos", "no-such-pool", lanekeeper.NewJob())
        self.assertEqual(raised.exception.problem, "pool-not-found")
        with self.assertRaises(lanekeeper.LanekeeperError) as raised:
            self.client.get("LK_chaos_pool_lane.999999.abcdefgh")
        self.assertEqual(raised.exception.problem, "job-not-found")


if __name__ == "__main__":
    unittest.main()
