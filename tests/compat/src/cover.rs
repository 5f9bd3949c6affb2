//! A small sample of combinations in which every client uses each of its algorithms.

use std::collections::BTreeSet;

use crate::algorithms::{Offer, Suite};

/// A combination, and the clients that are to use it, by their place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What the server is reduced to.
    pub suite: Suite,
    /// Who logs in then.
    pub clients: Vec<usize>,
}

/// Rows in which each client meets each algorithm of its offer, few of them: the next one is always that which shows
/// most that is not shown yet.
pub fn cover(clients: &[Offer]) -> Vec<Row> {
    let mut missing: Vec<BTreeSet<&str>> = clients.iter().map(usable).collect();
    let mut rows = Vec::new();
    while let Some(suite) = clients
        .iter()
        .zip(&missing)
        .filter(|(_, missing)| !missing.is_empty())
        .flat_map(|(offer, _)| offer.suites())
        .max_by_key(|suite| news(clients, &missing, suite).sum::<usize>())
    {
        let learners = news(clients, &missing, &suite)
            .enumerate()
            .filter(|(_, news)| *news > 0)
            .map(|(index, _)| index)
            .collect();
        for (offer, missing) in clients.iter().zip(&mut missing) {
            if has(offer, &suite) {
                missing.retain(|name| !names(&suite).any(|shown| shown == *name));
            }
        }
        rows.push(Row {
            suite,
            clients: learners,
        });
    }
    rows
}

/// How many of its missing algorithms a combination would show of each client.
fn news(
    clients: &[Offer],
    missing: &[BTreeSet<&str>],
    suite: &Suite,
) -> impl Iterator<Item = usize> {
    clients.iter().zip(missing).map(|(offer, missing)| {
        let shown = names(suite).filter(|name| missing.contains(name)).count();
        if has(offer, suite) { shown } else { 0 }
    })
}

/// All that a client can come to use. A MAC is of no use to one whose ciphers all have their own.
fn usable(offer: &Offer) -> BTreeSet<&'static str> {
    offer.suites().iter().flat_map(names).collect()
}

fn names(suite: &Suite) -> impl Iterator<Item = &'static str> + use<> {
    [suite.kex, suite.host_key, suite.protection.cipher]
        .into_iter()
        .chain(suite.protection.mac)
}

fn has(offer: &Offer, suite: &Suite) -> bool {
    offer.kex.contains(&suite.kex)
        && offer.host_keys.contains(&suite.host_key)
        && offer.ciphers.contains(&suite.protection.cipher)
        && suite
            .protection
            .mac
            .is_none_or(|mac| offer.macs.contains(&mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(kex: &[&'static str], ciphers: &[&'static str]) -> Offer {
        Offer {
            kex: kex.to_vec(),
            host_keys: vec!["ed25519", "rsa"],
            ciphers: ciphers.to_vec(),
            macs: vec!["sha1", "sha2", "umac"],
        }
    }

    #[test]
    fn each_client_meets_each_of_its_algorithms() {
        let clients = [
            offer(&["a", "b", "c"], &["gcm", "ctr"]),
            offer(&["b", "d"], &["poly1305", "gcm"]),
            offer(&["a"], &["ctr", "ctr2"]),
        ];
        assert_eq!(usable(&clients[0]).len(), 10);
        assert_eq!(usable(&clients[1]).len(), 6, "no use for a MAC");
        let rows = cover(&clients);
        for (index, client) in clients.iter().enumerate() {
            let met: BTreeSet<&str> = rows
                .iter()
                .filter(|row| row.clients.contains(&index))
                .inspect(|row| assert!(has(client, &row.suite)))
                .flat_map(|row| names(&row.suite))
                .collect();
            assert_eq!(met, usable(client));
        }
    }

    #[test]
    fn what_one_row_can_show_takes_one_row() {
        let client = offer(&["a"], &["gcm"]);
        let rows = cover(&[client.clone(), client]);
        assert_eq!(rows.len(), 2, "for two host keys");
        assert!(rows.iter().all(|row| row.clients == [0, 1]));
    }
}
