#!/usr/bin/env python3
"""Names of Services for the pods of cluster.sh's cluster: <service>.<namespace>.svc.cluster.local is its cluster IP.

dns.py PKI ADDRESS SERVER: answers on ADDRESS, port 53, UDP; asks the API server SERVER as the administrator of the folder PKI.
Knows nothing else: any other name does not exist, at once. No names of pods, no headless Services, no other zone.
"""
import json
import socket
import ssl
import struct
import sys
import time
import urllib.request
from pathlib import Path

SUFFIX = ".svc.cluster.local"
A, AAAA, ANY, IN = 1, 28, 255, 1
NO_SUCH_NAME, FAILED, OK = 3, 2, 0
FRESH_SECONDS = 1  # A Service may be asked for as soon as it is made; nobody waits for a second.


class Services:
    """{name.namespace: address}, read again when it is older than FRESH_SECONDS."""

    def __init__(self, pki, server):
        self.context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self.context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self.url = f"{server}/api/v1/services"
        self.known, self.read_at = {}, float("-inf")

    def address(self, name):
        if time.monotonic() - self.read_at > FRESH_SECONDS:
            with urllib.request.urlopen(self.url, context=self.context, timeout=3) as answer:
                items = json.load(answer)["items"]
            self.known = {f"{one['metadata']['name']}.{one['metadata']['namespace']}": one["spec"]["clusterIP"]
                          for one in items if one["spec"].get("clusterIP", "None") != "None"}
            self.read_at = time.monotonic()
        return self.known.get(name)


def question(packet):
    """(name, type, where the question ends) of the first question."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii").lower())
        at += 1 + packet[at]
    kind, _ = struct.unpack("!HH", packet[at + 1:at + 5])
    return ".".join(labels), kind, at + 5


def answer_to(packet, services):
    name, kind, end = question(packet)
    code, answers = NO_SUCH_NAME, b""
    if name.endswith(SUFFIX):
        try:
            address = services.address(name[:-len(SUFFIX)])
        except OSError:
            code, address = FAILED, None
        if address:
            code = OK
            if kind in (A, ANY):
                answers = struct.pack("!HHHIH", 0xC00C, A, IN, 5, 4) + socket.inet_aton(address)
    asked = struct.unpack("!H", packet[2:4])[0]
    flags = 0x8480 | (asked & 0x0100) | code  # An answer, ours to give, recursion as asked and available.
    header = packet[:2] + struct.pack("!HHHHH", flags, 1, 1 if answers else 0, 0, 0)
    return header + packet[12:end] + answers


def main():
    pki, listen, server = sys.argv[1:]
    services = Services(Path(pki), server)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind((listen, 53))
        while True:
            packet, sender = port.recvfrom(4096)
            try:
                port.sendto(answer_to(packet, services), sender)
            except (IndexError, struct.error, UnicodeDecodeError, OSError) as error:
                print(f"{sender[0]}: {error}", flush=True)


if __name__ == "__main__":
    main()
