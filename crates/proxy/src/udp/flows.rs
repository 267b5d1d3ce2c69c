//! Flows by client, and in the order in which something last moved.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use tokio::time::Instant;

/// A table of flows.
pub(super) struct Flows<F> {
    /// (Strangers choose the keys: no hash that they could foresee.)
    by_client: HashMap<SocketAddr, Entry<F>>,
    /// Who moved at which turn.
    order: BTreeMap<u64, SocketAddr>,
    turn: u64,
}

struct Entry<F> {
    flow: F,
    turn: u64,
    moved: Instant,
}

impl<F> Default for Flows<F> {
    fn default() -> Self {
        Self { by_client: HashMap::new(), order: BTreeMap::new(), turn: 0 }
    }
}

impl<F> Flows<F> {
    /// A client's flow; something moves on it now.
    pub(super) fn touch(&mut self, client: SocketAddr) -> Option<&F> {
        let entry = self.by_client.get_mut(&client)?;
        self.order.remove(&entry.turn);
        self.turn += 1;
        (entry.turn, entry.moved) = (self.turn, Instant::now());
        self.order.insert(self.turn, client);
        Some(&entry.flow)
    }

    /// A new flow, which is the youngest.
    pub(super) fn insert(&mut self, client: SocketAddr, flow: F) {
        self.turn += 1;
        let entry = Entry { flow, turn: self.turn, moved: Instant::now() };
        if let Some(before) = self.by_client.insert(client, entry) {
            self.order.remove(&before.turn);
        }
        self.order.insert(self.turn, client);
    }

    /// When something last moved on the flow on which nothing has for longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let (_, client) = self.order.first_key_value()?;
        self.by_client.get(client).map(|entry| entry.moved)
    }

    /// Takes the flow on which nothing has moved for longest.
    pub(super) fn pop_oldest(&mut self) -> Option<F> {
        let (_, client) = self.order.pop_first()?;
        self.by_client.remove(&client).map(|entry| entry.flow)
    }

    /// Takes a client's flow, if it is the one that is meant.
    pub(super) fn remove_if(&mut self, client: SocketAddr, meant: impl FnOnce(&F) -> bool) -> Option<F> {
        let turn = self.by_client.get(&client).filter(|entry| meant(&entry.flow))?.turn;
        self.order.remove(&turn);
        self.by_client.remove(&client).map(|entry| entry.flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn the_one_idle_for_longest_goes_first() {
        let mut flows = Flows::default();
        for port in 1..=4 {
            flows.insert(client(port), port);
        }
        assert_eq!(flows.touch(client(1)), Some(&1));
        assert_eq!(flows.remove_if(client(3), |_| false), None);
        assert_eq!(flows.remove_if(client(3), |_| true), Some(3));
        assert_eq!(flows.touch(client(3)), None);
        assert!(flows.oldest().is_some());
        flows.insert(client(2), 20);
        let left: Vec<_> = std::iter::from_fn(|| flows.pop_oldest()).collect();
        assert_eq!(left, [4, 1, 20]);
        assert!(flows.oldest().is_none() && flows.by_client.is_empty());
    }
}
