package cxbench;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Questions to the broker: what was committed, which topics a run left behind. */
public final class Broker implements AutoCloseable {
    private static final long PAUSE_MS = 20;

    private final Admin admin;

    public Broker(Contract contract) {
        admin = Admin.create(Map.of("bootstrap.servers", contract.bootstrap()));
    }

    /** Waits until a group has committed at least these offsets. */
    public void awaitCommitted(String group, Map<TopicPartition, Long> ends) throws ExecutionException, InterruptedException {
        while (!reached(committed(group), ends)) Thread.sleep(PAUSE_MS);
    }

    private static boolean reached(Map<TopicPartition, OffsetAndMetadata> committed, Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream().allMatch(end -> {
            OffsetAndMetadata found = committed.get(end.getKey());
            return found != null && found.offset() >= end.getValue();
        });
    }

    private Map<TopicPartition, OffsetAndMetadata> committed(String group) throws ExecutionException, InterruptedException {
        return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
    }

    /** The ends of all partitions that hold a record of topics whose names start and end so. */
    public Map<TopicPartition, Long> ends(String start, String end) throws ExecutionException, InterruptedException {
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        Set<String> names = names(start).stream().filter(name -> name.endsWith(end)).collect(Collectors.toSet());
        admin.describeTopics(names).allTopicNames().get().forEach((name, topic) ->
            topic.partitions().forEach(part -> asked.put(new TopicPartition(name, part.partition()), OffsetSpec.latest())));
        Map<TopicPartition, Long> ends = new HashMap<>();
        admin.listOffsets(asked).all().get().forEach((partition, found) -> {
            if (found.offset() > 0) ends.put(partition, found.offset());
        });
        return ends;
    }

    /** Creates topics that keep everything, whatever the age of its records. */
    public void create(List<String> names) throws ExecutionException, InterruptedException {
        admin.createTopics(names.stream()
            .map(name -> new NewTopic(name, Contract.PARTITIONS, (short) 1).configs(Map.of("retention.ms", "-1")))
            .toList()).all().get();
    }

    /** Deletes the topics of a run. */
    public void deleteAll(String start) throws ExecutionException, InterruptedException {
        admin.deleteTopics(names(start)).all().get();
    }

    private Set<String> names(String start) throws ExecutionException, InterruptedException {
        return admin.listTopics().names().get().stream().filter(name -> name.startsWith(start)).collect(Collectors.toSet());
    }

    @Override
    public void close() {
        admin.close();
    }
}
