"""The page of `ringdown analyze --html` in a browser: calls are listed and chosen, the ladder is
drawn, messages are shown, nothing complains."""
import os
import subprocess

from browser import Browser
from lab import case, check

HERE = os.path.dirname(os.path.abspath(__file__))
PICTURE = os.environ.get("RD_PICTURE")  # where to put a picture of the page, for the documentation


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
        if PICTURE:
            browser.value("document.querySelectorAll('.rung')[5].dispatchEvent(new Event('click'))")
            browser.picture(PICTURE)
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
    udp = b"\x13\xc4\x13\xc4" + (8 + len(head)).to_bytes(2, "big") + b"\0\0" + head
    ip = (b"\x45\0" + (20 + len(udp)).to_bytes(2, "big") + b"\0\0\0\0\x40\x11\0\0" +
          bytes([192, 0, 2, 2, 192, 0, 2, 1]) + udp)
    with open(capture, "wb") as f:
        f.write((0xa1b2c3d4).to_bytes(4, "little") + b"\2\0\4\0" + b"\0" * 8 +
                (65535).to_bytes(4, "little") + (101).to_bytes(4, "little"))
        f.write(b"\0\0\0\x60\0\0\0\0" + len(ip).to_bytes(4, "little") * 2 + ip)
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
