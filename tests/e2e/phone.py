"""baresip as a phone without a sound card: its microphone is a file with a tone, its ear another
file. Controlled over its ctrl_tcp module (JSON in netstrings)."""
import glob
import json
import math
import os
import queue
import shutil
import socket
import struct
import subprocess
import threading
import wave

from lab import Fail, Skip

MODULES = ("g711", "g722", "opus", "aufile", "sndfile", "uuid")


def modules_dir():
    found = glob.glob("/usr/lib/baresip/modules") + glob.glob("/usr/lib/*/baresip/modules")
    return found[0] if found else None


def write_tone(path, hertz, seconds=60, rate=8000):
    step = 2 * math.pi * hertz / rate
    # All tones here are multiples of 10 Hz, so a tenth of a second repeats without a click.
    period = [int(8000 * math.sin(step * i)) for i in range(rate // 10)]
    with wave.open(path, "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(struct.pack(f"<{len(period)}h", *period) * (seconds * 10))


def level(samples, hertz, rate):
    """Amplitude of one frequency in samples (Goertzel), as a share of full scale."""
    coefficient = 2 * math.cos(2 * math.pi * hertz / rate)
    a = b = 0.0
    for x in samples:
        a, b = x + coefficient * a - b, a
    power = a * a + b * b - coefficient * a * b
    return 2 * math.sqrt(max(power, 0)) / max(len(samples), 1) / 32768


def samples_of(path):
    """Rate and first channel of a WAV file that may still be written: its header tells no length
    until it is closed, so the file does."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except FileNotFoundError:
        return 0, ()
    fmt, start = data.find(b"fmt "), data.find(b"data")
    if fmt < 0 or start < 0:
        return 0, ()
    channels, rate = struct.unpack_from("<HI", data, fmt + 10)
    raw = data[start + 8:]
    return rate, struct.unpack(f"<{len(raw) // 2}h", raw[:len(raw) // 2 * 2])[::channels]


def heard(path, frequencies, seconds=1.0):
    """The level of each frequency in the loudest stretch of so many seconds."""
    rate, samples = samples_of(path)
    if not samples:
        return {f: 0.0 for f in frequencies}
    window = int(rate * seconds) // 2
    best = max(range(0, max(len(samples) - window, 0) + 1, window),
               key=lambda i: sum(x * x for x in samples[i:i + window:7]))
    part = samples[best:best + window]
    return {f: level(part, f, rate) for f in frequencies}


def heard_last(path, hertz, seconds=0.5):
    rate, samples = samples_of(path)
    part = samples[-int(rate * seconds):] if rate else ()
    return level(part, hertz, rate) if part else 0.0


class Baresip:
    def __init__(self, lab, number, hertz, codecs="pcmu/8000/1,pcma/8000/1", regint=3600,
                 proto="udp", account=None, ip=None):
        """account: a line of baresip's own instead of the lab's; ip: an address that is not the
        lab's alone, so ports are searched."""
        if not shutil.which("baresip") or not modules_dir():
            raise Skip("baresip is not installed")
        self.lab, self.number, self.hertz = lab, number, hertz
        self.ip = ip or lab.ip(lab.phone(number))
        self.media_ip = ip or "127.0.0.1"
        self.sip_port, self.control_port = (lab.ports(2), lab.ports(2)) if ip else (5060, 5565)
        self.dir = lab.path("phone" + number)
        self.ears = os.path.join(self.dir, "ears")
        os.makedirs(self.ears)
        write_tone(os.path.join(self.dir, "tone.wav"), hertz)
        self.put("contacts", "")
        self.put("config", self.settings())
        self.put("accounts", account or self.account(codecs, regint, proto))
        self.events = []
        self.replies = queue.Queue()
        self.job = lab.job("phone" + number, ["baresip", "-f", self.dir])
        self.sock = lab.until(self.connect, 30, f"phone {number} starts")
        threading.Thread(target=self.read, daemon=True).start()

    def put(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    def account(self, codecs, regint, proto):
        user = "109Q" + self.number
        return (f'"0708666{self.number},{self.number}" <sip:{user}@pbx.test;transport={proto}>;'
                f"auth_user={user};auth_pass=secret-{self.number};"
                f'outbound="sip:{self.lab.pbx}:5060;transport={proto}";regint={regint};'
                f"answermode=auto;audio_codecs={codecs}\n")

    def settings(self):
        # Its RTP sockets are bound to no address, so it speaks from 127.0.0.1 and must say so.
        port = self.lab.ports(20)
        lines = ["poll_method epoll", f"sip_listen {self.ip}:{self.sip_port}", "call_local_timeout 120",
                 "call_max_calls 4", f"audio_source aufile,{self.dir}/tone.wav",
                 "ausrc_srate 8000", "auplay_srate 8000", "ausrc_channels 1", "auplay_channels 1",
                 "audio_level no", "ausrc_format s16", "auplay_format s16",
                 f"rtp_ports {port}-{port + 18}", "rtcp_mux no", "jitter_buffer_type fixed",
                 "jitter_buffer_delay 1-10", f"net_interface {self.media_ip}",
                 f"module_path {modules_dir()}", f"ctrl_tcp_listen {self.ip}:{self.control_port}",
                 "ring_aufile none", f"snd_path {self.ears}", "module_tmp account.so",
                 "module_app menu.so", "module_app ctrl_tcp.so"]
        lines += [f"module {m}.so" for m in MODULES
                  if os.path.exists(os.path.join(modules_dir(), m + ".so"))]
        return "\n".join(lines) + "\n"

    # ---- control ---------------------------------------------------------------------------------

    def connect(self):
        if not self.job.running():
            raise Fail("baresip ended: " + self.job.text()[-200:])
        try:
            sock = socket.create_connection((self.ip, self.control_port), 1)
        except OSError:
            return None
        sock.settimeout(None)
        return sock

    def read(self):
        data = b""
        while True:
            try:
                more = self.sock.recv(65536)
            except OSError:
                return
            if not more:
                return
            data += more
            while True:
                size, colon, rest = data.partition(b":")
                if not colon or len(rest) <= int(size):
                    break
                message = json.loads(rest[:int(size)].decode("utf-8", "replace"))
                data = rest[int(size) + 1:]
                if message.get("event"):
                    self.events.append(message)
                else:
                    self.replies.put(message)

    def tell(self, command, params=None):
        message = {"command": command, "token": command}
        if params:
            message["params"] = params
        text = json.dumps(message).encode()
        self.sock.sendall(str(len(text)).encode() + b":" + text + b",")
        try:
            return self.replies.get(timeout=20)
        except queue.Empty:
            raise Fail(f"phone {self.number} says nothing to {command}") from None

    def saw(self, kind, n=1):
        return sum(e.get("type") == kind for e in self.events) >= n

    def wait(self, kind, n=1, seconds=30):
        self.lab.until(lambda: self.saw(kind, n), seconds, f"phone {self.number}: {kind}")

    def registered(self):
        self.wait_log("200 OK", 30)

    def wait_log(self, words, seconds):
        self.lab.until(lambda: words in self.job.text(), seconds,
                       f"phone {self.number} says {words!r}")

    def dial(self, number, host="pbx.test"):
        self.tell("dial", f"sip:{number}@{host}")

    # ---- ears ------------------------------------------------------------------------------------

    def recordings(self):
        return sorted(glob.glob(os.path.join(self.ears, "dump-*-dec.wav")))

    def hears(self, other, seconds=30):
        """Waits until the tone of the other is in the ear, and says that one's own is not."""
        def there():
            return any(heard(p, [other.hertz])[other.hertz] > 0.02 for p in self.recordings())
        self.lab.until(there, seconds, f"phone {self.number} hears {other.hertz} Hz")
        for path in self.recordings():
            own = heard(path, [self.hertz])[self.hertz]
            if own > 0.01:
                raise Fail(f"phone {self.number} hears itself: level {own:.3f}")


    def hears_now(self, other, seconds=30):
        """The same of the last second: who was heard before does not count."""
        def there():
            latest = self.recordings()[-1:]
            return any(heard_last(p, other.hertz) > 0.02 and heard_last(p, self.hertz) < 0.01
                       for p in latest)
        self.lab.until(there, seconds, f"phone {self.number} hears {other.hertz} Hz now")


LINPHONE = """[sip]
sip_port={sip_port}
sip_tcp_port=-1
sip_tls_port={tls_port}
root_ca={ca}
verify_server_certs=1
verify_server_cn=1
bind_address={ip}
guess_hostname=0
contact=sip:{user}@{ip}
default_proxy=0
media_encryption=none
[rtp]
audio_rtp_port={rtp}-{rtp_end}
[proxy_0]
reg_proxy=<sip:{server}:{port};transport={proto}>
reg_route=<sip:{server}:{port};transport={proto};lr>
reg_identity=sip:{user}@pbx.test
reg_expires=3600
reg_sendregister=1
publish=0
[auth_info_0]
username={user}
passwd=secret-{number}
realm=pbx.test
"""


class Linphone:
    """linphonec, told what to do by lines on its standard input. ca: a file with the authority of the
    server, which it then calls by TLS."""

    def __init__(self, lab, number, hertz, ca=None):
        if not shutil.which("linphonec"):
            raise Skip("linphone-cli is not installed")
        self.lab, self.number, self.hertz = lab, number, hertz
        self.dir = lab.path("linphone" + number)
        self.ear = os.path.join(self.dir, "ear.wav")
        for part in ("linphone", ".local/share/linphone"):
            os.makedirs(os.path.join(self.dir, part))
        write_tone(os.path.join(self.dir, "tone.wav"), hertz)
        rtp = lab.ports(20)
        user = {"1427": "109Q1427", "1428": "109Q1428"}[number]
        settings = os.path.join(self.dir, "linphonerc")
        with open(settings, "w", encoding="utf-8") as f:
            # It speaks from 127.0.0.1 whatever it is bound to, so that is where it is.
            f.write(LINPHONE.format(ip="127.0.0.1", sip_port=lab.ports(2), user=user, rtp=rtp,
                                    rtp_end=rtp + 18, server=lab.pbx, number=number, ca=ca or "",
                                    tls_port=lab.ports(2) if ca else -1, port=5061 if ca else 5060,
                                    proto="tls" if ca else "udp"))
        env = dict(os.environ, HOME=self.dir, XDG_CONFIG_HOME=self.dir, XDG_DATA_HOME=self.dir)
        self.job = lab.job("linphone" + number, ["linphonec", "-c", settings, "-d", "0"], env=env,
                           stdin=subprocess.PIPE)
        for line in ("soundcard use files", f"record {self.ear}",
                     f"play {os.path.join(self.dir, 'tone.wav')}"):
            self.tell(line)

    def tell(self, line):
        self.job.process.stdin.write(line.encode() + b"\n")
        self.job.process.stdin.flush()

    def call(self, number):
        self.tell(f"call sip:{number}@pbx.test")
        self.lab.until(lambda: "Media streams established" in self.job.text(), 30,
                       f"phone {self.number} talks")

    def has_recorded(self, size):
        """The record is whole, with its header, when the call is over."""
        self.lab.until(lambda: os.path.exists(self.ear) and os.path.getsize(self.ear) >= size, 30,
                       f"phone {self.number} records")

    def hears(self, other, seconds=15):
        def there():
            return heard(self.ear, [other.hertz])[other.hertz] > 0.02
        self.lab.until(there, seconds, f"phone {self.number} hears {other.hertz} Hz")
        own = heard(self.ear, [self.hertz])[self.hertz]
        if own > 0.01:
            raise Fail(f"phone {self.number} hears itself: level {own:.3f}")
