#!/usr/bin/env python3
"""A handler as an HTTP server beside the worker. Standard library only.

    ./sidecar.py & lanekeeper-worker --http-url http://127.0.0.1:8080/jobs

Answers each text with its SHA-256. At most SIDECAR_JOBS at once; more are sent away for a second.
"""
import hashlib
import http.server
import os
import signal
import sys
import threading

free = threading.Semaphore(int(os.environ.get("SIDECAR_JOBS", "4")))


class Jobs(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Keeps the worker's connection for the next job.

    def do_POST(self):
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/jobs":
            return self.answer(404, b"jobs go to /jobs\n")
        if not payload:
            return self.answer(422, b"nothing to hash\n")  # Rejected: straight to the dead letters.
        if not free.acquire(blocking=False):
            return self.answer(503, b"busy\n", {"Retry-After": "1"})  # Failed: tried again.
        try:
            self.answer(200, hashlib.sha256(payload).hexdigest().encode())  # Done; the result.
        finally:
            free.release()

    def answer(self, status, body, headers={}):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        print(self.headers.get("Lk-Job-Id"), words[1:], file=sys.stderr)


if __name__ == "__main__":
    # As process 1 of a container it would not hear SIGTERM otherwise. Kubernetes sends it when the
    # worker has ended, so there is no job left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = int(os.environ.get("SIDECAR_PORT", "8080"))
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Jobs).serve_forever()
