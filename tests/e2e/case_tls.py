"""SIP over TLS, with OpenSSL's own client, Python's ssl and baresip at the other end: who is judged how,
what is resumed, and certificates that are replaced while calls are up."""
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

import names
import sip
from case_phone import part, talk
from ladder import Ladder
from lab import PHONES, Skip, case, check, equal
from phone import Baresip, Linphone

PORT = 5061


def openssl(lab, *words, status=0, text=None, seconds=60):
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed")
    done = subprocess.run(["openssl", *words], cwd=lab.dir, capture_output=True, text=True,
                          input=text, timeout=seconds, check=False)
    if status is not None:
        equal(done.returncode, status, f"openssl {' '.join(words)}: {done.stderr[-300:]}")
    return done


def authority(lab, name="ca"):
    openssl(lab, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", name + ".key", "-out", name + ".pem", "-days", "2", "-subj", "/CN=" + name)


def certificate(lab, name, names, ca="ca", days="60"):
    """NAME.pem and NAME.key, for the names, as subjectAltName has them."""
    lab.write(name + ".ext", f"subjectAltName={names}\n")
    openssl(lab, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
    openssl(lab, "x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key",
            "-CAcreateserial", "-days", days, "-extfile", name + ".ext", "-out", name + ".pem")


def tls_config(lab):
    """The lab's configuration with a TLS listener, whose certificate is for pbx.test."""
    authority(lab)
    certificate(lab, "pbx", f"DNS:pbx.test,IP:{lab.pbx}")
    config = lab.config()
    config["sip"]["listen"].append(f"tls:{lab.pbx}:{PORT}")
    config["sip"]["tls"] = {"certificate": lab.path("pbx.pem"), "private_key": lab.path("pbx.key"),
                            "ca": lab.path("ca.pem")}
    return config


def client(lab, cert=None):
    context = ssl.create_default_context(cafile=lab.path("ca.pem"))
    context.keylog_filename = lab.path("keys.log")  # for the judge
    if cert:
        context.load_cert_chain(lab.path(cert + ".pem"), lab.path(cert + ".key"))
    return context


def connect(lab, last=66, cert=None, port=0, context=None):
    return sip.Peer(lab.ip(last), (lab.pbx, PORT), "tls", port, context or client(lab, cert),
                    "pbx.test")


def ask(peer):
    m = peer.ask("OPTIONS", "sip:pbx.test")
    equal(m and m.status, 200, "answer to OPTIONS")


OPTIONS = ("OPTIONS sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/TLS {ip}:5061;branch=z9hG4bKs;rport\r\n"
           "Max-Forwards: 70\r\nFrom: <sip:a@pbx.test>;tag=1\r\nTo: <sip:pbx.test>\r\n"
           "Call-ID: {id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
           # No length can be read from this: the exchange hangs up, which ends s_client.
           "OPTIONS sip:pbx.test SIP/2.0\r\nContent-Length: x\r\n\r\n")


def s_client(lab, *words, status=0):
    """OpenSSL's own client says OPTIONS and hears what comes; the last word is what it printed."""
    done = openssl(lab, "s_client", "-connect", f"{lab.pbx}:{PORT}", "-CAfile", "ca.pem",
                   "-servername", "pbx.test", "-verify_hostname", "pbx.test",
                   "-verify_return_error", "-ign_eof", *words, status=status,
                   text=OPTIONS.format(ip=lab.ip(66), id=os.urandom(8).hex()), seconds=30)
    return done.stdout + done.stderr


@case("tls_openssl", captured=False)
def tls_openssl_case(lab):
    """What OpenSSL's client sees: versions, the chain, resumption."""
    lab.start(tls_config(lab))
    for version in ("-tls1_2", "-tls1_3"):
        said = s_client(lab, version, "-sess_out", "session.pem")
        check("SIP/2.0 200 OK" in said, "no 200: " + said[-300:])
        check("Verify return code: 0 (ok)" in said, "not verified: " + said[-300:])
        check("New, TLSv1." in said and "Reused, TLSv1." not in said, "a new session")
        again = s_client(lab, version, "-sess_in", "session.pem")
        check("Reused, TLSv1." in again, f"{version} is not resumed")
        check("SIP/2.0 200 OK" in again, "no 200 in the resumed session")
    old = s_client(lab, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", status=1)
    check("SIP/2.0" not in old and "protocol version" in old, "TLS 1.1: " + old[-300:])
    said = s_client(lab, "-tls1_2")
    check("Secure Renegotiation IS supported" in said, "secure renegotiation is not announced")
    check("no version of TLS in common" in lab.server.text(), "the log does not say why")


@case("tls_phones", weight=4)
def tls_phones_case(lab):
    """Phones that connect by TLS: registered, called over their own connection, and the other way."""
    lab.start(tls_config(lab))
    with connect(lab, 55) as p27, connect(lab, 54) as p28:
        for peer, number in ((p27, "1427"), (p28, "1428")):
            _, last = peer.register(PHONES[number], "secret-" + number)
            equal(last and last.status, 200, "REGISTER of " + number)
        call(lab, p27, p28)
        equal(len(lab.ctl("registrations")), 2, "registrations")
    ladder = Ladder(lab)  # Wireshark has opened all of it
    invites = [p for p in ladder.packets if p.message.request and p.message.method == "INVITE" and
               p.source == (lab.pbx, PORT)]
    # A phone is reached over the connection that its REGISTER came by: nobody listens there.
    equal([p.target for p in invites], [(lab.ip(54), p28.port)], "where the INVITE went")


def invite_by(caller, number):
    """1427 calls, and answers the challenge; returns the Call-ID."""
    body, call_id, uri = sip.sdp(caller.ip), os.urandom(8).hex(), f"sip:{number}@pbx.test"
    more = {"user": PHONES["1427"], "call_id": call_id, "tag": "t1"}
    caller.send(caller.build("INVITE", uri, body=body, cseq=1, **more))
    m = final(caller)
    equal(m.status, 407, "challenge")
    answer = sip.digest_answer(m.get("proxy-authenticate"), PHONES["1427"], "secret-1427", "INVITE",
                               uri)
    acknowledge(caller, m, call_id, 1, uri)
    caller.send(caller.build("INVITE", uri, ["Proxy-Authorization: " + answer], body, cseq=2, **more))
    return call_id


def call(lab, caller, callee):
    """From 1427 to 1428, answered and ended by the caller."""
    call_id = invite_by(caller, "1428")
    invite = receive(callee, "INVITE")
    check(invite.get("via").startswith("SIP/2.0/TLS "), "Via of our INVITE: " + invite.get("via"))
    check(";transport=tls" in invite.get("contact"), "Contact: " + invite.get("contact"))
    respond(callee, invite, 200, sip.sdp(callee.ip))
    m = final(caller)
    equal(m.status, 200, "answer to the INVITE")
    target = m.get("contact").split("<")[1].split(">")[0]
    check(target.endswith(";transport=tls"), "Contact of the 200: " + target)
    to = m.get("to")
    caller.send(caller.build("ACK", target, [f"To: {to}"], user=PHONES["1427"], to=None,
                             call_id=call_id, cseq=2, tag="t1").replace(f"To: <{target}>\r\n", "", 1))
    receive(callee, "ACK")
    lab.until(lambda: len(lab.ctl("calls")) == 1, 30, "the call is up")
    bye = caller.build("BYE", target, [f"To: {to}"], user=PHONES["1427"], call_id=call_id, cseq=3,
                       tag="t1").replace(f"To: <{target}>\r\n", "", 1)
    caller.send(bye)
    respond(callee, receive(callee, "BYE"), 200)
    equal(final(caller).status, 200, "answer to the BYE")
    lab.quiet()


def final(peer):
    while True:
        m = peer.fresh(20)
        check(m, "no answer")
        if m.status and m.status >= 200:
            return m


def receive(peer, method):
    while True:
        m = peer.fresh(20)
        check(m, f"no {method}")
        if m.method == method and m.request:
            return m


def respond(peer, request, status, body="", fields=()):
    to = request.get("to")
    lines = [f"SIP/2.0 {status} OK", *("Via: " + v for v in request.all("via")),
             *("Record-Route: " + v for v in request.all("record-route")),
             "From: " + request.get("from"), "To: " + to + ("" if ";tag=" in to else ";tag=peer"),
             "Call-ID: " + request.get("call-id"), "CSeq: " + request.get("cseq"),
             f"Contact: <sip:peer@{peer.ip}:{peer.port};transport=tls>", *fields]
    if body:
        lines.append("Content-Type: application/sdp")
    peer.send("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]))


def acknowledge(peer, answer, call_id, cseq, uri):
    peer.send("\r\n".join([f"ACK {uri} SIP/2.0", "Via: " + answer.get("via"), "Max-Forwards: 70",
                           "From: " + answer.get("from"), "To: " + answer.get("to"),
                           "Call-ID: " + call_id, f"CSeq: {cseq} ACK", "Content-Length: 0", "", ""]))


@case("tls_baresip", weight=6)
def tls_baresip_case(lab):
    """baresip over TLS, which checks our certificate; a call with sound both ways, during which the
    certificate is replaced."""
    config = tls_config(lab)
    lab.start(config)
    phones = []
    for number, hertz in (("1427", 440), ("1428", 1000)):
        user = "109Q" + number
        phones.append(Baresip(
            lab, number, hertz, account=(
                f"<sip:{user}@pbx.test;transport=tls>;auth_user={user};"
                f'auth_pass=secret-{number};outbound="sip:{lab.pbx}:{PORT};transport=tls";'
                "regint=3600;answermode=auto;audio_codecs=pcmu/8000/1\n")))
    for phone in phones:
        phone.registered()
    talk(lab, *phones)
    certificate(lab, "next", f"DNS:pbx.test,IP:{lab.pbx}")
    for kind in (".pem", ".key"):
        os.replace(lab.path("next" + kind), lab.path("pbx" + kind))
    lab.until(lambda: lab.server.text().count("pbx.pem read") == 2, 30, "the new pair is read")
    equal(len(lab.ctl("calls")), 1, "calls after the reload")
    for phone, other in (phones, phones[::-1]):
        phone.hears(other)
    part(lab, *phones)
    row, = lab.cdrs(1)
    equal(row["ended_by"], "caller", "ended by")


@case("tls_linphone", weight=6)
def tls_linphone_case(lab):
    """Linphone, which checks our certificate by the address that it connects to."""
    config = tls_config(lab)
    # Its library of TLS looks for addresses among the names.
    certificate(lab, "pbx", f"DNS:pbx.test,DNS:{lab.pbx}")
    lab.start(config)
    first, second = Linphone(lab, "1427", 440, lab.path("ca.pem")), Baresip(lab, "1428", 1000)
    lab.until(lambda: len(lab.ctl("registrations")) == 2, 20, "linphone is registered")
    equal({r["aor"]: r["transport"] for r in lab.ctl("registrations")},
          {"sip:109Q1427@pbx.test": "TLS", "sip:109Q1428@pbx.test": "UDP"}, "transports")
    first.call("1428")
    second.wait("CALL_ESTABLISHED")
    second.hears(first)
    second.tell("hangup")
    row, = lab.cdrs(1)
    equal((row["disposition"], row["ended_by"]), ("ANSWERED", "callee"), "record")


def subject(lab):
    """The serial number of the certificate that a new connection is shown."""
    with socket.create_connection((lab.pbx, PORT), 20) as plain, \
            client(lab).wrap_socket(plain, server_hostname="pbx.test") as s:
        return s.getpeercert()["serialNumber"]


@case("tls_reload")
def tls_reload_case(lab):
    """A new pair is taken when both files are there; half of one, or a bad one, never; connections
    stay; and a configuration with a bad pair is refused whole."""
    config = tls_config(lab)
    lab.start(config)
    before = subject(lab)
    with connect(lab) as peer:
        ask(peer)
        certificate(lab, "next", "DNS:pbx.test")
        os.replace(lab.path("next.pem"), lab.path("pbx.pem"))
        lab.until(lambda: "certificate kept as it was" in lab.server.text(), 30, "half a pair")
        check("pbx.key: no private key can be read that fits" in lab.server.text(),
              "the log does not say what is wrong")
        equal(subject(lab), before, "certificate after half a pair")
        equal(lab.ctl_run("reload").returncode != 0, True, "reload with half a pair is refused")
        equal(subject(lab), before, "certificate after the refused reload")
        os.replace(lab.path("next.key"), lab.path("pbx.key"))
        lab.until(lambda: subject(lab) != before, 30, "the new certificate")
        ask(peer)
        # By word: at once.
        between = subject(lab)
        certificate(lab, "pbx", "DNS:pbx.test")
        lab.reload()
        check(subject(lab) != between, "the certificate after a reload")
        ask(peer)


@case("tls_clients")
def tls_clients_case(lab):
    """With verify_client only those get in whose certificate holds."""
    config = tls_config(lab)
    config["sip"]["tls"]["verify_client"] = True
    lab.start(config)
    certificate(lab, "phone", "DNS:phone.test")
    authority(lab, "other")
    certificate(lab, "stranger", "DNS:phone.test", "other")
    with connect(lab, cert="phone") as peer:
        ask(peer)
    for cert, why in ((None, "it shows no certificate"),
                      ("stranger", "its certificate is of an unknown authority")):
        try:
            with connect(lab, cert=cert) as peer:
                peer.send(peer.build("OPTIONS", "sip:pbx.test"))
                check(peer.receive(3) is None, f"{cert} is served")
        except (ssl.SSLError, ConnectionError):
            pass
        lab.until(lambda why=why: why in lab.server.text(), 30, f"the log says: {why}")


def offer(peer, p27, status, what):
    """A call to 1427 over `peer`: as the trunk's it rings (486), as anybody's it is challenged (407)."""
    call_id, uri = os.urandom(8).hex(), "sip:07086661427@pbx.test"
    peer.send(peer.build("INVITE", uri, body=sip.sdp(peer.ip), user="01077141436", call_id=call_id,
                         cseq=1, tag="t"))
    if status == 486:
        respond(p27, receive(p27, "INVITE"), 486)
        receive(p27, "ACK")
    m = final(peer)
    equal(m.status, status, what)
    acknowledge(peer, m, call_id, 1, uri)


@case("tls_trunk_client")
def tls_trunk_client_case(lab):
    """A trunk that calls from anywhere, known by the certificate of its client (RFC 5922); without one,
    with one for another name, and with one of another authority it is nobody, and still served."""
    config = tls_config(lab)
    config["trunks"] = [{"name": "carrier", "uri": f"sips:{lab.trunk}", "tls_name": "carrier.test"}]
    config["trunk"] = {"options_interval": 0}
    lab.start(config)
    certificate(lab, "carrier", "DNS:carrier.test")
    certificate(lab, "wild", "DNS:*.test")
    authority(lab, "other")
    certificate(lab, "stranger", "DNS:carrier.test", "other")
    with sip.Peer(lab.ip(55), (lab.pbx, 5060)) as p27:
        _, last = p27.register(PHONES["1427"], "secret-1427")
        equal(last and last.status, 200, "REGISTER")
        for cert, status in ((None, 407), ("wild", 407), ("stranger", 407), ("carrier", 486),
                             ("carrier", 486)):
            with connect(lab, cert=cert) as peer:  # from an address that is nobody's
                offer(peer, p27, status, f"with the certificate {cert}")
    for why in ("its certificate is of an unknown authority", "it is for *.test"):
        equal(lab.server.text().count("is nobody by its certificate: " + why), 1, f"lines: {why}")
    equal([row["trunk_in"] for row in lab.cdrs(2)], ["carrier", "carrier"], "trunks of the records")


AUTHORITY = """[ca]
default_ca = d
[d]
database = issued.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = p
x509_extensions = e
[p]
commonName = supplied
[e]
subjectAltName = DNS:carrier.test
"""


def brief(lab, name, seconds):
    """Makes NAME.pem good for so long only; returns when it ends."""
    lab.write("issued.txt", "")
    lab.write("serial", "77\n")
    lab.write("brief.cnf", AUTHORITY)
    end = int(time.time()) + seconds
    openssl(lab, "ca", "-batch", "-config", "brief.cnf", "-in", name + ".csr", "-cert", "ca.pem",
            "-keyfile", "ca.key", "-enddate", time.strftime("%y%m%d%H%M%SZ", time.gmtime(end)),
            "-out", name + ".pem", "-notext")
    return end


def resumed(lab, context, session):
    """Connects with a session of before; the last word is whether that was taken."""
    plain = socket.create_connection((lab.pbx, PORT), 20)
    peer = object.__new__(sip.Peer)
    peer.proto, peer.buffer, peer.number = "tls", b"", 0
    peer.sock = context.wrap_socket(plain, server_hostname="pbx.test", session=session)
    peer.ip, peer.port = peer.sock.getsockname()
    peer.host = peer.ip
    return peer, peer.sock.session_reused


@case("tls_trunk_client_ends")
def tls_trunk_client_ends_case(lab):
    """When the certificate ends by which a client is a trunk he is nobody: on the connection that is up,
    by his ticket, and on a new one. Nor does another key than those pinned make him the trunk."""
    config = tls_config(lab)
    carrier = {"name": "carrier", "uri": f"sips:{lab.trunk}", "tls_name": "carrier.test"}
    config["trunks"] = [carrier]
    config["trunk"] = {"options_interval": 0}
    lab.start(config)
    certificate(lab, "carrier", "DNS:carrier.test")
    with sip.Peer(lab.ip(55), (lab.pbx, 5060)) as p27:
        _, last = p27.register(PHONES["1427"], "secret-1427")
        equal(last and last.status, 200, "REGISTER")
        with connect(lab, cert="carrier") as peer:
            offer(peer, p27, 486, "any key")
            carrier["tls_pins"] = ["00" * 32]
            lab.put_config(config)
            lab.reload()
            offer(peer, p27, 407, "a key that is none of those pinned")
            del carrier["tls_pins"]
            lab.put_config(config)
            lab.reload()
        end = brief(lab, "carrier", 15)
        context = client(lab, "carrier")
        with connect(lab, context=context) as first:
            offer(first, p27, 486, "while the certificate is good")
            second, reused = resumed(lab, context, first.sock.session)
            check(reused, "the session is not resumed while the certificate is good")
            with second:
                offer(second, p27, 486, "the session of before")
                session = second.sock.session
            lab.until(lambda: time.time() >= end + 1, 30, "the certificate has ended")
            offer(first, p27, 407, "the connection of before")
        third, reused = resumed(lab, context, session)
        check(not reused, "the session outlasts the certificate")
        with third:
            offer(third, p27, 407, "a ticket of before")


def shown_to(lab, name):
    """The common name of the certificate that who asks for `name` is shown."""
    context = client(lab)
    context.check_hostname = False
    with socket.create_connection((lab.pbx, PORT), 20) as plain, \
            context.wrap_socket(plain, server_hostname=name) as s:
        return s.getpeercert()["subject"][0][0][1]


@case("tls_names_asked")
def tls_names_asked_case(lab):
    """Several certificates: each name gets its own, others the one for all; a new file is taken; what
    there is, and how the handshakes went, ctl says."""
    config = tls_config(lab)
    certificate(lab, "shop", "DNS:shop.test,DNS:sip.shop.test", days="5")
    certificate(lab, "more", "DNS:more.test")
    config["sip"]["tls"]["certificates"] = [
        {"certificate": lab.path("shop.pem"), "private_key": lab.path("shop.key")},
        {"names": ["Branch.test"], "certificate": lab.path("more.pem"),
         "private_key": lab.path("more.key")}]
    lab.start(config)
    for name, cert in (("pbx.test", "pbx"), ("sip.shop.test", "shop"), ("branch.test", "more"),
                       ("more.test", "pbx"), ("nobody.test", "pbx"), (None, "pbx")):
        equal(shown_to(lab, name), cert, f"what who asks for {name} is shown")
    listed = lab.ctl("certificates")
    equal([(c["names"], c["default"]) for c in listed],
          [("pbx.test", True), ("shop.test, sip.shop.test", False), ("Branch.test", False)],
          "certificates listed")
    check(all(0 <= days - c["days_left"] <= 1 for days, c in zip((60, 5, 60), listed)),
          f"days left: {listed}")
    check("is good only until" in lab.server.text(), "no warning of the one that ends soon")
    plain = socket.create_connection((lab.pbx, PORT), 20)
    plain.sendall(b"OPTIONS sip:pbx.test SIP/2.0\r\n\r\n")
    plain.recv(100)
    plain.close()
    with connect(lab) as peer:
        ask(peer)
        lab.until(lambda: lab.ctl("stats")["tls"]["connections"] == 1, 20, "the others are closed")
        stats = lab.ctl("stats")["tls"]
        equal((stats["connections"], stats["handshakes"], stats["failed"]["protocol"]), (1, 7, 1),
              "counters")
        names = [[(c["file"], c["names"], c["until"]) for c in said]
                 for said in (stats["certificates"], listed)]
        equal(*names, "certificates in stats")
    certificate(lab, "next", "DNS:next.test")
    for kind in (".pem", ".key"):
        os.replace(lab.path("next" + kind), lab.path("shop" + kind))
    lab.until(lambda: shown_to(lab, "next.test") == "next", 30, "the new pair is read")
    equal(shown_to(lab, "shop.test"), "pbx", "what who asks for the old name is shown")
    check("no certificate is for" not in lab.server.text(), "one is for the domain")
    certificate(lab, "last", "DNS:last.test")
    for kind in (".pem", ".key"):
        os.replace(lab.path("last" + kind), lab.path("pbx" + kind))
    lab.until(lambda: "WARN io no certificate is for pbx.test" in lab.server.text(), 30,
              "a warning that none is for the domain")


@case("tls_name_odd", captured=False)
def tls_name_odd_case(lab):
    """A certificate with a name that is no UTF-8 is listed like any other."""
    config = tls_config(lab)
    with open(lab.path("odd.ext"), "wb") as f:
        f.write(b"subjectAltName=DNS:caf\xe9.test,DNS:pbx.test\n")
    openssl(lab, "x509", "-req", "-in", "pbx.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "60",
            "-extfile", "odd.ext", "-out", "pbx.pem")
    lab.start(config)
    equal([c["names"] for c in lab.ctl("certificates")], ["caf?.test, pbx.test"], "names")
    equal(len(lab.ctl("stats")["tls"]["certificates"]), 1, "certificates in stats")


class Gateway(threading.Thread):
    """A trunk that listens by TLS with Python's ssl: answers OPTIONS with 200, INVITE with 603."""

    def __init__(self, lab, cert, last=77):
        super().__init__(daemon=True)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(lab.path(cert + ".pem"), lab.path(cert + ".key"))
        self.context.keylog_filename = lab.path("keys.log")
        self.asked_for, self.seen = [], []
        self.context.sni_callback = lambda sock, name, ctx: self.asked_for.append(name)
        self.ip, self.port = lab.ip(last), PORT
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((self.ip, PORT))
        self.sock.listen(8)
        self.connections = 0
        self.start()

    def run(self):
        while True:
            try:
                plain, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        try:
            self.peer_serve(self.context.wrap_socket(plain, server_side=True))
        except (ssl.SSLError, OSError):
            plain.close()

    def peer_serve(self, sock):
        self.connections += 1
        peer = object.__new__(sip.Peer)
        peer.proto, peer.sock, peer.buffer, peer.number = "tls", sock, b"", 0
        peer.ip, peer.host, peer.port = self.ip, self.ip, PORT
        while True:
            m = peer.receive(60)
            if not m:
                return
            self.seen.append(m)
            if m.request and m.method in ("OPTIONS", "REGISTER", "BYE"):
                respond(peer, m, 200)
            elif m.request and m.method == "INVITE":
                respond(peer, m, 603)

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.join(5)
        self.sock.close()


class Held(Gateway):
    """One that answers the first request, and leaves the connection to the test."""

    peer = None

    def peer_serve(self, sock):
        peer = object.__new__(sip.Peer)
        peer.proto, peer.sock, peer.buffer, peer.number = "tls", sock, b"", 0
        peer.ip, peer.host, peer.port = self.ip, self.ip, PORT
        m = peer.receive(60)
        if m:
            respond(peer, m, 200)
            self.peer = peer


@case("tls_trunk_gone")
def tls_trunk_gone_case(lab):
    """Who was a trunk and is none any more stays nobody on the connection that we had opened to him, also
    when his number is that of another trunk's client."""
    config = tls_config(lab)
    carrier = {"name": "carrier", "uri": f"sip:{lab.ip(99)}"}
    config["trunks"] = [carrier, {"name": "gone", "uri": f"sips:{lab.trunk}"}]
    config["trunk"] = {"options_interval": 10}
    certificate(lab, "trunk", f"IP:{lab.trunk}")
    gateway = Held(lab, "trunk")
    lab.start(config)
    lab.until(lambda: gateway.peer, 30, "the connection to the trunk")
    with sip.Peer(lab.ip(55), (lab.pbx, 5060)) as p27:
        _, last = p27.register(PHONES["1427"], "secret-1427")
        equal(last and last.status, 200, "REGISTER")
        offer(gateway.peer, p27, 486, "while it is a trunk")
        for trunk in (carrier, {**carrier, "tls_name": "gold.test"}):
            config["trunks"] = [trunk]
            lab.put_config(config)
            lab.reload()
            offer(gateway.peer, p27, 407, f"with only {trunk}")
    equal([row["trunk_in"] for row in lab.cdrs(1)], ["gone"], "trunks of the records")


class Answering(Gateway):
    """One that takes each call, and hangs up its connection then: the next request needs a new one."""

    def peer_serve(self, sock):
        self.connections += 1
        peer = object.__new__(sip.Peer)
        peer.proto, peer.sock, peer.buffer, peer.number = "tls", sock, b"", 0
        peer.ip, peer.host, peer.port = self.ip, self.ip, PORT
        while m := peer.receive(60):
            self.seen.append(m)
            if m.method == "ACK":
                return sock.unwrap().close()
            respond(peer, m, 200, sip.sdp(self.ip) if m.method == "INVITE" else "")


@case("tls_trunk_moved")
def tls_trunk_moved_case(lab):
    """A call goes on with whom it began when a reload leads its trunk elsewhere: a BYE over a new
    connection asks for the certificate of him who has the call."""
    config = tls_config(lab)
    config["trunks"] = [{"name": "carrier", "uri": f"sip:{lab.trunk};transport=tls"}]
    certificate(lab, "trunk", f"IP:{lab.trunk}")
    gateway = Answering(lab, "trunk")
    lab.start(config)
    with connect(lab, 55) as p27:
        call_id = invite_by(p27, "0212345678")
        m = final(p27)
        equal(m.status, 200, "answer to the INVITE")
        target = m.get("contact").split("<")[1].split(">")[0]
        to = f"To: {m.get('to')}"
        more = {"user": PHONES["1427"], "call_id": call_id, "tag": "t1"}

        def inside(method, cseq):
            text = p27.build(method, target, [to], cseq=cseq, **more)
            p27.send(text.replace(f"To: <{target}>\r\n", "", 1))
        inside("ACK", 2)
        lab.until(lambda: lab.ctl("stats")["tls"]["connections"] == 1, 30, "only the phone's is left")
        config["trunks"] = [{"name": "carrier", "uri": f"sip:{lab.ip(78)};transport=tls"}]
        lab.put_config(config)
        lab.reload()
        inside("BYE", 3)
        equal(final(p27).status, 200, "answer to the BYE")
        lab.until(lambda: "BYE" in [r.method for r in gateway.seen], 30, "the trunk hears the BYE")
    equal(gateway.connections, 2, "connections to the trunk")


def trunk_config(lab, uri, **more):
    config = tls_config(lab)
    config["trunks"] = [{"name": "carrier", "uri": uri, **more}]
    config["trunk"] = {"options_interval": 10}
    return config


@case("tls_trunk")
def tls_trunk_case(lab):
    """A trunk whose certificate is for its address; one whose is not, and one whose key is pinned."""
    config = trunk_config(lab, f"sips:{lab.trunk}")
    certificate(lab, "trunk", f"IP:{lab.trunk}")
    certificate(lab, "wrong", "DNS:elsewhere.test")
    gateway = Gateway(lab, "trunk")
    lab.start(config)
    lab.until(lambda: "trunk carrier answers" in lab.server.text(), 30, "the trunk is there")
    check(gateway.seen[0].uri.startswith("sips:"), "Request-URI: " + gateway.seen[0].uri)
    check(gateway.seen[0].get("contact").startswith("<sips:"),
          "Contact: " + gateway.seen[0].get("contact"))
    check(gateway.seen[0].get("via").startswith("SIP/2.0/TLS "), "Via")
    equal(gateway.asked_for, [None], "an address is not asked for by name")
    lab.server.end()
    gateway.close()
    gateway = Gateway(lab, "wrong")
    lab.start(config)
    lab.until(lambda: f"its certificate is not for {lab.trunk}" in lab.server.text(), 30,
              "the log says what is wrong")
    equal(gateway.seen, [], "what a wrong trunk was told")
    lab.server.end()
    der = subprocess.run("openssl x509 -in wrong.pem -noout -pubkey | openssl pkey -pubin -outform DER"
                         " | sha256sum", shell=True, cwd=lab.dir, capture_output=True, text=True,
                         check=True).stdout.split()[0]
    config["trunks"][0]["tls_pins"] = ["00" * 32]
    lab.start(config)
    lab.until(lambda: "its key is none of those pinned" in lab.server.text(), 30, "another pin")
    config["trunks"][0]["tls_pins"] = [der]
    lab.put_config(config)
    lab.reload()
    lab.until(lambda: "trunk carrier answers" in lab.server.text(), 30, "the pinned trunk is there")


@case("tls_names")
def tls_names_case(lab):
    """RFC 3263 from end to end: NAPTR says TLS, SRV two servers, of which the first has the wrong
    certificate; the name of the domain is asked for by SNI and must be in the certificate (RFC 5922)."""
    config = trunk_config(lab, "sip:carrier.test")
    config["dns"] = {"servers": [f"{lab.ip(53)}:5353"], "ipv6": False}
    config["trunk"] = {"options_interval": 1, "retry_min": 1}
    certificate(lab, "good", "DNS:carrier.test")
    certificate(lab, "host", "DNS:two.carrier.test")
    wrong, good = Gateway(lab, "host", 78), Gateway(lab, "good", 77)
    asked = names.Names(lab.ip(53), {
        ("carrier.test", "NAPTR"): [names.naptr(20, "SIP+D2U", "_sip._udp.carrier.test"),
                                    names.naptr(10, "SIPS+D2T", "_sips._tcp.carrier.test")],
        ("_sips._tcp.carrier.test", "SRV"): [names.srv(20, 0, PORT, "one.carrier.test"),
                                             names.srv(10, 0, PORT, "two.carrier.test")],
        ("_sip._udp.carrier.test", "SRV"): [],
        ("one.carrier.test", "A"): [names.a(lab.ip(77))],
        ("two.carrier.test", "A"): [names.a(lab.ip(78))],
    }).asked
    lab.start(config)
    lab.until(lambda: "its certificate is not for carrier.test" in lab.server.text(), 30,
              "the wrong server is refused")
    lab.until(lambda: f"trunk carrier answers at {lab.ip(77)}:{PORT}" in lab.server.text(), 20,
              "the next server is taken")
    equal(wrong.seen, [], "what the wrong server was told")
    equal((set(wrong.asked_for), set(good.asked_for)), ({"carrier.test"}, {"carrier.test"}), "SNI")
    equal(asked[0], ("carrier.test", "NAPTR"), "the first question")
    check(("_sips._tcp.carrier.test", "SRV") in asked, f"questions: {asked}")
    equal(lab.ctl("trunks")[0]["transport"], "TLS", "transport")
    check(good.seen[0].uri == "sip:carrier.test", "Request-URI: " + good.seen[0].uri)


@case("names_failover")
def names_failover_case(lab):
    """SRV names two servers by UDP; the first is not there: the call goes to the second."""
    config = lab.config()
    config["trunks"] = [{"name": "carrier", "uri": "sip:carrier.test"}]
    config["trunk"] = {"options_interval": 0, "failover_timeout": 1}
    config["dns"] = {"servers": [f"{lab.ip(53)}:5353"], "ipv6": False}
    names.Names(lab.ip(53), {
        ("_sip._udp.carrier.test", "SRV"): [names.srv(10, 0, 5090, "one.carrier.test"),
                                            names.srv(20, 0, 5080, "two.carrier.test")],
        ("carrier.test", "A"): [],
        ("one.carrier.test", "A"): [names.a(lab.ip(78))],
        ("two.carrier.test", "A"): [names.a(lab.trunk)],
    })
    lab.start(config)
    gone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    gone.bind((lab.ip(78), 5090))  # hears, and says nothing
    lab.until(lambda: lab.ctl("trunks")[0].get("address"), 30, "the name is resolved")
    with sip.Peer(lab.ip(55), (lab.pbx, 5060)) as p27, \
            sip.Peer(lab.trunk, (lab.pbx, 5060), port=5080) as trunk:
        _, last = p27.register(PHONES["1427"], "secret-1427")
        equal(last and last.status, 200, "REGISTER")
        invite_by(p27, "0212345678")
        respond(trunk, receive(trunk, "INVITE"), 603)
        receive(trunk, "ACK")
        equal(final(p27).status, 603, "what the caller is told")
    gone.settimeout(10)
    check(b"INVITE sip:0212345678@carrier.test" in gone.recv(4096), "the first server was not asked")
    row, = lab.cdrs(1)
    equal(row["sip_cause"], 603, "cause of the record")
