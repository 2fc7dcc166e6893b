package homing.orders;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpSession;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.operaton.bpm.engine.RuntimeService;
import org.operaton.bpm.engine.TaskService;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

/** Orders, each a process instance of the engine inside; users log in and have a session in memory. */
@SpringBootApplication
@RestController
public class Orders {
    private final RuntimeService runtime;
    private final TaskService tasks;
    private final Map<String, String> catalog = new ConcurrentHashMap<>();

    public Orders(RuntimeService runtime, TaskService tasks) {
        this.runtime = runtime;
        this.tasks = tasks;
    }

    public static void main(String[] args) {
        SpringApplication.run(Orders.class, args);
    }

    /** HTTP basic; the password of every user is the user's name. */
    @PostMapping("/app/login")
    public Map<String, String> login(HttpServletRequest request) {
        String authorization = request.getHeader("Authorization");
        if (authorization == null || !authorization.startsWith("Basic ")) {
            throw new ResponseStatusException(HttpStatus.UNAUTHORIZED);
        }
        byte[] credentials = Base64.getDecoder().decode(authorization.substring("Basic ".length()));
        String[] parts = new String(credentials, StandardCharsets.UTF_8).split(":", 2);
        if (parts.length != 2 || !parts[0].equals(parts[1])) {
            throw new ResponseStatusException(HttpStatus.UNAUTHORIZED);
        }
        request.getSession(true).setAttribute("user", parts[0]);
        return Map.of("user", parts[0]);
    }

    /** A session that this process does not know is nobody's: the mark of a request at the wrong place. */
    private static String user(HttpServletRequest request) {
        HttpSession session = request.getSession(false);
        Object user = session == null ? null : session.getAttribute("user");
        if (user == null) {
            throw new ResponseStatusException(HttpStatus.UNAUTHORIZED);
        }
        return user.toString();
    }

    @GetMapping("/app/me")
    public Map<String, Object> me(HttpServletRequest request) {
        String user = user(request);
        List<String> orders = runtime.createProcessInstanceQuery().variableValueEquals("user", user).list().stream()
                .map(instance -> instance.getId()).sorted().toList();
        return Map.of("user", user, "orders", orders);
    }

    @PostMapping("/app/orders")
    public Map<String, String> order(HttpServletRequest request, @RequestBody Map<String, String> order) {
        Map<String, Object> variables = Map.of("user", user(request), "item", order.get("item"));
        return Map.of("id", runtime.startProcessInstanceByKey("order", variables).getId());
    }

    /** For the other systems of the shop, which have no session: by the order's id alone. */
    @GetMapping("/orders/{id}")
    public Map<String, String> show(@PathVariable("id") String id) {
        if (runtime.createProcessInstanceQuery().processInstanceId(id).count() == 0) {
            throw new ResponseStatusException(HttpStatus.NOT_FOUND);
        }
        return Map.of("id", id, "item", String.valueOf(runtime.getVariable(id, "item")));
    }

    @PostMapping("/orders")
    public Map<String, String> create(@RequestBody Map<String, String> order) {
        Map<String, Object> variables = Map.of("user", "shop", "item", order.get("item"));
        return Map.of("id", runtime.startProcessInstanceByKey("order", variables).getId());
    }

    @PostMapping("/orders/{id}/done")
    public Map<String, String> done(@PathVariable("id") String id) {
        tasks.complete(tasks.createTaskQuery().processInstanceId(id).singleResult().getId());
        return Map.of("id", id, "state", "done");
    }

    /** What this shop has, and how much of it: only together with the other sites is it the whole. */
    @GetMapping("/orders")
    public List<Map<String, String>> list() {
        return runtime.createProcessInstanceQuery().list().stream().map(order -> Map.of("id", order.getId())).toList();
    }

    @GetMapping("/statistics")
    public Map<String, Object> statistics() {
        return Map.of("orders", runtime.createProcessInstanceQuery().count(), "shops", 1);
    }

    /** Every site needs to know every price. */
    @PutMapping("/catalog/{item}")
    public Map<String, String> price(@PathVariable("item") String item, @RequestBody Map<String, String> entry) {
        catalog.put(item, entry.get("price"));
        return Map.of("item", item, "price", entry.get("price"));
    }

    @GetMapping("/catalog/{item}")
    public Map<String, String> price(@PathVariable("item") String item) {
        return Map.of("item", item, "price", catalog.getOrDefault(item, "unknown"));
    }

    /** Touches the database. */
    @GetMapping("/health")
    public Map<String, Object> health() {
        return Map.of("orders", runtime.createProcessInstanceQuery().count());
    }
}
