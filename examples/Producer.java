// Requests a run: `java -cp kafka-clients.jar:slf4j-api.jar examples/Producer.java JOB_ID REQUEST_ID [PAYLOAD]`.
// The payload is JSON. The same request id for the same job is one run.

import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

class Producer {
    public static void main(String[] args) throws Exception {
        String bootstrap = System.getenv().getOrDefault("TIDEMILL_KAFKA_BOOTSTRAP", "127.0.0.1:9092");
        String topic = System.getenv().getOrDefault("TIDEMILL_TOPIC_PREFIX", "tidemill.") + "requests";
        String payload = args.length > 2 ? args[2] : "null";
        String request = "{\"request_id\": %s, \"job_id\": %s, \"payload\": %s}"
            .formatted(quoted(args[1]), quoted(args[0]), payload);
        Map<String, Object> options = Map.of("bootstrap.servers", bootstrap, "enable.idempotence", true);
        try (var producer = new KafkaProducer<>(options, new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>(topic, args[0], request)).get();
        }
        System.out.println("requested: the run will be " + args[0] + "#" + args[1]);
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
