#!/usr/bin/env python3
"""One process per slot that stays, for handlers with an expensive start. Standard library only.

    lanekeeper-worker --serve-start 2m --serve-exec ./model.py

The "model" takes MODEL_LOAD_SECONDS to load, then says in words how long each text is.
"""
import json
import os
import queue
import sys
import threading
import time


def say(**line):
    """To the worker: a JSON object a line. Nothing else may be printed; use standard error."""
    print(json.dumps(line), flush=True)


class Worker(threading.Thread):
    """Reads what the worker says while a job runs: the next job, or that the present one is to end."""

    def __init__(self):
        super().__init__(daemon=True)
        self.jobs = queue.Queue()
        self.stop = threading.Event()

    def run(self):
        for line in sys.stdin:
            message = json.loads(line)
            if "job" in message:
                self.stop.clear()
                self.jobs.put(message["job"])
            elif "stop" in message:
                self.stop.set()
        os._exit(0)  # The worker has gone.


def load_model():
    time.sleep(float(os.environ.get("MODEL_LOAD_SECONDS", "0")))
    return {"a": "short", "b": "long"}


def infer(model, job, stop):
    words = job["payload"].split()
    for done in range(len(words)):
        if stop.is_set():
            return say(outcome="interrupted")
        time.sleep(float(job["headers"].get("X-Word-Seconds", "0")))
        say(progress=(done + 1) / len(words))
    say(outcome="done", result=model["a" if len(words) < 10 else "b"])


def main():
    model = load_model()
    worker = Worker()
    worker.start()
    say(ready=True)
    while True:
        job = worker.jobs.get()
        if "payload" not in job:  # Bytes that are no text come as "payload_base64".
            say(outcome="rejected", why="the payload is not UTF-8", error_class="Payload")
            continue
        try:
            infer(model, job, worker.stop)
        except Exception as error:  # One bad job does not cost the model.
            say(outcome="failed", why=str(error), error_class=type(error).__name__)


if __name__ == "__main__":
    main()
