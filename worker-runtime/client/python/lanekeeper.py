"""Hands jobs to a Lanekeeper gateway, and follows them. One file, standard library, Python 3.9+.

    import lanekeeper

    client = lanekeeper.Client("http://gateway:8080")
    job = client.submit("studio", "media", lanekeeper.NewJob(type="thumbnail", payload={"n": 1}))
    end = client.wait(job.id, deadline=60)
    print(end.state, end.result)

Calls wait: until there is an answer, it was tried often enough, or the deadline is over. What may
pass (no connection, a lost answer, a gateway that restarts, a lane that is full for a moment) is
tried again by itself; a job is handed in under an idempotency key, so that it is one job however
often the request was sent. A client may be shared by threads. What fails raises LanekeeperError.
"""
from __future__ import annotations

import base64
import dataclasses
import datetime
import http.client
import json
import math
import random
import secrets
import ssl
import string
import threading
import time
import urllib.parse
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

__all__ = ["Client", "JobStatus", "LanekeeperError", "NewJob", "NotEnded", "SubmittedJob"]

_BULK_LINES_MAX = 500
_BULK_BYTES_MAX = 4 * 1024 * 1024
_PREFER_WAIT_MAX = 20  # Seconds a gateway is asked to hold an answer back.
_HELD_ANSWER_SLACK = 10.0
_SILENCE_MAX = 45.0  # A gateway sends heartbeats: a stream that says nothing for so long is dead.
_ANSWER_BYTES_MAX = 16 * 1024 * 1024
_EVENT_BYTES_MAX = 4 * 1024 * 1024
_IDLE_CONNECTIONS_MAX = 8
_BACKOFF_INITIAL = 0.1
_BACKOFF_MAX = 5.0


class LanekeeperError(Exception):
    """What was asked for was not done.

    problem: the last part of the problem's type, e.g. "lane-full", which is stable; "" when no
      gateway answered, or not with a problem.
    status: of the answer; 0: there was none.
    retry_after: seconds, as the last answer said; None: it did not.
    retryable: another try may end otherwise.
    """

    def __init__(self, message: str, problem: str = "", status: int = 0,
                 retry_after: Optional[float] = None, retryable: bool = True) -> None:
        super().__init__(message)
        self.problem = problem
        self.status = status
        self.retry_after = retry_after
        self.retryable = retryable


class NotEnded(LanekeeperError):
    """The job has not ended in the time that wait or watch was given."""


@dataclasses.dataclass
class NewJob:
    """A job to hand in.

    payload: bytes, or a string, which travels as UTF-8; anything else as JSON.
    lane: "": the pool's routes decide.
    deadline: a job that has not started by then becomes a dead letter; with a time zone.
    timeout: seconds it may run, when that is less than the lane's timeout.
    headers: for the handler.
    idempotency_key: two submits with one key are one job. "": the client makes one, which makes its
      own retries safe; with retries=0 none is sent.
    traceparent: W3C Trace Context; not sent by submit_many.
    """

    type: str = ""
    payload: Any = b""
    lane: str = ""
    deadline: Optional[datetime.datetime] = None
    timeout: Optional[float] = None
    headers: Dict[str, str] = dataclasses.field(default_factory=dict)
    idempotency_key: str = ""
    traceparent: str = ""


@dataclasses.dataclass
class SubmittedJob:
    """A job that is stored. position: jobs before it, eta: seconds until it starts, both about."""

    id: str
    lane: str
    position: Optional[int] = None
    eta: Optional[float] = None


@dataclasses.dataclass
class JobStatus:
    """A job as it is. `fields` has all that the gateway said."""

    id: str
    namespace: str
    pool: str
    lane: str
    type: str
    state: str  # waiting, running, parked, done, dead, moved, cancelled
    revision: int  # Grows with every change; 0: nothing has happened yet.
    attempts: int
    crashes: int
    progress: float  # 0..1
    progress_note: str
    result: Any  # JSON as it is, other text as str, other bytes as bytes; None: none.
    error: str
    error_class: str
    dead_reason: str
    fields: Dict[str, Any]

    @property
    def ended(self) -> bool:
        return self.state in ("done", "dead", "cancelled")


