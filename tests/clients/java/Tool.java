import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/** Runs one of Kafka's command-line tools in this process, as its script runs it in a process of its own. */
final class Tool {
    interface Main {
        void main(String[] arguments) throws Exception;
    }

    /** How a tool ended, 0 for well, and what it printed. */
    record Result(int code, String text) {}

    /** What Kafka's tools do instead of returning. */
    private static final class Exited extends RuntimeException {
        Exited() {
            super(null, null, false, false);
        }
    }

    private Tool() {}

    /** Runs a tool; with `errors` what it prints to stderr is part of what it printed. */
    static Result run(Main main, boolean errors, String... arguments) throws Exception {
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream to = new PrintStream(printed, true, StandardCharsets.UTF_8);
        // A tool may catch what its own exit throws, print it and exit once more: its script would see the first exit, and
        // what was printed before.
        int[] first = {-1};
        String[] before = {""};
        Exit.Procedure stop = (code, message) -> {
            if (first[0] == -1) {
                first[0] = code;
                before[0] = printed.toString(StandardCharsets.UTF_8);
            }
            throw new Exited();
        };
        Exit.setExitProcedure(stop);
        Exit.setHaltProcedure(stop);
        // What a tool does when its process ends, flushing its producer for one, it does before the next one begins.
        List<Runnable> hooks = new ArrayList<>();
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        PrintStream out = System.out;
        PrintStream err = System.err;
        System.setOut(to);
        if (errors) System.setErr(to);
        try {
            main.main(arguments);
        } catch (Exited exited) {
            // Its code is in `first`.
        } finally {
            if (first[0] != -1) printed.reset();
            hooks.forEach(Runnable::run);
            System.setOut(out);
            System.setErr(err);
        }
        return new Result(Math.max(first[0], 0), before[0] + printed.toString(StandardCharsets.UTF_8));
    }
}
