"""A session of kazoo with a watch, left alone."""

import sys
import threading

from kazoo.client import KazooClient

client = KazooClient(hosts=sys.argv[1], timeout=4.0)
client.start(timeout=30)
client.get("/check", watch=lambda event: print(event, flush=True))
threading.Event().wait()
