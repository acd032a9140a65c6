// Prints each change of a run until it has ended: `java -cp kafka-clients.jar:slf4j-api.jar examples/Consumer.java RUN_ID`.
// A program of yours reads the value with its JSON library; schemas/asyncapi.json says what is in it.

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

class Consumer {
    private static final Pattern STATE = Pattern.compile("\"state\":\"([a-z_]+)\"");
    private static final List<String> FINAL = List.of(
        "succeeded", "failed", "timed_out", "cancelled", "dead", "skipped", "missed", "upstream_failed");

    public static void main(String[] args) {
        String bootstrap = System.getenv().getOrDefault("TIDEMILL_KAFKA_BOOTSTRAP", "127.0.0.1:9092");
        String topic = System.getenv().getOrDefault("TIDEMILL_TOPIC_PREFIX", "tidemill.") + "status";
        Map<String, Object> options = Map.of(
            "bootstrap.servers", bootstrap,
            "group.id", System.getenv().getOrDefault("CONSUMER_GROUP", "example-java"),
            "auto.offset.reset", "earliest",
            "isolation.level", "read_committed");   // records of aborted transactions never happened
        try (var consumer = new KafkaConsumer<>(options, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (true) {
                for (ConsumerRecord<String, String> each : consumer.poll(Duration.ofSeconds(1))) {
                    if (!args[0].equals(each.key()) || each.value() == null) {
                        continue;
                    }
                    var found = STATE.matcher(each.value());
                    String state = found.find() ? found.group(1) : "unknown";   // the run's own state comes first
                    System.out.println(each.key() + " " + state);
                    if (FINAL.contains(state)) {
                        return;
                    }
                }
            }
        }
    }
}
