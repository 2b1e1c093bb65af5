import java.io.File;
import java.util.ArrayList;
import java.util.List;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.retry.RetryForever;

/**
 * Takes Curator's locks, for locking.py: java Curator SERVERS PATH mutex|read|write THREADS ROUNDS COUNTER|- HOLD UNTIL|-. Each thread
 * has a session of its own, adds one to the counter, a znode, in each round, and has the lock for HOLD seconds, or until
 * there is a file HOLD; it goes on after ROUNDS rounds until there is a file UNTIL.
 *
 * <p>Prints "ready" once all are connected, begins when a line is read, and prints "has it" each time that it has the lock and
 * "BEGIN END" afterwards, in ns of CLOCK_MONOTONIC.
 */
public final class Curator {
    private static CuratorFramework connect(String servers) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(servers, 30000, 30000, new RetryForever(50));
        client.start();
        client.blockUntilConnected();
        return client;
    }

    private static InterProcessLock lockOf(CuratorFramework client, String path, String kind) {
        switch (kind) {
            case "mutex":
                return new InterProcessMutex(client, path);
            case "read":
                return new InterProcessReadWriteLock(client, path).readLock();
            case "write":
                return new InterProcessReadWriteLock(client, path).writeLock();
            default:
                throw new IllegalArgumentException(kind);
        }
    }

    private static void addOne(CuratorFramework client, String counter) throws Exception {
        long value = Long.parseLong(new String(client.getData().forPath(counter)).trim());
        client.setData().forPath(counter, Long.toString(value + 1).getBytes());
    }

    private static boolean isOver(String[] words, int done) {
        return done >= Integer.parseInt(words[4]) && (words[7].equals("-") || new File(words[7]).exists());
    }

    private static void keep(String hold) throws InterruptedException {
        if (hold.startsWith("/")) {
            while (!new File(hold).exists()) {
                Thread.sleep(10);
            }
        } else {
            Thread.sleep((long) (Double.parseDouble(hold) * 1000));
        }
    }

    private static void takeTurns(CuratorFramework client, String[] words) throws Exception {
        InterProcessLock lock = lockOf(client, words[1], words[2]);
        for (int done = 0; !isOver(words, done); done++) {
            lock.acquire();
            long began = System.nanoTime();
            System.out.println("has it");
            if (!words[5].equals("-")) {
                addOne(client, words[5]);
            }
            keep(words[6]);
            System.out.println(began + " " + System.nanoTime());
            lock.release();
        }
    }

    private static Thread start(CuratorFramework client, String[] words) {
        Thread thread = new Thread(() -> {
            try {
                takeTurns(client, words);
            } catch (Exception error) {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        });
        thread.start();
        return thread;
    }

    public static void main(String[] words) throws Exception {
        List<CuratorFramework> clients = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(words[3]); i++) {
            clients.add(connect(words[0]));
        }
        System.out.println("ready");
        System.in.read();
        for (CuratorFramework client : clients) {
            threads.add(start(client, words));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        for (CuratorFramework client : clients) {
            client.close();
        }
    }
}
