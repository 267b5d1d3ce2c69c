use std::future::ready;
use std::rc::Rc;

use tokio::task::{LocalSet, spawn_local, yield_now};

use super::*;

/// Work that takes so many steps, counted.
async fn steps(count: usize, done: Rc<Cell<usize>>) {
    for step in 1..=count {
        done.set(done.get() + 1);
        if step < count {
            yield_now().await;
        }
    }
}

#[tokio::test]
async fn whoever_is_ready_has_a_turn_between_a_few_steps() {
    let body = async {
        let (turns, done) = (Rc::new(Turns::new()), Rc::new(Cell::new(0)));
        let running = Rc::clone(&turns);
        spawn_local(async move { running.run().await });
        for _ in 0..50 {
            let (turns, done) = (Rc::clone(&turns), Rc::clone(&done));
            spawn_local(async move { turns.pace(steps(2, done)).await });
        }
        // Somebody with other work, who is ready all the time.
        let mut before = 0;
        while done.get() < 100 {
            yield_now().await;
            let now = done.get();
            assert!(now - before <= 2, "{} steps in one turn", now - before);
            before = now;
        }
    };
    LocalSet::new().run_until(body).await;
}

#[tokio::test]
async fn whoever_gives_up_takes_no_turn_from_others() {
    let body = async {
        let turns = Rc::new(Turns::new());
        let running = Rc::clone(&turns);
        spawn_local(async move { running.run().await });
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let turns = Rc::clone(&turns);
                spawn_local(async move { turns.pace(ready(())).await })
            })
            .collect();
        yield_now().await;
        for (at, task) in waiting.into_iter().enumerate() {
            if at % 2 == 0 {
                task.abort();
                let _ = task.await;
            } else {
                task.await.expect("it had its turn");
            }
        }
        for _ in 0..6 {
            turns.pace(ready(())).await;
        }
    };
    LocalSet::new().run_until(body).await;
}
