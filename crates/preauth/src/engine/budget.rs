//! How much of the client's data may wait here for readers that are slow.
//!
//! A window is a promise of memory, and OpenSSH makes one of two megabytes for each of as many channels as the client
//! wants. Here all of them share a budget, sessions too: while few are open each has the window that OpenSSH gives; when
//! there are many, a new one has a part of what is left, and grows when others have gone. Beyond that a window grows where
//! the path holds more (`pace`).

use super::{RECEIVE_PACKET, RECEIVE_WINDOW};

/// What all windows together may be, in bytes, but for the one packet that each may have: with as many channels as there may
/// be, that is 44 MiB, well within the MemoryMax= of the unit. With a dozen the worker has 21 MiB in all.
const BUDGET: u64 = 12 * 1024 * 1024;

/// Which part of what is left one channel has.
const PART: u64 = 4;

/// Which part of what is left one channel may come to have. A single one has half of the budget: at a round trip of 50 ms
/// it carries 120 MB/s, and OpenSSH's 40.
const LARGEST_PART: u64 = 2;

/// The window of a new channel, when so much is `promised` to others.
pub(super) fn window(promised: u64) -> u32 {
    let part = BUDGET.saturating_sub(promised) / PART;
    u32::try_from(part)
        .unwrap_or(u32::MAX)
        .clamp(RECEIVE_PACKET, RECEIVE_WINDOW)
}

/// By how much the window of a channel may grow that is of use up to `wanted`, when so much is `promised` to all, itself
/// among them.
pub(super) fn wider(promised: u64, own: u32, wanted: u32) -> u32 {
    if own == 0 {
        // Nobody reads it, and nothing waits.
        return 0;
    }
    let others = promised.saturating_sub(own.into());
    let largest = BUDGET.saturating_sub(others) / LARGEST_PART;
    let useful = u32::try_from(largest).unwrap_or(u32::MAX).min(wanted);
    window(others).max(useful).saturating_sub(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_channels_have_whole_windows_and_many_share_the_budget() {
        let mut promised = 0;
        for _ in 0..3 {
            assert_eq!(window(promised), RECEIVE_WINDOW);
            promised += u64::from(RECEIVE_WINDOW);
        }
        for _ in 3..1024 {
            let window = window(promised);
            assert!(window >= RECEIVE_PACKET);
            promised += u64::from(window);
        }
        assert!(promised <= BUDGET + 1024 * u64::from(RECEIVE_PACKET));
    }

    #[test]
    fn a_small_window_grows_when_others_have_gone_and_no_window_shrinks() {
        let small = RECEIVE_PACKET;
        assert_eq!(wider(BUDGET, small, 0), 0);
        assert_eq!(wider(small.into(), small, 0), RECEIVE_WINDOW - small);
        assert_eq!(wider(BUDGET * 2, RECEIVE_WINDOW, u32::MAX), 0);
        assert_eq!(wider(0, 0, u32::MAX), 0);
    }

    #[test]
    fn windows_grow_to_what_is_of_use_and_stay_within_the_budget() {
        let own = RECEIVE_WINDOW;
        assert_eq!(wider(own.into(), own, own), 0);
        assert_eq!(wider(own.into(), own, own + 7), 7);
        let mut windows = [RECEIVE_WINDOW; 2];
        for _ in 0..10 {
            for number in 0..windows.len() {
                let promised = windows.iter().copied().map(u64::from).sum();
                windows[number] += wider(promised, windows[number], u32::MAX);
            }
        }
        assert!(windows[0] > 2 * RECEIVE_WINDOW);
        assert!(windows.iter().copied().map(u64::from).sum::<u64>() <= BUDGET);
    }
}
