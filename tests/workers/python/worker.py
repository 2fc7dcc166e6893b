"""A worker as its client's manual shows it; all it does is to tell the sink which task it works on, and to end it as the
task's variable `fate` says: "fails" once and is completed then, "declined" is a BPMN error, nothing completes it.

usage: python3 worker.py camunda|pycamunda BASE-URL TOPIC SINK-URL
"""

import logging
import sys
import time
import urllib.request

LOCK_MS = 10_000
WISH = "as the task wished"


def tell(sink, client, task):
    request = urllib.request.Request(f"{sink}/{client}/{task}", method="POST")
    urllib.request.urlopen(request, timeout=30).close()


def camunda(url, topic, sink):
    from camunda.external_task.external_task_worker import ExternalTaskWorker

    failed = set()

    def work(task):
        tell(sink, "python", task.get_task_id())
        fate = task.get_variable("fate")
        if fate == "declined":
            return task.bpmn_error("declined", WISH)
        if fate == "fails" and task.get_task_id() not in failed:
            failed.add(task.get_task_id())
            return task.failure("not yet", WISH, max_retries=1, retry_timeout=0)
        return task.complete({"by": "python"})

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
                end(externaltask, url, task)
            except Exception as error:
                logging.error("end %s: %s", task.id_, error)


def end(externaltask, url, task):
    whose = {"url": url, "id_": task.id_, "worker_id": "pycamunda"}
    fate = task.variables["fate"].value if "fate" in task.variables else None
    if fate == "declined":
        externaltask.HandleBPMNError(error_code="declined", error_message=WISH, **whose)()
    elif fate == "fails" and task.retries is None:
        again = {"retries": 1, "retry_timeout": 0}
        externaltask.HandleFailure(error_message="not yet", error_details=WISH, **again, **whose)()
    else:
        complete = externaltask.Complete(**whose)
        complete.add_variable(name="by", value="pycamunda")
        complete()


if __name__ == "__main__":
    which, *rest = sys.argv[1:]
    {"camunda": camunda, "pycamunda": pycamunda}[which](*rest)
