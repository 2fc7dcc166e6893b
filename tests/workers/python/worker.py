"""A worker as its client's manual shows it; all it does is to tell the sink which task it works on.

usage: python3 worker.py camunda|pycamunda BASE-URL TOPIC SINK-URL
"""

import logging
import sys
import time
import urllib.request

LOCK_MS = 10_000


def tell(sink, client, task):
    request = urllib.request.Request(f"{sink}/{client}/{task}", method="POST")
    urllib.request.urlopen(request, timeout=30).close()


def camunda(url, topic, sink):
    from camunda.external_task.external_task_worker import ExternalTaskWorker

    def work(task):
        tell(sink, "python", task.get_task_id())
        return task.complete({})

    config = {
        "maxTasks": 10,
        "lockDuration": LOCK_MS,
        "asyncResponseTimeout": 10_000,
        "sleepSeconds": 1,
    }
    ExternalTaskWorker(worker_id="python", base_url=url, config=config).subscribe([topic], work)


def pycamunda(url, topic, sink):
    import pycamunda.externaltask as externaltask

    while True:
        fetch = externaltask.FetchAndLock(
            url=url, worker_id="pycamunda", max_tasks=10, async_response_timeout=10_000
        )
        fetch.add_topic(name=topic, lock_duration=LOCK_MS)
        try:
            tasks = fetch()
        except Exception as error:
            logging.error("fetch: %s", error)
            time.sleep(1)
            continue
        for task in tasks:
            tell(sink, "pycamunda", task.id_)
            try:
                externaltask.Complete(url=url, id_=task.id_, worker_id="pycamunda")()
            except Exception as error:
                logging.error("complete %s: %s", task.id_, error)


if __name__ == "__main__":
    which, *rest = sys.argv[1:]
    {"camunda": camunda, "pycamunda": pycamunda}[which](*rest)
