"""An application that deploys, starts, asks and completes with pycamunda, and checks each answer as it goes.

usage: python3 story.py BASE-URL ORDER-MODEL ERRAND-MODEL ORDERS
Prints the ids of the instances that it brought to their end, one a line.
"""

import io
import sys

import pycamunda
import pycamunda.deployment as deployment
import pycamunda.externaltask as externaltask
import pycamunda.incident as incident
import pycamunda.processdef as processdef
import pycamunda.processinst as processinst
import pycamunda.task as task
import pycamunda.variable as variable


def deploy(url, name, path):
    create = deployment.Create(url=url, name=name)
    with open(path, "rb") as model:
        create.add_resource(model)
        made = create()
    resources = deployment.GetResources(url=url, id_=made.id_)()
    assert len(resources) == 1 and path.endswith(resources[0].name), resources
    assert [found.id_ for found in deployment.GetList(url=url, name=name)()] == [made.id_]


def order(url, number):
    key = f"order-{number}"
    start = processdef.StartInstance(url=url, key="order", business_key=key, with_variables_in_return=True)
    start.add_variable(name="amount", value=number, type_="Integer")
    start.add_variable(name="note", value="größer", type_="String")
    instance = start()
    assert (instance.business_key, instance.suspended) == (key, False), instance
    found = processinst.GetList(url=url, business_key=key)()
    assert [one.id_ for one in found] == [instance.id_], found

    amount = processinst.VariablesGet(url=url, process_instance_id=instance.id_, var_name="amount")()
    assert (amount.type_, amount.value) == ("Integer", number), amount
    whose = {"url": url, "process_instance_id": instance.id_}
    processinst.VariablesUpdate(var_name="paid", value=True, type_="Boolean", **whose)()
    blob = io.BytesIO(bytes(range(256)))
    processinst.VariablesUpdate(var_name="scan", value=blob, type_="Bytes", **whose)()
    listed = variable.GetList(url=url, process_instance_id_in=[instance.id_])()
    assert sorted(one.name for one in listed) == ["amount", "note", "paid", "scan"], listed
    tree = processinst.GetActivityInstance(url=url, id_=instance.id_)()
    assert [child.activity_id for child in tree.child_activity_instances] == ["check"], tree

    [work] = task.GetList(url=url, process_instance_business_key=key)()
    assert work.assignee == "demo", work
    task.SetAssignee(url=url, id_=work.id_, user_id="mary")()
    task.CommentCreate(url=url, task_id=work.id_, message="looked at")()
    local = task.LocalVariablesModify(url=url, task_id=work.id_)
    local.add_variable(name="seen", value="yes", type_="String")
    local()
    seen = task.LocalVariablesGetList(url=url, task_id=work.id_)()
    assert seen["seen"].value == "yes", seen
    complete = task.Complete(url=url, id_=work.id_)
    complete.add_variable(name="checked", value=number * 2, type_="Long")
    complete()
    gone(processinst.Get(url=url, id_=instance.id_))
    gone(task.Get(url=url, id_=work.id_))
    return instance.id_


def errand(url):
    """Fails until an incident, is mended by an operator, is suspended and resumed, and is done."""
    instance = processdef.StartInstance(url=url, key="errand")()
    fetch = externaltask.FetchAndLock(url=url, worker_id="story", max_tasks=10)
    fetch.add_topic(name="errand", lock_duration=60_000)
    [work] = fetch()
    whose = {"url": url, "id_": work.id_, "worker_id": "story"}
    externaltask.ExtendLock(new_duration=90_000, **whose)()
    broken = {"error_message": "broken", "error_details": "at length", "retries": 0, "retry_timeout": 0}
    externaltask.HandleFailure(**broken, **whose)()
    [found] = incident.GetList(url=url, process_instance_id=instance.id_)()
    assert (found.incident_message, found.activity_id) == ("broken", "work"), found
    assert externaltask.Get(url=url, id_=work.id_)().error_details == "at length"
    externaltask.SetRetries(url=url, id_=work.id_, retries=2)()
    assert not incident.GetList(url=url, process_instance_id=instance.id_)()
    processinst.Suspend(url=url, id_=instance.id_)()
    assert not fetch(), "nothing of a suspended instance is handed out"
    processinst.Activate(url=url, id_=instance.id_)()
    [again] = fetch()
    assert again.id_ == work.id_, again
    externaltask.Complete(**whose)()
    gone(processinst.Get(url=url, id_=instance.id_))
    return instance.id_


def gone(request):
    try:
        found = request()
    except pycamunda.NotFound:
        return
    raise AssertionError(f"still there: {found}")


def main(url, orders, errands, count):
    deploy(url, "orders", orders)
    deploy(url, "errands", errands)
    [found] = processdef.GetList(url=url, key="order", latest_version=True)()
    assert (found.version, found.suspended) == (1, False), found
    assert processdef.Count(url=url)() == 2
    with open(orders, encoding="utf-8") as model:
        assert processdef.GetXML(url=url, key="order")() == model.read()
    for number in range(int(count)):
        print(order(url, number))
    print(errand(url))


if __name__ == "__main__":
    main(*sys.argv[1:])
