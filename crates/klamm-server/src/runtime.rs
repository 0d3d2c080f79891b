//! The threads that every server of this process shares, and waiting for them from a thread that has no runtime.
//!
//! Each thread runs a runtime of its own, and a server lives on one of them with its connections: an answer to one
//! connection that completes another's request wakes a task of the same thread, not a thread. Connections that carry a lot
//! are spread over all of them.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use klamm_node::NodeId;
use tokio::runtime::{Builder, Handle};

static WORKERS: LazyLock<Box<[LazyLock<Handle>]>> = LazyLock::new(|| {
    raise_file_limit();
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 8);
    (0..threads).map(|_| LazyLock::new(start_worker as fn() -> Handle)).collect()
});

/// A thread that runs what is spawned on the handle. It lives as long as the process.
fn start_worker() -> Handle {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the operating system lets a process open a poll descriptor");
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("klamm".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .expect("the operating system lets a process start a thread");
    handle
}

/// The shared runtime that waits and timers of servers belong to, started when first asked for.
pub(crate) fn handle() -> &'static Handle {
    &WORKERS[0]
}

/// The runtime for the next server's brokers: each server gets the next thread.
///
/// Its brokers take turns with the world in any case. Were they on different threads, the world would move from one processor's
/// caches to another's with each turn, which costs a small request more than all of its own work.
pub(crate) fn for_next_server() -> &'static Handle {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    &WORKERS[NEXT.fetch_add(1, Ordering::Relaxed) % WORKERS.len()]
}

/// The runtime for connections of a broker that carry a lot: there the work outside the world is most of it, and is worth more
/// than one thread.
pub(crate) fn for_bulk(broker: NodeId) -> &'static Handle {
    &WORKERS[usize::try_from(broker.0).unwrap_or(0) % WORKERS.len()]
}

/// Runs a future to its end on this thread, whether or not the thread is inside somebody's runtime.
///
/// `Runtime::block_on` refuses to nest; a test's `Drop` may run anywhere.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(enter(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Makes a future that needs the shared runtime's timers run on any executor.
pub(crate) async fn enter<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let _entered = handle().enter();
        future.as_mut().poll(context)
    })
    .await
}

/// Hundreds of clusters need more descriptors than the 1,024 that many systems start a process with.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // A refusal leaves the limit as it was: an `accept` that runs into it waits and says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}
