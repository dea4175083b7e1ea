#!/usr/bin/env python3
"""A job in Python, without any library: counts the words of its payload.

    lanekeeper-worker --exec ./word_count.py

The payload comes on standard input and what it is about in the environment. The exit code says what
became of the job; what is printed goes to the worker's log, and its end into the dead letter.
"""
import os
import signal
import sys

DONE, FAILED, REJECTED = 0, 1, 65


def main():
    # The timeout of the lane, or the end of the worker. Leave soon; SIGKILL follows in 5 seconds.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        print(f"not UTF-8: {error}")
        return REJECTED  # It will not get better: straight to the dead letters.
    if os.environ.get("LK_HEADER_X_FAIL_UNTIL", "0") > os.environ["LK_JOB_DELIVERY"]:
        print(f"delivery {os.environ['LK_JOB_DELIVERY']} of {os.environ['LK_JOB_ATTEMPTS']} fails")
        return FAILED  # Tried again after the lane's backoff.
    print(f"{os.environ['LK_JOB_ID']} has {len(text.split())} words")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
