import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.embedded.Connect;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * Debezium's embedded engine with a handler that only counts. Commands come by lines on standard input, so that one JVM serves all
 * rounds, and later rounds find its code compiled:
 *
 * drain SLOT COUNT POLL_MS   reads COUNT rows from the slot; prints "drained COUNT NANOSECONDS", from the first row to the last
 * follow SLOT POLL_MS        prints "row POSITION NANOSECONDS_SINCE_1970" for each row, until the line "stop"
 *
 * The settings of the database come from the variables of libpq.
 */
public final class DebeziumPeer {
    private static final ExecutorService THREADS = Executors.newCachedThreadPool();

    private interface Handler {
        /** Whether the engine is to go on. */
        void handle(SourceRecord row);
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "drain" -> drain(words[1], Long.parseLong(words[2]), words[3]);
                case "follow" -> follow(words[1], words[2], lines);
                default -> System.out.println("unknown command");
            }
        }
        THREADS.shutdownNow();
        System.exit(0);
    }

    /** Counts rows, and notes when the first and the last one came. Only one thread of the engine calls the handler. */
    private static final class Counter implements Handler {
        private final long wanted;
        private long seen;
        private long first;
        private long last;
        private final CountDownLatch done = new CountDownLatch(1);

        Counter(long wanted) {
            this.wanted = wanted;
        }

        @Override
        public void handle(SourceRecord row) {
            seen += 1;
            if (seen == 1) {
                first = System.nanoTime();
            }
            if (seen == wanted) {
                last = System.nanoTime();
                done.countDown();
            }
        }
    }

    private static void drain(String slot, long count, String pollMs) throws Exception {
        Counter counter = new Counter(count);
        DebeziumEngine<?> engine = start(slot, pollMs, counter, counter.done);
        counter.done.await();
        engine.close();
        // An engine that failed has counted less than was wanted, and has said why on standard error.
        System.out.println("drained " + counter.seen + " " + (counter.last - counter.first));
    }

    private static void follow(String slot, String pollMs, BufferedReader lines) throws Exception {
        Handler print = row -> {
            Instant now = Instant.now();
            Object position = ((Struct) row.value()).getStruct("after").get("position");
            System.out.println("row " + position + " " + (now.getEpochSecond() * 1_000_000_000L + now.getNano()));
        };
        DebeziumEngine<?> engine = start(slot, pollMs, print, new CountDownLatch(1));
        String line = lines.readLine();
        while (line != null && !line.equals("stop")) {
            line = lines.readLine();
        }
        engine.close();
        System.out.println("stopped");
    }

    private static DebeziumEngine<?> start(String slot, String pollMs, Handler handler, CountDownLatch ended) {
        // Connect is the format without serialization: the records as the connector makes them.
        DebeziumEngine<ChangeEvent<SourceRecord, SourceRecord>> engine = DebeziumEngine.create(Connect.class)
            .using(settings(slot, pollMs))
            .using((success, message, error) -> {
                if (!success) {
                    System.err.println(message);
                }
                ended.countDown();
            })
            .notifying((List<ChangeEvent<SourceRecord, SourceRecord>> batch,
                        DebeziumEngine.RecordCommitter<ChangeEvent<SourceRecord, SourceRecord>> committer) -> {
                for (ChangeEvent<SourceRecord, SourceRecord> change : batch) {
                    if (change.value().topic().endsWith(".public.event")) {
                        handler.handle(change.value());
                    }
                    committer.markProcessed(change);
                }
                committer.markBatchFinished();
            })
            .build();
        THREADS.execute(engine);
        return engine;
    }

    private static Properties settings(String slot, String pollMs) {
        Properties set = new Properties();
        set.setProperty("name", "peer");
        set.setProperty("topic.prefix", "peer");
        set.setProperty("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
        // Nothing is remembered here: without an offset the engine begins where the slot stands.
        set.setProperty("offset.storage", "org.apache.kafka.connect.storage.MemoryOffsetBackingStore");
        set.setProperty("database.hostname", System.getenv("PGHOST"));
        set.setProperty("database.port", System.getenv("PGPORT"));
        set.setProperty("database.user", System.getenv("PGUSER"));
        set.setProperty("database.password", System.getenv("PGPASSWORD"));
        set.setProperty("database.dbname", System.getenv("PGDATABASE"));
        set.setProperty("plugin.name", "pgoutput");
        set.setProperty("slot.name", slot);
        set.setProperty("publication.name", "headwater");
        set.setProperty("publication.autocreate.mode", "disabled");
        set.setProperty("table.include.list", "public.event");
        set.setProperty("snapshot.mode", "no_data");
        // How long the engine waits for a batch to fill. Debezium's default is 500.
        set.setProperty("poll.interval.ms", pollMs);
        return set;
    }
}
