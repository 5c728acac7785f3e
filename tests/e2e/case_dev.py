"""What README promises: a clone, ./dev run, and two phones that were told what it prints."""
import os
import re
import subprocess

from lab import Fail, case, check
from phone import Baresip

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def clone(lab):
    """The working tree as it stands, without what was built in it."""
    where = lab.path("clone")
    os.mkdir(where)
    pack = subprocess.Popen(["tar", "-C", ROOT, "--exclude=./build*", "--exclude=./.git",
                             "--exclude=./var", "--exclude=./ringdown.yaml", "-cf", "-", "."],
                            stdout=subprocess.PIPE)
    subprocess.run(["tar", "-C", where, "-xf", "-"], stdin=pack.stdout, check=True)
    pack.wait()
    return where


def edit(path, changes):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for old, new in changes:
        check(old in text, f"the first ringdown.yaml lacks {old}")
        text = text.replace(old, new)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def printed(text):
    """What is to be typed into the phones: [{server, user, password, domain}]."""
    phones = re.findall(r"server +(\S+).*\n +user +(\S+)\n +password +(\S+)\n(?: +domain +(\S+))?",
                        text)
    return [dict(zip(("server", "user", "password", "domain"), p)) for p in phones]


def whole(job):
    return "\n".join(job.lines()) + "\n"


@case("dev_run", weight=20, captured=False)
def dev_run_case(lab):
    where = clone(lab)
    dev = os.path.join(where, "dev")
    # Everything but serving: the port is not ours to take, since other cases have it.
    # What the suite has compiled is not compiled again, if ccache knows it.
    env = {**os.environ, "CCACHE_BASEDIR": where}
    built = subprocess.run([dev, "run", "--help"], cwd=where, capture_output=True, text=True,
                           timeout=900, check=False, stdin=subprocess.DEVNULL, env=env)
    check(built.returncode == 0, f"./dev run --help: {(built.stderr + built.stdout)[-300:]}")
    port = lab.ports(2)
    edit(os.path.join(where, "ringdown.yaml"),
         ((":5060", f":{port}"), ("20000-29999", "31000-31099")))
    lab.server = lab.job("server-dev", [dev, "run", "--phones"])
    lab.until(lambda: " serves " in lab.server.text() or not lab.server.running(), 300, "it serves")
    lab.alive()
    lab.until(lambda: len(printed(whole(lab.server))) >= 2, 30, "it prints what to type")
    told = printed(whole(lab.server))
    check(len(told) == 2, f"phones that are told what to type: {told}")
    users = []
    for i, (t, hertz) in enumerate(zip(told, (440, 1000))):
        ip = t["server"].rsplit(":", 1)[0]
        # The second phone has no field for a domain, as many have not.
        domain = t["domain"] if i == 0 and t["domain"] else t["server"]
        account = (f'<sip:{t["user"]}@{domain}>;auth_user={t["user"]};auth_pass={t["password"]};'
                   f'outbound="sip:{t["server"]}";regint=3600;answermode=auto\n')
        users.append(Baresip(lab, t["user"], hertz, account=account, ip=ip))
    for user in users:
        if "Function not implemented" in user.job.text():
            raise Fail("the phone gives up at the challenge")
        user.registered()
    first, second = users
    first.dial(told[1]["user"], told[0]["domain"] or told[0]["server"])
    for user, other in ((first, second), (second, first)):
        user.wait("CALL_ESTABLISHED")
        user.hears(other)
    second.tell("hangup")
    first.wait("CALL_CLOSED")
