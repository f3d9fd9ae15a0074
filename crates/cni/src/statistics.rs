//! The traffic of a container's interfaces, from the kernel's table of its namespace.

use std::path::Path;

use crate::error::CniError;
use crate::namespace;

/// What an interface has carried, as the container sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Received.
    pub rx_bytes: u64,
    /// Received.
    pub rx_packets: u64,
    /// Received wrongly.
    pub rx_errors: u64,
    /// Not taken.
    pub rx_dropped: u64,
    /// Sent.
    pub tx_bytes: u64,
    /// Sent.
    pub tx_packets: u64,
    /// Not sent rightly.
    pub tx_errors: u64,
    /// Not sent.
    pub tx_dropped: u64,
}

impl LinkCounters {
    fn add(&mut self, other: &Self) {
        self.rx_bytes += other.rx_bytes;
        self.rx_packets += other.rx_packets;
        self.rx_errors += other.rx_errors;
        self.rx_dropped += other.rx_dropped;
        self.tx_bytes += other.tx_bytes;
        self.tx_packets += other.tx_packets;
        self.tx_errors += other.tx_errors;
        self.tx_dropped += other.tx_dropped;
    }
}

/// Reads the kernel's table `net/dev`: the name of each interface and what it has carried.
pub fn parse_link_counters(table: &str) -> Vec<(String, LinkCounters)> {
    let line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers
            .split_ascii_whitespace()
            .map_while(|number| number.parse().ok())
            .collect();
        let &[
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            _,
            _,
            _,
            _,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
            ..,
        ] = numbers.as_slice()
        else {
            return None;
        };
        let counters = LinkCounters {
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
        };
        Some((name.trim().to_owned(), counters))
    };
    table.lines().filter_map(line).collect()
}

/// The sum over all interfaces of a namespace but the loopback.
pub(crate) fn of_namespace(path: &Path) -> Result<LinkCounters, CniError> {
    let table = namespace::enter(path, || {
        std::fs::read_to_string("/proc/thread-self/net/dev")
    })
    .and_then(|table| table)
    .map_err(CniError::io("cannot read the counters of", path))?;
    let mut sum = LinkCounters::default();
    for (name, counters) in parse_link_counters(&table) {
        if name != "lo" {
            sum.add(&counters);
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let table = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:     840      10    0    0    0     0          0         0      840      10    0    0    0     0       0          0\n  eth0:12345 67 1 2 0 0 0 0 54321 76 3 4 0 0 0 0\n";
        let counters = parse_link_counters(table);
        assert_eq!(counters.len(), 2);
        assert_eq!(counters[1].0, "eth0");
        let eth0 = counters[1].1;
        assert_eq!((eth0.rx_bytes, eth0.rx_dropped), (12345, 2));
        assert_eq!(
            (eth0.tx_packets, eth0.tx_errors, eth0.tx_dropped),
            (76, 3, 4)
        );
    }
}
