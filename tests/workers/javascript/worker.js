// A worker as its client's manual shows it; all it does is to tell the sink which task it works on, and to end it as the
// task's variable `fate` says: "fails" once and is completed then, "declined" is a BPMN error, nothing completes it.
// usage: node worker.js BASE-URL TOPIC SINK-URL
import { request } from "node:http";
import { Client, Variables } from "camunda-external-task-client-js";

const [baseUrl, topic, sink] = process.argv.slice(2);

function tell(id) {
  return new Promise((resolve, reject) => {
    const telling = request(`${sink}/javascript/${id}`, { method: "POST" }, (answer) => {
      answer.resume();
      answer.on("end", resolve);
    });
    telling.on("error", reject);
    telling.end();
  });
}

const client = new Client({
  baseUrl,
  workerId: "javascript",
  maxTasks: 10,
  interval: 100,
  lockDuration: 10000,
  asyncResponseTimeout: 10000,
});
client.on("complete:error", ({ id }, error) => console.error(`complete ${id}: ${error}`));
client.on("poll:error", (error) => console.error(`poll: ${error}`));
client.subscribe(topic, async ({ task, taskService }) => {
  await tell(task.id);
  const fate = task.variables.get("fate");
  if (fate === "declined") {
    await taskService.handleBpmnError(task, "declined", "as the task wished");
  } else if (fate === "fails" && task.retries === null) {
    const options = { errorMessage: "not yet", errorDetails: "as the task wished", retries: 1, retryTimeout: 0 };
    await taskService.handleFailure(task, options);
  } else {
    await taskService.complete(task, new Variables().set("by", "javascript"));
  }
});
