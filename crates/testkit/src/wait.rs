//! Waiting for a condition instead of for a time.

use std::fmt::Debug;
use std::future::Future;
use std::net::TcpListener;
use std::time::Duration;

/// How long [`eventually`] waits: far longer than anything here takes, so that only a real failure reaches it.
pub const DEADLINE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(10);

/// Asks until the answer is `Ok` or `Some` or `true`, and gives what is in it.
///
/// # Panics
/// When [`DEADLINE`] passes; the message names `what` and the last answer.
pub async fn eventually<A: Answered, F: Future<Output = A>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> A::Value {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        match ask().await.answered() {
            Ok(value) => return value,
            Err(last) if tokio::time::Instant::now() > deadline => {
                panic!("{what}: not within {DEADLINE:?}: {last}")
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// An answer that is either there or not yet.
pub trait Answered {
    /// What is in it when it is there.
    type Value;

    /// The value, or why it is not there yet.
    ///
    /// # Errors
    /// When the condition does not hold yet.
    fn answered(self) -> Result<Self::Value, String>;
}

impl Answered for bool {
    type Value = ();

    fn answered(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".into()) }
    }
}

impl<T> Answered for Option<T> {
    type Value = T;

    fn answered(self) -> Result<T, String> {
        self.ok_or_else(|| "None".into())
    }
}

impl<T, E: Debug> Answered for Result<T, E> {
    type Value = T;

    fn answered(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:?}"))
    }
}

/// A port nobody listened on a moment ago. Prefer port 0 where the program under test can say which it got.
///
/// # Panics
/// When no port is free.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port of the loopback is free");
    listener.local_addr().expect("a bound socket has an address").port()
}