class Client:
    """A gateway.

    url: http://host:port or https://host:port; a path in it stands before /v1.
    token, token_file: one of them; a file is read again for every try, as tokens are renewed.
    ca_file: PEM, trusted beside the system's certificates.
    timeout: seconds of a call, all its tries together. try_timeout: of one try.
    retries: tries after the first.
    """

    def __init__(self, url: str, *, token: str = "", token_file: str = "", ca_file: str = "",
                 timeout: float = 30.0, try_timeout: float = 10.0, retries: int = 8) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url {url!r}: must be http://host:port or https://host:port")
        if token and token_file:
            raise ValueError("token and token_file: give one of them")
        if timeout <= 0 or try_timeout <= 0 or retries < 0:
            raise ValueError("timeout and try_timeout must be above 0, retries at least 0")
        self._url = url
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._tls: Optional[ssl.SSLContext] = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context()
            if ca_file:
                self._tls.load_verify_locations(ca_file)
        self._token, self._token_file = token, token_file
        self._timeout, self._try_timeout, self._retries = timeout, try_timeout, retries
        self._lock = threading.Lock()
        self._idle: List[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Closes the connections that are kept. The client can be used again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, namespace: str, pool: str, job: NewJob) -> SubmittedJob:
        """Hands in a job. When it returns, the job is stored."""
        headers = {"Content-Type": "application/json"}
        key = self._key_of(job)
        if key:
            escaped = key.replace("\\", "\\\\").replace('"', '\\"')
            headers["Idempotency-Key"] = f'"{escaped}"'
        if job.traceparent:
            headers["traceparent"] = job.traceparent
        body = json.dumps(_job_body(job, "")).encode()
        answer = self._call("POST", _jobs_path(namespace, pool), headers, body,
                            f"submitting to {namespace}/{pool}")
        return _submitted(answer)

    def submit_many(self, namespace: str, pool: str,
                    jobs: Sequence[NewJob]) -> List[Union[SubmittedJob, LanekeeperError]]:
        """As submit for each of them, in few requests: one result a job, in their order.

        Only those that failed are tried again. Does not raise for a job that was refused: its
        result is the error.
        """
        lines = [json.dumps(_job_body(job, self._key_of(job))).encode() for job in jobs]
        results: List[Union[SubmittedJob, LanekeeperError]] = [
            LanekeeperError("not sent") for _ in jobs]
        open_jobs = list(range(len(lines)))
        deadline = time.monotonic() + self._timeout
        tries = 0
        while open_jobs:
            tries += 1
            for part in _parts(open_jobs, lines):
                self._send_lines(namespace, pool, part, lines, deadline, results)
            again: List[int] = []
            pause = 0.0
            for job_index in open_jobs:
                result = results[job_index]
                wait = (self._pause(result, tries, deadline)
                        if isinstance(result, LanekeeperError) else None)
                if wait is not None:
                    again.append(job_index)
                    pause = max(pause, wait)
            open_jobs = again
            if open_jobs:
                time.sleep(pause)
        return results

    def get(self, job_id: str) -> JobStatus:
        """The job as it is now.

        problem "job-not-found" also for a job that is done, where the lane keeps no records of
        those.
        """
        return _status(self._call("GET", _job_path(job_id), {}, None, f"reading job {job_id}"))

    def wait(self, job_id: str, deadline: float) -> JobStatus:
        """The job when it has ended; NotEnded after `deadline` seconds."""
        end = time.monotonic() + deadline
        seen = ""
        while True:
            left = max(0.0, end - time.monotonic())
            hold = min(math.ceil(left), _PREFER_WAIT_MAX)
            try:
                job = _status(self._call("GET", _job_path(job_id), {"Prefer": f"wait={hold}"}, None,
                                         f"waiting for job {job_id}", end,
                                         hold + _HELD_ANSWER_SLACK))
                if job.ended:
                    return job
                seen = f"it is {job.state}"
            except LanekeeperError as error:
                if not error.retryable:
                    raise
                seen = seen or str(error)
            left = end - time.monotonic()
            if left <= 0:
                raise NotEnded(f"waiting for job {job_id}: {seen}", "not-ended")
            time.sleep(min(left, _BACKOFF_INITIAL))

    def watch(self, job_id: str, deadline: float) -> Iterator[JobStatus]:
        """Yields the job as it is and as it changes, until it has ended.

        Versions in between may be left out, the last one never. Connects again where it left off;
        raises NotEnded after `deadline` seconds.
        """
        end = time.monotonic() + deadline
        last_event_id = ""
        last: Optional[JobStatus] = None
        failures = 0
        while True:
            over = False
            retry_after = 0.0
            why = "the deadline is over"
            try:
                for event_id, event_type, data in self._events(job_id, last_event_id, end):
                    failures = 0
                    last_event_id = event_id
                    if event_type == "end":
                        over = True
                        break
                    if event_type in ("job", "message"):
                        last = _status(json.loads(data))
                        yield last
                        if last.ended:
                            return
            except LanekeeperError as error:
                if not error.retryable:
                    raise
                retry_after, why = error.retry_after or 0.0, str(error)
            if over:
                if last is None or not last.ended:
                    yield self.get(job_id)  # It had ended before the event this began after.
                return
            failures += 1
            pause = _backoff(failures) + retry_after
            if time.monotonic() + pause >= end:
                raise NotEnded(f"waiting for job {job_id}: {why}", "not-ended")
            time.sleep(pause)

    def cancel(self, job_id: str) -> JobStatus:
        """A job that waits never runs; a running one is told to stop.

        problem "job-finished": it has ended otherwise.
        """
        tries: List[int] = []
        try:
            return _status(self._call("DELETE", _job_path(job_id), {}, None,
                                      f"cancelling job {job_id}", tries=tries))
        except LanekeeperError as error:
            # The try whose answer was lost may have done it.
            if error.problem == "job-finished" and len(tries) > 1:
                job = self.get(job_id)
                if job.state == "cancelled":
                    return job
            raise

    def _key_of(self, job: NewJob) -> str:
        if job.idempotency_key or self._retries == 0:
            return job.idempotency_key
        letters = string.ascii_lowercase + string.digits
        return "".join(secrets.choice(letters) for _ in range(26))

    def _pause(self, error: LanekeeperError, tries: int, end: float) -> Optional[float]:
        """Seconds until the next try; None: there is none."""
        if not error.retryable or tries > self._retries:
            return None
        pause = _backoff(tries) + (error.retry_after or 0.0)
        return pause if time.monotonic() + pause < end else None

    def _call(self, method: str, path: str, headers: Dict[str, str], body: Optional[bytes],
              what: str, end: Optional[float] = None, try_timeout: Optional[float] = None,
              tries: Optional[List[int]] = None) -> Any:
        """The JSON of a success; tried again while that may help."""
        end = time.monotonic() + self._timeout if end is None else end
        tries = [] if tries is None else tries
        while True:
            tries.append(1)
            try:
                try_end = min(end, time.monotonic() + (try_timeout or self._try_timeout))
                status, retry_after, answer = self._send(method, path, headers, body, try_end)
                if 200 <= status < 300:
                    return _parse(answer)
                raise _problem(status, retry_after, answer)
            except LanekeeperError as error:
                pause = self._pause(error, len(tries), end)
                if pause is None:
                    error.args = (f"{what}: {error}",)
                    raise
            time.sleep(pause)

    def _send_lines(self, namespace: str, pool: str, part: List[int], lines: List[bytes],
                    deadline: float,
                    results: List[Union[SubmittedJob, LanekeeperError]]) -> None:
        body = b"".join(lines[job_index] + b"\n" for job_index in part)
        try:
            status, retry_after, answer = self._send(
                "POST", _jobs_path(namespace, pool), {"Content-Type": "application/x-ndjson"}, body,
                min(deadline, time.monotonic() + self._try_timeout))
            if status != 200:
                raise _problem(status, retry_after, answer)
        except LanekeeperError as error:
            for job_index in part:
                results[job_index] = error
            return
        for job_index in part:
            results[job_index] = LanekeeperError("the answer says nothing about it")
        for text in answer.splitlines():
            try:
                line = json.loads(text)
                number = line["line"]
            except (ValueError, KeyError, TypeError):
                continue
            if not isinstance(number, int) or not 1 <= number <= len(part):
                continue
            job = line.get("job")
            if isinstance(job, dict):
                results[part[number - 1]] = _submitted(job)
            else:
                results[part[number - 1]] = _problem(
                    line.get("status", 0), None, json.dumps(line.get("problem")).encode())

    def _headers(self, headers: Dict[str, str]) -> Dict[str, str]:
        token = self._token
        if self._token_file:
            try:
                with open(self._token_file, encoding="utf-8") as file:
                    token = file.read().strip()
            except (OSError, ValueError) as error:
                raise LanekeeperError(f"token_file: {error}", retryable=False) from None
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        return {"User-Agent": "lanekeeper-client-python", **authorization, **headers}

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout,
                                               context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _send(self, method: str, path: str, headers: Dict[str, str], body: Optional[bytes],
              end: float) -> Tuple[int, Optional[float], bytes]:
        """One try: status, Retry-After and body."""
        all_headers = self._headers(headers)
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        reused = connection is not None
        while True:
            if connection is None:
                connection = self._connect(_left(end))
            try:
                if connection.sock is not None:
                    connection.sock.settimeout(_left(end))
                connection.request(method, self._path + path, body, all_headers)
                response = connection.getresponse()
                answer = _read_whole(connection, response, end)
                break
            except (ConnectionError, http.client.BadStatusLine) as error:
                connection.close()
                connection = None
                if reused:  # The gateway has closed it meanwhile: nothing is known to be wrong.
                    reused = False
                    continue
                raise LanekeeperError(f"talking to {self._url}: {error!r}") from None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                trusted = not isinstance(error, ssl.SSLCertVerificationError)
                raise LanekeeperError(f"talking to {self._url}: {error!r}",
                                      retryable=trusted) from None
            except LanekeeperError:
                connection.close()
                raise
        self._keep(connection, response)
        return response.status, _retry_after(response), answer

    def _keep(self, connection: http.client.HTTPConnection,
              response: http.client.HTTPResponse) -> None:
        with self._lock:
            if not response.will_close and len(self._idle) < _IDLE_CONNECTIONS_MAX:
                self._idle.append(connection)
                return
        connection.close()

    def _events(self, job_id: str, last_event_id: str,
                end: float) -> Iterator[Tuple[str, str, str]]:
        """The events of one connection: id, type, data. Ends when it breaks or falls silent."""
        headers = self._headers({"Accept": "text/event-stream"})
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        connection = self._connect(min(_left(end), _SILENCE_MAX))
        try:
            connection.request("GET", self._path + _job_path(job_id) + "/events", None, headers)
            response = connection.getresponse()
            if response.status != 200:
                raise _problem(response.status, _retry_after(response),
                               _read_whole(connection, response, end))
            reader = _EventReader(last_event_id)
            while time.monotonic() < end:
                connection_sock = connection.sock
                if connection_sock is not None:
                    connection_sock.settimeout(min(_left(end), _SILENCE_MAX))
                piece = response.read1(16384)
                if not piece:
                    return
                yield from reader.add(piece)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise LanekeeperError(f"talking to {self._url}: {error!r}",
                                      retryable=False) from None
            raise LanekeeperError(f"talking to {self._url}: {error!r}") from None
        finally:
            connection.close()


