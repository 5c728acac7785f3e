#!/usr/bin/env python3
"""An AudioSocket server for tests, as one would be written for Asterisk. usage: audiosocket.py ADDRESS PORT
It tells on standard output what it hears, a line of JSON each; it says a tone of 900 Hz for a second, at the pace of its
clock, when it is told who calls. Keys tell it what to do: 3 echo from now on, 5 hang up, 8 break off."""
import json
import math
import socket
import struct
import sys
import threading
import time
import uuid

RATES = {0x10: 8000, 0x12: 16000}


def tell(**what):
    print(json.dumps(what), flush=True)


def read(sock, n):
    got = b""
    while len(got) < n:
        some = sock.recv(n - len(got))
        if not some:
            raise EOFError
        got += some
    return got


def frame(kind, payload=b""):
    return struct.pack(">BH", kind, len(payload)) + payload


def speak(sock, kind, hertz, ms):
    rate, begun = RATES[kind], time.monotonic()
    for k in range(ms // 20):
        samples = (0.25 * 32767 * math.sin(2 * math.pi * hertz * (k * rate // 50 + i) / rate)
                   for i in range(rate // 50))
        sock.sendall(frame(kind, b"".join(struct.pack("<h", round(v)) for v in samples)))
        time.sleep(max(0, begun + (k + 1) * 0.02 - time.monotonic()))


def serve(sock):
    echo, frames, spoken = False, 0, False
    while True:
        kind, n = struct.unpack(">BH", read(sock, 3))
        payload = read(sock, n)
        if kind == 0x01:
            tell(type="uuid", uuid=str(uuid.UUID(bytes=payload)))
        elif kind in RATES:
            frames += 1
            if not spoken:
                spoken = True
                tell(type="sound", kind=kind, bytes=n)
                threading.Thread(target=speak, args=(sock, kind, 900, 1000), daemon=True).start()
            if frames == 50:
                tell(type="second")
            if echo:
                sock.sendall(frame(kind, payload))
        elif kind == 0x03:
            key = payload.decode()
            tell(type="dtmf", digit=key)
            echo |= key == "3"
            if key == "5":
                sock.sendall(frame(0x00))
            if key == "8":
                sock.close()
                return
        elif kind == 0x00:
            tell(type="hangup")


def main():
    listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
    tell(type="listening")
    while True:
        sock, _ = listener.accept()
        tell(type="connection")
        try:
            serve(sock)
        except (EOFError, ConnectionError):
            pass
        tell(type="closed")


if __name__ == "__main__":
    main()
