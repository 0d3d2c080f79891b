import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/** What the Java programs share: the deadline, the waiting, and the one line at the end. */
final class Program {
    interface Body {
        String run(String bootstrap, String unique) throws Exception;
    }

    static final long WAIT_MS = 100_000;

    private Program() {}

    static void main(String name, String[] arguments, Body body) {
        long started = System.currentTimeMillis();
        int seconds = Integer.parseInt(System.getenv().getOrDefault("KLAMM_CLIENT_DEADLINE", "200"));
        Thread watchdog = new Thread(() -> {
            try {
                Thread.sleep(seconds * 1000L);
            } catch (InterruptedException end) {
                return;
            }
            Thread.getAllStackTraces().forEach((thread, stack) -> {
                System.err.println(thread);
                for (StackTraceElement frame : stack) System.err.println("    " + frame);
            });
            finish(1, "FAIL " + name + ": not done after " + seconds + " s");
        });
        watchdog.setDaemon(true);
        watchdog.start();
        try {
            String report = body.run(arguments[0], name + "-" + ProcessHandle.current().pid() + "-" + started % 1_000_000);
            finish(0, "OK " + name + " " + report + " seconds=" + (System.currentTimeMillis() - started) / 1000.0);
        } catch (Throwable error) {
            error.printStackTrace();
            finish(1, ("FAIL " + name + ": " + error).replace('\n', ' '));
        }
    }

    private static void finish(int code, String line) {
        System.out.println(line);
        System.out.flush();
        Runtime.getRuntime().halt(code);
    }

    static void await(String what, BooleanSupplier condition) {
        await(what, () -> condition.getAsBoolean() ? Boolean.TRUE : null);
    }

    static <T> T await(String what, Supplier<T> condition) {
        long end = System.currentTimeMillis() + WAIT_MS;
        while (true) {
            T value = condition.get();
            if (value != null) return value;
            Records.check(System.currentTimeMillis() < end, "waited %d s in vain for %s", WAIT_MS / 1000, what);
            try {
                Thread.sleep(10);
            } catch (InterruptedException interrupted) {
                throw new IllegalStateException(interrupted);
            }
        }
    }
}
