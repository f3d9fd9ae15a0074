#!/usr/bin/env python3
"""A framework in Python: runs a command a number of times and ends when all of them have finished.

It needs nothing but Python's own library:

    python3 framework.py [--master 127.0.0.1:5050] [--count 3] [-- COMMAND]
"""

import argparse
import getpass
import http.client
import json
import sys

CPUS, MEM = 0.1, 32


class Master:
    """One subscription: a stream of events that comes in, and calls that go out on connections of their own."""

    def __init__(self, address, framework_info):
        self.address = address
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": framework_info}}
        self.stream = http.client.HTTPConnection(address)
        self.stream.request("POST", "/api/v1/scheduler", json.dumps(call), {"Content-Type": "application/json"})
        self.response = self.stream.getresponse()
        if self.response.status != 200:
            raise SystemExit(f"SUBSCRIBE: {self.response.status} {self.response.read().decode()}")
        # Every later call names the stream, so that the master knows which instance speaks.
        self.stream_id = self.response.headers["Mesos-Stream-Id"]
        self.framework_id = None
        self.calls = http.client.HTTPConnection(address)

    def events(self):
        """RecordIO: the length of a record in decimal, a line feed, the record."""
        while line := self.response.readline():
            event = json.loads(self.response.read(int(line)))
            if event["type"] == "SUBSCRIBED":
                self.framework_id = event["subscribed"]["framework_id"]
            yield event

    def call(self, kind, **contents):
        """Sends a call; its effect comes as events. 202 says only that it was well formed."""
        body = {"type": kind, "framework_id": self.framework_id, **contents}
        headers = {"Content-Type": "application/json", "Mesos-Stream-Id": self.stream_id}
        self.calls.request("POST", "/api/v1/scheduler", json.dumps(body), headers)
        response = self.calls.getresponse()
        text = response.read().decode()
        if response.status != 202:
            raise SystemExit(f"{kind}: {response.status} {text}")


def scalar(offer, name):
    return sum(r["scalar"]["value"] for r in offer["resources"] if r["name"] == name)


def task(offer, name, command):
    return {
        "name": name,
        "task_id": {"value": name},
        "agent_id": offer["agent_id"],
        "command": {"shell": True, "value": command},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": CPUS}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": MEM}},
        ],
    }


def answer(master, offer, waiting, command):
    """Takes as many tasks as fit into the offer, or declines it for a while."""
    room = int(min(scalar(offer, "cpus") / CPUS, scalar(offer, "mem") / MEM))
    tasks = [task(offer, waiting.pop(), command) for _ in range(min(room, len(waiting)))]
    ids = [offer["id"]]
    if tasks:
        operations = [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]
        master.call("ACCEPT", accept={"offer_ids": ids, "operations": operations})
    else:
        master.call("DECLINE", decline={"offer_ids": ids, "filters": {"refuse_seconds": 60}})


def acknowledge(master, status):
    """An update is sent again until it is acknowledged; those made by the master have no uuid and need none."""
    if "uuid" in status:
        master.call("ACKNOWLEDGE", acknowledge={key: status[key] for key in ("agent_id", "task_id", "uuid")})


def run(master, waiting, command):
    """Returns the exit code of this program: 0 when every task has finished."""
    left, failed = set(waiting), 0
    for event in master.events():
        if event["type"] == "SUBSCRIBED":
            print("subscribed as", master.framework_id["value"], flush=True)
        elif event["type"] == "OFFERS":
            for offer in event["offers"]["offers"]:
                answer(master, offer, waiting, command)
        elif event["type"] == "UPDATE":
            status = event["update"]["status"]
            name, state = status["task_id"]["value"], status["state"]
            print(name, state, status.get("message", ""), flush=True)
            acknowledge(master, status)
            if state not in ("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"):
                left.discard(name)
                failed += state != "TASK_FINISHED"
        elif event["type"] == "ERROR":
            raise SystemExit(event["error"]["message"])
        if not left:
            master.call("TEARDOWN")
            return 1 if failed else 0
    raise SystemExit("the master ended the stream")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--master", default="127.0.0.1:5050", metavar="IP:PORT")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("command", nargs="*", default=["echo", "hello from a framework"])
    options = parser.parse_args()
    info = {"user": getpass.getuser(), "name": "example-python", "roles": ["examples"], "capabilities": [{"type": "MULTI_ROLE"}]}
    waiting = [f"example-{number}" for number in range(options.count)]
    sys.exit(run(Master(options.master, info), waiting, " ".join(options.command)))


if __name__ == "__main__":
    main()