class _EventReader:
    """Server-sent events out of bytes, in any pieces."""

    def __init__(self, last_event_id: str) -> None:
        self._rest = b""
        self._id = last_event_id
        self._type = ""
        self._data: List[str] = []

    def add(self, piece: bytes) -> Iterator[Tuple[str, str, str]]:
        self._rest += piece
        if len(self._rest) > _EVENT_BYTES_MAX:
            raise LanekeeperError("an event is too large", retryable=False)
        # Gateways end lines with LF; a proxy in between may not change them.
        *lines, self._rest = self._rest.split(b"\n")
        for raw in lines:
            line = raw.rstrip(b"\r").decode("utf-8", "replace")
            if not line:
                if self._data:
                    yield self._id, self._type or "message", "\n".join(self._data)
                self._type, self._data = "", []
                continue
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "data":
                self._data.append(value)
            elif field == "event":
                self._type = value
            elif field == "id":
                self._id = value


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise LanekeeperError("no answer in time")
    return left


def _backoff(failures: int) -> float:
    pause = min(_BACKOFF_INITIAL * 2 ** min(failures - 1, 10), _BACKOFF_MAX)
    return pause * random.uniform(0.75, 1.0)


def _read_whole(connection: http.client.HTTPConnection, response: http.client.HTTPResponse,
                end: float) -> bytes:
    pieces: List[bytes] = []
    size = 0
    while True:
        sock = connection.sock
        if sock is not None:
            sock.settimeout(_left(end))
        piece = response.read(65536)
        if not piece:
            # It ends quietly where a connection broke in the middle of the body.
            if response.length:
                raise ConnectionResetError("the answer ended too early")
            return b"".join(pieces)
        size += len(piece)
        if size > _ANSWER_BYTES_MAX:
            raise LanekeeperError(f"the answer is larger than {_ANSWER_BYTES_MAX} bytes",
                                  retryable=False)
        pieces.append(piece)


