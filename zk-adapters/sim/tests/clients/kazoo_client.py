"""What kazoo does in a test: its basics, the loss of a server, and the end of its session.

A line on standard output asks the test for a fault. A failure is a traceback.
"""

import sys
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError, NotEmptyError
from kazoo.security import make_digest_acl

PATIENCE = 30


def ask(fault):
    print("test, please:", fault, flush=True)


def session(client):
    return "0x%x" % (client.client_id[0] & 0xFFFFFFFFFFFFFFFF)


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except error:
        return
    raise AssertionError("%s is not refused with %s" % (call, error))


class Heard:
    """Calls, to be waited for."""

    def __init__(self):
        self.condition = threading.Condition()
        self.calls = []

    def __call__(self, call):
        with self.condition:
            self.calls.append(call)
            self.condition.notify_all()

    def wait(self, wanted, what):
        with self.condition:
            assert self.condition.wait_for(lambda: wanted(self.calls), PATIENCE), (what, self.calls)


def connect(hosts):
    client = KazooClient(hosts=hosts, timeout=6.0)
    client.start(timeout=PATIENCE)
    return client


def basics(client):
    assert client.create("/a", b"one") == "/a"
    refused(NodeExistsError, client.create, "/a")
    data, stat = client.get("/a")
    assert (data, stat.version, stat.dataLength) == (b"one", 0, 3), (data, stat)
    assert client.set("/a", b"two", version=0).version == 1
    refused(BadVersionError, client.set, "/a", b"three", version=0)
    names = [client.create("/a/n-", sequence=True) for _ in range(3)]
    assert names == ["/a/n-%010d" % number for number in range(3)], names
    assert sorted(client.get_children("/a")) == [name[3:] for name in names]
    refused(NotEmptyError, client.delete, "/a")
    refused(NoNodeError, client.get, "/none")
    client.ensure_path("/deep/er/still")

    transaction = client.transaction()
    transaction.check("/a", 1)
    transaction.create("/b", b"by a transaction")
    transaction.delete("/a/n-0000000000")
    assert [type(result) for result in transaction.commit()] == [bool, str, bool]
    assert client.get("/b")[0] == b"by a transaction"

    client.add_auth("digest", "bob:secret")
    client.create("/mine", acl=[make_digest_acl("bob", "secret", all=True)])
    assert client.get_acls("/mine")[0][0].id.scheme == "digest"


def watches(client):
    heard = Heard()
    client.get("/a", watch=heard)
    client.get_children("/a", watch=heard)
    client.exists("/later", watch=heard)
    client.set("/a", b"three")
    client.create("/a/child")
    client.create("/later")
    events = [("CHANGED", "/a"), ("CHILD", "/a"), ("CREATED", "/later")]
    heard.wait(lambda calls: [(call.type, call.path) for call in calls] == events, "events")


def failover(client, other):
    states, events = Heard(), Heard()
    client.add_listener(states)
    client.create("/ephemeral", ephemeral=True)
    client.DataWatch("/a", lambda data, stat: events(data))
    before = session(client)
    ask("crash %s" % before)
    again = [KazooState.SUSPENDED, KazooState.CONNECTED]
    states.wait(lambda calls: calls == again, "a lost connection, and a new one")
    assert session(client) == before
    ask("restart")
    other.sync("/")
    assert other.exists("/ephemeral").ephemeralOwner == client.client_id[0]
    other.set("/a", b"four")
    events.wait(lambda calls: calls[0] == b"three" and calls[-1] == b"four", "a change after all that")
    client.remove_listener(states)


def expiry(client, other):
    states, gone = Heard(), Heard()
    client.add_listener(states)
    assert other.exists("/ephemeral", watch=gone)
    before = session(client)
    ask("expire %s" % before)
    states.wait(lambda calls: calls[-2:] == [KazooState.LOST, KazooState.CONNECTED], "a new session")
    gone.wait(lambda calls: [call.type for call in calls] == ["DELETED"], "the end of the ephemeral znode")
    assert session(client) != before


def main():
    client, other = connect(sys.argv[1]), connect(sys.argv[1])
    basics(client)
    watches(client)
    failover(client, retrying(other))
    expiry(client, retrying(other))
    for one in (client, other):
        one.stop()
        one.close()
    ask("done")


def retrying(client):
    """The same client, for which a lost server is no failure."""

    class Retrying:
        def __getattr__(self, name):
            return lambda *arguments, **named: client.retry(getattr(client, name), *arguments, **named)

    return Retrying()


main()
