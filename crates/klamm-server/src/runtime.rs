//! The one runtime that every server of this process shares, and waiting for it from a thread that has none.

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    raise_file_limit();
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 8);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("klamm")
        .enable_all()
        .build()
        .expect("the operating system lets a process start a thread and open a poll descriptor")
});

/// The shared runtime, started when first asked for. It lives as long as the process.
pub(crate) fn handle() -> &'static Handle {
    RUNTIME.handle()
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