def _retry_after(response: http.client.HTTPResponse) -> Optional[float]:
    text = response.getheader("Retry-After", "")
    return float(text) if text.isdigit() else None


def _problem(status: int, retry_after: Optional[float], body: bytes) -> LanekeeperError:
    retryable = status in (0, 408, 425, 429) or (status >= 500 and status not in (501, 505))
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        text = body[:300].decode("utf-8", "replace").replace("\n", " ")
        return LanekeeperError(f"{status}: {text}", "", status, retry_after, retryable)
    name = str(problem.get("type", "")).rsplit("/", 1)[-1]
    if retry_after is None and isinstance(problem.get("retry_after_seconds"), (int, float)):
        retry_after = float(problem["retry_after_seconds"])
    detail = problem.get("detail") or problem.get("title") or ""
    return LanekeeperError(f"{status} {name}: {detail}", name, status, retry_after, retryable)


def _parse(answer: bytes) -> Any:
    try:
        return json.loads(answer)
    except ValueError:
        text = answer[:300].decode("utf-8", "replace")
        raise LanekeeperError(f"the answer is no JSON: {text}", retryable=False) from None


def _segment(text: str) -> str:
    return urllib.parse.quote(text, safe="-._~")


def _jobs_path(namespace: str, pool: str) -> str:
    return f"/v1/pools/{_segment(namespace)}/{_segment(pool)}/jobs"


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{_segment(job_id)}"


