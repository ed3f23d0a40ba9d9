//! Tasks: spawned so that a panic ends one of them and nothing else, and counted so that a
//! runtime is not dropped under any.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

static PANIC_COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static TASK_COUNT: Cell<usize> = const { Cell::new(0) };
    static DRAINED: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// Tasks of this process that ended in a panic.
#[must_use]
pub fn task_panic_count() -> u64 {
    PANIC_COUNT.load(Ordering::Relaxed)
}

/// Runs `future` on this shard until it ends. A panic inside it is counted, logged and ends it.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    let counted = Counted::new();
    monoio::spawn(async move {
        let _counted = counted;
        let _ = Guarded::new(future).await;
    });
}

/// Runs `future` until `stop` completes, then drops it: `None`. Not for reads, which must not be
/// dropped: see [`super::Socket::read_before`].
pub async fn until<S: Future, F: Future>(mut stop: Pin<&mut S>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match stop.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => future.as_mut().poll(context).map(Some),
    })
    .await
}

/// Runs `future` to its end: `None` where it panicked, which is counted and logged. What it had is
/// dropped by the panic already.
pub async fn guarded<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Some),
        Err(payload) => {
            note_panic(payload.as_ref());
            Poll::Ready(None)
        }
    })
    .await
}

/// Completes when no spawned task is left on this shard.
pub(super) async fn drained() {
    poll_fn(|context| {
        if TASK_COUNT.get() == 0 {
            return Poll::Ready(());
        }
        DRAINED.with_borrow_mut(|waker| *waker = Some(context.waker().clone()));
        Poll::Pending
    })
    .await;
}

/// Tasks of this shard that have not ended.
pub(super) fn task_count() -> usize {
    TASK_COUNT.get()
}

struct Counted;

impl Counted {
    fn new() -> Self {
        TASK_COUNT.set(TASK_COUNT.get() + 1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        TASK_COUNT.set(TASK_COUNT.get() - 1);
        if TASK_COUNT.get() == 0
            && let Some(waker) = DRAINED.take()
        {
            waker.wake();
        }
    }
}

/// A task's panic, already counted and logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub(super) struct Panicked(pub String);

/// A future whose panics become a value.
pub(super) struct Guarded<F>(Option<Pin<Box<F>>>);

impl<F: Future> Guarded<F> {
    pub(super) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.0.as_mut().expect("polled again after it ended");
        let payload = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(polled) => return polled.map(Ok),
            Err(payload) => payload,
        };
        let panicked = note_panic(payload.as_ref());
        // What the future holds may be broken too, and a panic in a destructor must end here.
        let broken = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
        Poll::Ready(Err(panicked))
    }
}

fn note_panic(payload: &(dyn Any + Send)) -> Panicked {
    PANIC_COUNT.fetch_add(1, Ordering::Relaxed);
    let panicked = Panicked(message(payload));
    tracing::error!(message = %panicked.0, "a task panicked and was ended");
    panicked
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)").to_owned()
}
