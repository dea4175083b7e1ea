#!/usr/bin/env python3
"""One process per job, with progress, checkpoint and result. Standard library only.

    lanekeeper-worker --exec ./pages.py

Counts the words of its payload page by page; a page ends with a form feed. A run that was
interrupted, or that died, is taken up again behind the last page that was stored.
"""
import json
import os
import signal
import sys
import time

DONE, TRY_AGAIN, REJECTED = 0, 75, 65


class Worker:
    """What can be said to the worker on descriptor 3, a JSON object a line."""

    def __init__(self):
        self.stream = open(int(os.environ["LK_JOB_FD"]), "r+b", buffering=0)

    def say(self, **line):
        self.stream.write(json.dumps(line).encode() + b"\n")

    def checkpoint(self, state):
        """Returns when the state is stored: the next run of the job gets it."""
        self.say(checkpoint=json.dumps(state))
        answer = json.loads(self.stream.readline())
        if not answer["stored"]:
            print("not stored:", answer["error"])


def last_checkpoint():
    path = os.environ.get("LK_JOB_CHECKPOINT")
    if path is None:
        return {"page": 0, "words": 0}
    with open(path) as file:
        return json.load(file)


def main():
    # Told to stop: the lane's timeout is over, or the worker has to go. SIGKILL follows in 5 s.
    # What is stored is enough to go on elsewhere, so there is nothing left to do.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TRY_AGAIN))
    try:
        pages = sys.stdin.buffer.read().decode("utf-8").split("\f")
    except UnicodeDecodeError as error:
        print("not UTF-8:", error)
        return REJECTED  # It will not get better: straight to the dead letters.
    worker = Worker()
    state = last_checkpoint()
    for page in range(state["page"], len(pages)):
        time.sleep(float(os.environ.get("LK_HEADER_X_PAGE_SECONDS", "0")))
        state = {"page": page + 1, "words": state["words"] + len(pages[page].split())}
        worker.say(progress=(page + 1) / len(pages), note=f"page {page + 1}")
        worker.checkpoint(state)
    worker.say(result=str(state["words"]))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