def _parts(open_jobs: List[int], lines: List[bytes]) -> Iterator[List[int]]:
    part: List[int] = []
    size = 0
    for job_index in open_jobs:
        size += len(lines[job_index]) + 1
        if part and (len(part) == _BULK_LINES_MAX or size > _BULK_BYTES_MAX):
            yield part
            part, size = [], len(lines[job_index]) + 1
        part.append(job_index)
    if part:
        yield part


def _job_body(job: NewJob, key: str) -> Dict[str, Any]:
    body: Dict[str, Any] = {}
    if job.type:
        body["type"] = job.type
    if job.lane:
        body["lane"] = job.lane
    payload = job.payload.encode() if isinstance(job.payload, str) else job.payload
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        body["payload"] = payload
    elif payload:
        body["payload_base64"] = base64.b64encode(payload).decode()
    if job.deadline is not None:
        if job.deadline.tzinfo is None:
            raise ValueError("deadline: must have a time zone")
        body["deadline"] = job.deadline.isoformat()
    if job.timeout is not None:
        body["timeout"] = f"{max(1, round(job.timeout * 1000))}ms"
    if job.headers:
        body["headers"] = job.headers
    if key:
        body["idempotency_key"] = key
    return body


def _submitted(job: Any) -> SubmittedJob:
    if not isinstance(job, dict) or not job.get("id"):
        raise LanekeeperError(f"the answer is no accepted job: {str(job)[:300]}", retryable=False)
    return SubmittedJob(job["id"], job.get("lane", ""), job.get("position"), job.get("eta_seconds"))


def _status(job: Any) -> JobStatus:
    if not isinstance(job, dict) or not job.get("id") or not job.get("state"):
        raise LanekeeperError(f"the answer is no job: {str(job)[:300]}", retryable=False)
    progress, error, dead = (job.get(name) or {} for name in ("progress", "error", "dead"))
    result = job.get("result")
    if "result_base64" in job:
        result = base64.b64decode(job["result_base64"])
    return JobStatus(
        id=job["id"], namespace=job.get("namespace", ""), pool=job.get("pool", ""),
        lane=job.get("lane", ""), type=job.get("type", ""), state=job["state"],
        revision=job.get("revision", 0), attempts=job.get("attempts", 0),
        crashes=job.get("crashes", 0), progress=progress.get("fraction", 0.0),
        progress_note=progress.get("note", ""), result=result, error=error.get("message", ""),
        error_class=error.get("class", ""), dead_reason=dead.get("reason", ""), fields=job)
