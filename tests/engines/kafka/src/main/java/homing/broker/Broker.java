package homing.broker;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * One Kafka node in KRaft mode: {@code FOLDER ADDRESS}, where the folder holds {@code server.properties}. It is
 * formatted when it is new. Kafka's own clients then do what lines on standard input say, words parted by tabs, and
 * answer one line each; {@code -} is null. The process ends with its standard input.
 */
public class Broker {
    private static final Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
    private static String address;

    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[0]);
        address = args[1];
        // Kafka writes what it likes to standard output.
        PrintStream answers = System.out;
        System.setOut(System.err);
        String settings = folder.resolve("server.properties").toString();
        if (!Files.exists(folder.resolve("data/meta.properties"))) {
            List<String> format = new ArrayList<>(List.of("format", "-t", "homing-homing-homing-h", "-c", settings));
            for (int at = 2; at < args.length; at++) {
                format.addAll(List.of("--add-scram", args[at]));
            }
            int code = kafka.tools.StorageTool.execute(format.toArray(String[]::new), System.err);
            if (code != 0) {
                System.exit(code);
            }
        }
        Thread node = new Thread(() -> kafka.Kafka.main(new String[] {settings}), "node");
        node.setDaemon(true);
        node.start();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = "ok " + act(line.split("\t"));
            } catch (Exception e) {
                answer = "failed " + String.valueOf(e).replace('\n', ' ');
            }
            answers.println(answer);
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static String act(String[] words) throws Exception {
        switch (words[0]) {
            case "topic" -> {
                try (Admin admin = admin()) {
                    NewTopic topic = new NewTopic(words[1], Integer.parseInt(words[2]), (short) 1);
                    admin.createTopics(List.of(topic)).all().get();
                }
            }
            case "partitions" -> {
                try (Admin admin = admin()) {
                    NewPartitions to = NewPartitions.increaseTo(Integer.parseInt(words[2]));
                    admin.createPartitions(Map.of(words[1], to)).all().get();
                }
            }
            case "remove" -> {
                try (Admin admin = admin()) {
                    admin.deleteTopics(List.of(words[1])).all().get();
                }
            }
            case "trim" -> {
                try (Admin admin = admin()) {
                    TopicPartition partition = new TopicPartition(words[1], Integer.parseInt(words[2]));
                    RecordsToDelete before = RecordsToDelete.beforeOffset(Long.parseLong(words[3]));
                    admin.deleteRecords(Map.of(partition, before)).all().get();
                }
            }
            case "fill" -> {
                KafkaProducer<byte[], byte[]> producer = producer(words[4], Optional.empty());
                int keys = Integer.parseInt(words[3]);
                List<Future<?>> sent = new ArrayList<>();
                for (int n = 0; n < Integer.parseInt(words[2]); n++) {
                    byte[] value = ("{\"n\":" + n + "}").getBytes(StandardCharsets.UTF_8);
                    sent.add(producer.send(new ProducerRecord<>(words[1], bytes("k" + n % keys), value)));
                }
                for (Future<?> one : sent) {
                    one.get();
                }
            }
            case "send" -> {
                return String.valueOf(producer(words[5], Optional.empty()).send(record(words)).get().offset());
            }
            case "commit", "abort" -> {
                KafkaProducer<byte[], byte[]> producer = producer(words[5], Optional.of("transactions"));
                producer.beginTransaction();
                producer.send(record(words)).get();
                if (words[0].equals("commit")) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
            default -> throw new IllegalArgumentException(words[0]);
        }
        return "";
    }

    /** VERB TOPIC PARTITION KEY VALUE CODEC [HEADER VALUE]; a value of {@code xN} stands for so many letters. */
    private static ProducerRecord<byte[], byte[]> record(String[] words) {
        byte[] value = words[4].matches("x[0-9]+")
                ? "x".repeat(Integer.parseInt(words[4].substring(1))).getBytes(StandardCharsets.UTF_8)
                : bytes(words[4]);
        var record = new ProducerRecord<>(words[1], Integer.valueOf(words[2]), bytes(words[3]), value);
        if (words.length > 7) {
            record.headers().add(words[6], bytes(words[7]));
        }
        return record;
    }

    private static byte[] bytes(String text) {
        return text.equals("-") ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    private static Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", address));
    }

    private static KafkaProducer<byte[], byte[]> producer(String codec, Optional<String> transactions) {
        return producers.computeIfAbsent(codec + transactions, any -> {
            Map<String, Object> settings = new HashMap<>();
            settings.put("bootstrap.servers", address);
            settings.put("compression.type", codec);
            settings.put("max.request.size", 4 * 1024 * 1024);
            transactions.ifPresent(id -> settings.put("transactional.id", id));
            var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
            transactions.ifPresent(id -> producer.initTransactions());
            return producer;
        });
    }
}
