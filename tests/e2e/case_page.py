"""The page of `ringdown analyze --html` in a browser: calls are listed and chosen, the ladder is
drawn, messages are shown, nothing complains."""
import math
import os
import struct
import subprocess
import wave

from browser import Browser
from lab import case, check

HERE = os.path.dirname(os.path.abspath(__file__))
PICTURES = os.environ.get("RD_PICTURES")  # a folder for pictures of the page, for the documentation


def scenario(lab, *names):
    """The captures of some scenarios."""
    runner = os.path.join(os.path.dirname(lab.program), "tests", "bin", "scenario")
    scripts = [os.path.join(HERE, "..", "scenario", name + ".call") for name in names]
    subprocess.run([runner, "--pcap-dir", lab.dir, *scripts], check=True, capture_output=True)
    return [lab.path(name + ".pcap") for name in names]


def page(lab, captures, *options):
    out = lab.path("page.html")
    done = subprocess.run([lab.program, "analyze", "--html", out, *options, *captures],
                          capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 0, f"analyze --html: {done.stderr}")
    return out


def pcap(path, packets):
    """Writes UDP packets, (seconds, (ip, port), (ip, port), bytes), as raw IP."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for at, src, dst, data in packets:
            udp = struct.pack(">HHHH", src[1], dst[1], 8 + len(data), 0) + data
            ip = struct.pack(">BBHIBBH", 0x45, 0, 20 + len(udp), 0, 64, 17, 0)
            ip += bytes(map(int, src[0].split("."))) + bytes(map(int, dst[0].split("."))) + udp
            f.write(struct.pack("<IIII", 1767225600 + int(at), round(at % 1 * 1e6), len(ip), len(ip)))
            f.write(ip)


def ulaw(v):
    """One sample of G.711, of -32768 ... 32767."""
    sign, v = (0x80, -v) if v < 0 else (0, v)
    v = min(v, 32635) + 132
    e = max(0, v.bit_length() - 8)
    return ~(sign | e << 4 | v >> e + 3 & 15) & 0xFF


def spoken_call(seconds=3):
    """A call between two phones, each with a tone for a voice."""
    a, b = ("192.0.2.1", 5060), ("192.0.2.2", 5060)

    def sdp(ip):
        return (f"v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
                "m=audio 4000 RTP/AVP 0\r\n")

    def sip(first, cseq, body="", tag=";tag=b"):
        kind = f"Content-Type: application/sdp\r\nContact: <sip:x@192.0.2.1>\r\n" if body else ""
        return (f"{first}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{cseq.replace(' ', '')}\r\n"
                f"From: <sip:1427@192.0.2.1>;tag=a\r\nTo: <sip:1428@192.0.2.2>{tag}\r\n"
                f"Call-ID: spoken\r\nCSeq: {cseq}\r\nMax-Forwards: 70\r\n{kind}"
                f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def rtp(number, hertz):
        samples = bytes(ulaw(round(12000 * math.sin((number * 160 + i) * 2 * math.pi * hertz / 8000)))
                        for i in range(160))
        return struct.pack(">BBHII", 0x80, 0, number, number * 160, hertz) + samples

    request = "sip:1428@192.0.2.2 SIP/2.0"
    packets = [(0, a, b, sip("INVITE " + request, "1 INVITE", sdp(a[0]), "")),
               (0.5, b, a, sip("SIP/2.0 200 OK", "1 INVITE", sdp(b[0]))),
               (0.51, a, b, sip("ACK " + request, "1 ACK"))]
    for i in range(seconds * 50):
        packets += [(0.6 + i / 50, (a[0], 4000), (b[0], 4000), rtp(i, 450)),
                    (0.601 + i / 50, (b[0], 4000), (a[0], 4000), rtp(i, 1000))]
    return packets + [(seconds + 1, a, b, sip("BYE " + request, "2 BYE")),
                      (seconds + 1.01, b, a, sip("SIP/2.0 200 OK", "2 BYE"))]


TEXT = "document.getElementById('%s').textContent"


@case("page", weight=10, captured=False)
def page_case(lab):
    captures = scenario(lab, "s3-two-calls")
    out = page(lab, captures)
    with Browser() as browser:
        browser.open(out)
        calls = browser.value("document.querySelectorAll('tr.call').length")
        check(calls == 2, f"calls listed: {calls}")
        # Filters.
        browser.value("{const s = document.getElementById('scenario'); s.value = 'pickup';"
                      "s.dispatchEvent(new Event('change'))}")
        check(browser.value("document.querySelectorAll('tr.call').length") == 1, "one pickup")
        # The call, its ladder, a message of it.
        browser.value("document.querySelector('tr.call').click()")
        browser.until("document.querySelectorAll('svg.ladder .rung').length > 10")
        shown = browser.value(TEXT % "detail")
        check("01077141436" in shown and "tied by" in shown, f"the call: {shown[:200]}")
        check("*8" not in browser.value("document.querySelector('h2').textContent"),
              "the caller of a picked up call is no code")
        browser.value("document.querySelector('.rung').dispatchEvent(new Event('click'))")
        message = browser.value("document.querySelector('#message pre').textContent")
        check(message.startswith("INVITE sip:"), f"the message: {message[:80]}")
        if PICTURES:
            browser.value("document.querySelectorAll('.rung')[5].dispatchEvent(new Event('click'))")
            browser.picture(os.path.join(PICTURES, "analyze-page.png"))
        # Another language, the other colours.
        browser.value("document.getElementById('lang').click()")
        check("당겨받기" in browser.value(TEXT % "detail"), "Korean")
        browser.value("document.getElementById('theme').click()")
        check(browser.value("document.documentElement.dataset.theme"), "a theme is set")
        # Search by number.
        browser.value("{const s = document.getElementById('search'); s.value = 'nobody';"
                      "s.dispatchEvent(new Event('input'))}")
        check(browser.value("document.querySelectorAll('tr.call').length") == 0, "nobody is found")
        check(not browser.complaints, f"complaints: {browser.complaints[:3]}")


@case("page_hostile", weight=10, captured=False)
def page_hostile_case(lab):
    """What a peer sends is shown and never run."""
    evil = "</script><img src=x onerror=document.title='run'>"
    capture = lab.path("evil.pcap")
    head = ("INVITE sip:1427@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKa\r\n"
            f"From: \"{evil}\" <sip:1@192.0.2.2>;tag=a\r\nTo: <sip:1427@192.0.2.1>\r\n"
            f"Call-ID: a\r\nCSeq: 1 INVITE\r\nUser-Agent: {evil}\r\nSubject: {evil}\r\n"
            "Content-Length: 0\r\n\r\n").encode()
    pcap(capture, [(0, ("192.0.2.2", 5060), ("192.0.2.1", 5060), head)])
    out = page(lab, [capture])
    with Browser() as browser:
        browser.open(out, "#call=1")
        browser.until("document.querySelectorAll('.rung').length === 1")
        browser.value("document.querySelector('.rung').dispatchEvent(new Event('click'))")
        check(evil in browser.value("document.querySelector('#message pre').textContent"),
              "the text is shown as it came")
        check(browser.value("document.title") == "Ringdown", "nothing of it ran")
        check(browser.value("document.images.length") == 0, "it made no element")
        check(not browser.complaints, f"complaints: {browser.complaints[:3]}")
        # The policy holds for what finds another way in, too.
        browser.value("{const e = document.createElement('script'); e.textContent ="
                      "\"document.title = 'run'\"; document.body.append(e)}")
        check(browser.value("document.title") == "Ringdown", "the policy lets no other script run")


@case("page_sound", weight=10, captured=False)
def page_sound_case(lab):
    """Both voices and the mix are in the page, drawn, and play."""
    capture = lab.path("spoken.pcap")
    pcap(capture, spoken_call())
    out = page(lab, [capture])
    with Browser() as browser:
        browser.open(out, "#call=1")
        browser.until("document.querySelectorAll('audio').length === 3")
        browser.until("[...document.querySelectorAll('audio')].every((a) => a.duration > 2.9 && "
                      "a.duration < 3.5)")
        drawn = browser.value("document.querySelector('svg.wave path').getBBox().height")
        check(drawn > 20, f"the picture of the sound is {drawn} high")
        browser.value("document.querySelector('audio').play()")
        browser.until("document.querySelector('audio').currentTime > 0.2")
        check("PCMU" in browser.value("document.getElementById('streams').textContent"), "streams")
        check(not browser.complaints, f"complaints: {browser.complaints[:3]}")
        if PICTURES:
            browser.picture(os.path.join(PICTURES, "analyze-sound.png"))


@case("analyze_wav", captured=False)
def analyze_wav_case(lab):
    """The files of --wav have the voices, each its own."""
    capture = lab.path("spoken.pcap")
    pcap(capture, spoken_call())
    done = subprocess.run([lab.program, "analyze", "-c", "1", "--wav", lab.path("sound"), capture],
                          capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 0, f"analyze --wav: {done.stderr}")

    def tone(name, hertz):
        """How much of the sound in the middle is this tone."""
        with wave.open(os.path.join(lab.path("sound"), name)) as f:
            check(f.getframerate() == 8000, "8 kHz")
            check(2.9 < f.getnframes() / 8000 < 3.5, f"{name}: {f.getnframes()} samples")
            f.setpos(8000)
            v = struct.unpack("<4000h", f.readframes(4000))
        re = sum(x * math.cos(2 * math.pi * hertz * i / 8000) for i, x in enumerate(v))
        im = sum(x * math.sin(2 * math.pi * hertz * i / 8000) for i, x in enumerate(v))
        return math.hypot(re, im) / 2000 / 12000

    files = sorted(os.listdir(lab.path("sound")))
    check(files == ["call-1-1-1427.wav", "call-1-2-1428.wav", "call-1-mix.wav"], f"files: {files}")
    heard = {name: (tone(name, 450), tone(name, 1000)) for name in files}
    check(heard[files[0]][0] > 0.9 and heard[files[0]][1] < 0.05, f"1427: {heard}")
    check(heard[files[1]][1] > 0.9 and heard[files[1]][0] < 0.05, f"1428: {heard}")
    check(min(heard[files[2]]) > 0.4, f"the mix: {heard}")
    # A frame whose time is wrong does not fill the disk with silence.
    pcap(capture, [(at + (10 * 86400 if at > 2 else 0), *p) for at, *p in spoken_call()])
    done = subprocess.run([lab.program, "analyze", "-c", "1", "--wav", lab.path("late"), capture],
                          capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 1 and "more than a day" in done.stderr, f"ten days: {done.stderr}")
