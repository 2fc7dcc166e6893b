package homing.worker;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import org.camunda.bpm.client.ExternalTaskClient;
import org.camunda.bpm.client.task.ExternalTask;
import org.camunda.bpm.client.task.ExternalTaskService;

/**
 * A worker as its client's manual shows it; all it does is to tell the sink which task it works on, and to end it as the
 * task's variable {@code fate} says: "fails" once and is completed then, "declined" is a BPMN error, nothing completes it.
 *
 * <p>usage: Worker BASE-URL TOPIC SINK-URL
 */
public final class Worker {
  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final String sink;

  private Worker(String sink) {
    this.sink = sink;
  }

  private void work(ExternalTask task, ExternalTaskService service) {
    URI told = URI.create(sink + "/java/" + task.getId());
    HttpRequest request =
        HttpRequest.newBuilder(told).POST(HttpRequest.BodyPublishers.noBody()).build();
    try {
      http.send(request, HttpResponse.BodyHandlers.discarding());
    } catch (IOException | InterruptedException broken) {
      throw new IllegalStateException("the sink is gone", broken);
    }
    String fate = task.getVariable("fate");
    if ("declined".equals(fate)) {
      service.handleBpmnError(task, "declined", "as the task wished");
    } else if ("fails".equals(fate) && task.getRetries() == null) {
      service.handleFailure(task, "not yet", "as the task wished", 1, 0L);
    } else {
      service.complete(task, Map.of("by", "java"));
    }
  }

  public static void main(String[] args) {
    Worker worker = new Worker(args[2]);
    ExternalTaskClient client =
        ExternalTaskClient.create()
            .baseUrl(args[0])
            .workerId("java")
            .maxTasks(10)
            .asyncResponseTimeout(10_000)
            .lockDuration(10_000)
            .build();
    client.subscribe(args[1]).handler(worker::work).open();
  }
}
