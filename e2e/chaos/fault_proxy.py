#!/usr/bin/env python3
"""Stands in front of an API server and does to its clients what a network or an overloaded server does.

    fault_proxy.py --listen 127.0.0.1:7000 --upstream 127.0.0.1:6443 --faults FILE

Clients speak plain HTTP to it, it speaks TLS to the server (whose certificate it does not check: both are on this
machine), one connection a request. What it does wrong is the JSON object in FILE, read again when it changes:

    down          true: connections are refused and those there are cut
    half_open     true: nothing goes through, and nobody is told; at the end what hung is cut
    delay_s       every request waits this long first
    refuse_share  this share of the requests (not of watches) is answered 429 or 500, half and half
    cut_watch_s   watches are cut after this long
"""
import argparse
import asyncio
import json
import os
import random
import ssl

HEAD_MAX = 64 * 1024
REFUSALS = (
    (429, "Too Many Requests", "Retry-After: 1\r\n"),
    (500, "Internal Server Error", ""),
)


class Faults:
    """The faults of this moment."""

    def __init__(self, path):
        self.path = path
        self.read = None
        self.now = {}

    def __getattr__(self, name):
        return self.now.get(name, 0)

    async def follow(self, on_change):
        while True:
            try:
                state = os.stat(self.path)
                stamp = (state.st_mtime_ns, state.st_ino)
                if stamp != self.read:
                    with open(self.path, encoding="utf-8") as file:
                        before, self.now = self.now, json.load(file)
                    self.read = stamp
                    on_change(before, self.now)
            except (FileNotFoundError, ValueError):
                pass
            await asyncio.sleep(0.02)


class Proxy:
    def __init__(self, upstream, faults):
        self.host, port = upstream.rsplit(":", 1)
        self.port = int(port)
        self.faults = faults
        self.clients = set()  # Of connections that are open.
        self.tls = ssl.create_default_context()
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    def on_change(self, before, now):
        if now.get("down") or (before.get("half_open") and not now.get("half_open")):
            for writer in list(self.clients):
                writer.transport.abort()

    async def through(self):
        """Returns once the network lets something through."""
        while self.faults.half_open:
            await asyncio.sleep(0.02)

    async def serve(self, reader, writer):
        if self.faults.down:
            writer.transport.abort()
            return
        self.clients.add(writer)
        try:
            await self.one_request(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            self.clients.discard(writer)
            writer.close()

    async def one_request(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        is_watch = "watch=true" in lines[0]
        length = 0
        kept = [lines[0]]
        for line in lines[1:]:
            name = line.split(":", 1)[0].lower()
            if name == "content-length":
                length = int(line.split(":", 1)[1])
            if line and name != "connection":
                kept.append(line)
        body = await reader.readexactly(length)
        await self.through()
        if self.faults.delay_s:
            await asyncio.sleep(self.faults.delay_s)
        if not is_watch and random.random() < self.faults.refuse_share:
            status, reason, extra = random.choice(REFUSALS)
            text = json.dumps({"kind": "Status", "code": status, "message": "the fault proxy says so"})
            writer.write(
                f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{extra}"
                f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())
            await writer.drain()
            return
        up_reader, up_writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        try:
            up_writer.write(("\r\n".join(kept) + "\r\nConnection: close\r\n\r\n").encode("latin-1") + body)
            await up_writer.drain()
            # The client going away ends the request at the server, too.
            relay = asyncio.ensure_future(self.relay(up_reader, writer, is_watch))
            gone = asyncio.ensure_future(reader.read(1))
            await asyncio.wait({relay, gone}, return_when=asyncio.FIRST_COMPLETED)
            for task in (relay, gone):
                task.cancel()
            await asyncio.gather(relay, gone, return_exceptions=True)
        finally:
            up_writer.transport.abort()

    async def relay(self, up_reader, writer, is_watch):
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while True:
            try:
                piece = await asyncio.wait_for(up_reader.read(65536), 0.1)
            except asyncio.TimeoutError:
                piece = None
            if piece == b"":
                return
            await self.through()
            if piece:
                writer.write(piece)
                await writer.drain()
            cut = self.faults.cut_watch_s
            if is_watch and cut and loop.time() - begin >= cut:
                writer.transport.abort()
                return


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--faults", required=True)
    args = parser.parse_args()
    faults = Faults(args.faults)
    proxy = Proxy(args.upstream, faults)
    host, port = args.listen.rsplit(":", 1)
    server = await asyncio.start_server(proxy.serve, host, int(port), limit=HEAD_MAX)
    following = asyncio.ensure_future(faults.follow(proxy.on_change))
    async with server:
        await asyncio.gather(server.serve_forever(), following)


if __name__ == "__main__":
    asyncio.run(main())
